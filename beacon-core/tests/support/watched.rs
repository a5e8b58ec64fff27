//! Object storage that a test looks over the shoulder: which files are uploaded and downloaded, and when the latter may be.

use std::fmt;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};

use beacon_core::checkpoint::{MemoryObjectStore, Object, ObjectError, ObjectErrorKind, ObjectStore, PutOutcome};

use super::PATIENCE;

/// Asked before each file is downloaded; `false`: not now.
type May = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Objects in memory, watched.
pub struct Watched {
    inner: Arc<MemoryObjectStore>,
    may: May,
    downloaded: Mutex<Vec<String>>,
    uploaded: Mutex<Vec<String>>,
}

impl Watched {
    pub fn over(inner: &Arc<MemoryObjectStore>, may: impl Fn(&str) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            may: Box::new(may),
            downloaded: Mutex::default(),
            uploaded: Mutex::default(),
        })
    }

    /// Files that were handed over whole, in order; manifests are not among them.
    pub fn downloaded(&self) -> Vec<String> {
        self.downloaded.lock().expect("no panic under it").clone()
    }

    /// Files that were taken whole, in order, each as often as it was sent; manifests are not among them.
    pub fn uploaded(&self) -> Vec<String> {
        self.uploaded.lock().expect("no panic under it").clone()
    }
}

fn is_file(name: &str) -> bool {
    name.contains("/files/")
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.inner).finish()
    }
}

impl ObjectStore for Watched {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        if is_file(name) && !(self.may)(name) {
            return Err(ObjectError::new(ObjectErrorKind::Retriable, format!("{name}: not now, says the test")));
        }
        let size = self.inner.download(name, sink)?;
        if is_file(name) {
            self.downloaded.lock().expect("no panic under it").push(name.to_owned());
        }
        Ok(size)
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        self.inner.upload(name, source, size)?;
        if is_file(name) {
            self.uploaded.lock().expect("no panic under it").push(name.to_owned());
        }
        Ok(())
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        self.inner.put_if_absent(name, bytes)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.inner.delete(name)
    }
}

/// Who comes waits until enough are there at the same time; from then on nobody waits.
pub struct Meeting {
    wanted: usize,
    here: Mutex<usize>,
    changed: Condvar,
}

impl Meeting {
    pub fn of(wanted: usize) -> Arc<Self> {
        Arc::new(Self { wanted, here: Mutex::new(0), changed: Condvar::new() })
    }

    /// Whether enough came.
    pub fn join(&self) -> bool {
        let mut here = self.here.lock().expect("no panic under it");
        if *here < self.wanted {
            *here += 1;
            self.changed.notify_all();
        }
        let (mut here, _) =
            self.changed.wait_timeout_while(here, PATIENCE, |here| *here < self.wanted).expect("no panic under it");
        let met = *here >= self.wanted;
        if !met {
            *here -= 1;
        }
        met
    }

    pub fn has_met(&self) -> bool {
        *self.here.lock().expect("no panic under it") >= self.wanted
    }
}
