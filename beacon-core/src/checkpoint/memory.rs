//! Object storage in memory, with faults on demand: for tests and simulation.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Object, ObjectError, ObjectErrorKind, ObjectStore, PutOutcome};

/// A call of an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reading an object.
    Download,
    /// Writing one.
    Upload,
    /// Creating one if it is not there.
    PutIfAbsent,
    /// Listing.
    List,
    /// Deleting.
    Delete,
}

/// What a call does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectFault {
    /// Nothing but an error.
    Fail(ObjectErrorKind),
    /// Its work, and then an error all the same.
    LoseAnswer,
    /// A write leaves half of the object under its name, a read hands over half of it; then an error.
    Half,
}

type Faults = Box<dyn FnMut(Operation, &str) -> Option<ObjectFault> + Send>;

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, (Vec<u8>, Duration)>,
    now: Duration,
    faults: Option<Faults>,
    calls: BTreeMap<&'static str, u64>,
}

/// Objects in memory. Its clock stands still unless moved.
#[derive(Default)]
pub struct MemoryObjectStore {
    inner: Mutex<Inner>,
}

impl fmt::Debug for MemoryObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryObjectStore").field("objects", &self.lock().objects.len()).finish()
    }
}

impl MemoryObjectStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `faults` at each call from now on what is to go wrong.
    pub fn set_faults(&self, faults: impl FnMut(Operation, &str) -> Option<ObjectFault> + Send + 'static) {
        self.lock().faults = Some(Box::new(faults));
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.lock().faults = None;
    }

    /// Sets the time, by which objects grow old.
    pub fn set_time(&self, now: Duration) {
        self.lock().now = now;
    }

    /// All objects: name and bytes.
    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.lock().objects.iter().map(|(name, (bytes, _))| (name.clone(), bytes.clone())).collect()
    }

    /// Changes the bytes of an object behind everybody's back. `false`: there is no such object.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.lock().objects.get_mut(name).map(|(bytes, _)| change(bytes)).is_some()
    }

    /// How often objects were written.
    pub fn uploads(&self) -> u64 {
        self.lock().calls.get("upload").copied().unwrap_or(0)
    }

    /// Does `work` or what the fault says. `half` is what happens in the middle of it.
    fn call<T>(
        &self,
        operation: Operation,
        name: &str,
        half: impl FnOnce(&mut Inner),
        work: impl FnOnce(&mut Inner) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let mut inner = self.lock();
        if operation == Operation::Upload {
            *inner.calls.entry("upload").or_default() += 1;
        }
        // Taken out while asked: it may look at this store.
        let fault = match inner.faults.take() {
            None => None,
            Some(mut faults) => {
                drop(inner);
                let fault = faults(operation, name);
                inner = self.lock();
                inner.faults.get_or_insert(faults);
                fault
            }
        };
        let failed = |kind| ObjectError::new(kind, format!("{name} in memory: {operation:?} fails as asked for"));
        match fault {
            None => work(&mut inner),
            Some(ObjectFault::Fail(kind)) => Err(failed(kind)),
            Some(ObjectFault::LoseAnswer) => {
                work(&mut inner)?;
                Err(failed(ObjectErrorKind::Retriable))
            }
            Some(ObjectFault::Half) => {
                half(&mut inner);
                Err(failed(ObjectErrorKind::Retriable))
            }
        }
    }
}

fn local(name: &str, error: std::io::Error) -> ObjectError {
    ObjectError::new(ObjectErrorKind::Local, format!("{name}: {error}")).with_source(error)
}

impl ObjectStore for MemoryObjectStore {
    fn describe(&self) -> String {
        "objects in memory".to_owned()
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        let mut found = Vec::new();
        let missing = || ObjectError::new(ObjectErrorKind::NotFound, format!("{name} in memory: no such object"));
        let mut part = Vec::new();
        let result = self.call(
            Operation::Download,
            name,
            |inner| {
                part = inner.objects.get(name).map(|(bytes, _)| bytes[..bytes.len() / 2].to_vec()).unwrap_or_default()
            },
            |inner| {
                found = inner.objects.get(name).map(|(bytes, _)| bytes.clone()).ok_or_else(missing)?;
                Ok(found.len() as u64)
            },
        );
        let bytes = if found.is_empty() { part } else { found };
        sink.write_all(&bytes).map_err(|error| local(name, error))?;
        result
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map_err(|error| local(name, error))?;
        if bytes.len() as u64 != size {
            let message = format!("{name}: {} bytes to upload instead of {size}", bytes.len());
            return Err(ObjectError::new(ObjectErrorKind::Local, message));
        }
        let half = bytes[..bytes.len() / 2].to_vec();
        self.call(
            Operation::Upload,
            name,
            |inner| drop(inner.objects.insert(name.to_owned(), (half, inner.now))),
            |inner| {
                inner.objects.insert(name.to_owned(), (bytes, inner.now));
                Ok(())
            },
        )
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        self.call(
            Operation::PutIfAbsent,
            name,
            |inner| {
                let now = inner.now;
                inner.objects.entry(name.to_owned()).or_insert_with(|| (bytes[..bytes.len() / 2].to_vec(), now));
            },
            |inner| {
                if inner.objects.contains_key(name) {
                    return Ok(PutOutcome::Exists);
                }
                inner.objects.insert(name.to_owned(), (bytes.to_vec(), inner.now));
                Ok(PutOutcome::Created)
            },
        )
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        self.call(
            Operation::List,
            prefix,
            |_| {},
            |inner| {
                let object = |(name, (bytes, written)): (&String, &(Vec<u8>, Duration))| Object {
                    name: name.clone(),
                    size: bytes.len() as u64,
                    age: inner.now.saturating_sub(*written),
                };
                Ok(inner.objects.iter().filter(|(name, _)| name.starts_with(prefix)).map(object).collect())
            },
        )
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.call(
            Operation::Delete,
            name,
            |_| {},
            |inner| {
                inner.objects.remove(name);
                Ok(())
            },
        )
    }
}
