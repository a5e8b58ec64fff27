//! A store in memory: for tests, and for jobs whose state may be read back from the changelog at each start.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Arrival, Change, Checksum, Entry, Intake, Snapshot, StateError, Store, StoreFile};

/// An ordered map in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.entries.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.entries.range::<[u8], _>((Bound::Included(from), end)) {
            if !visitor(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, from: &[u8], to: Option<&[u8]>) -> Result<Option<Entry>, StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(None);
        }
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        let last = self.entries.range::<[u8], _>((Bound::Included(from), end)).next_back();
        Ok(last.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn write(&mut self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StateError> {
        for change in changes {
            match change {
                Change::Put(key, value) => drop(self.entries.insert(key.to_vec(), value.to_vec())),
                Change::Delete(key) => drop(self.entries.remove(key)),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError> {
        Ok(Box::new(MemorySnapshot(self.to_files())))
    }
}

/// The one file of a store in memory is cut here, so that checkpoints of it are incremental, too.
const FILE_BYTES: usize = 4 << 10;

impl MemoryStore {
    /// Its entries as files: name and bytes. Each entry is key length, key, value length, value; lengths are u32,
    /// big-endian.
    fn to_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = vec![Vec::new()];
        for (key, value) in &self.entries {
            let last = files.last_mut().expect("begins with one");
            for part in [key, value] {
                last.extend_from_slice(&(part.len() as u32).to_be_bytes());
                last.extend_from_slice(part);
            }
            if last.len() >= FILE_BYTES {
                files.push(Vec::new());
            }
        }
        (0..).zip(files).map(|(number, bytes): (u32, _)| (format!("{number:06}"), bytes)).collect()
    }

    /// The store that a checkpoint was made of.
    ///
    /// # Errors
    /// When the files are not those of a store in memory.
    pub fn from_intake(intake: &MemoryIntake) -> Result<Self, StateError> {
        let mut entries = BTreeMap::new();
        for (name, bytes) in intake.lock().iter() {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let entry = take(&mut rest).and_then(|key| Some((key, take(&mut rest)?)));
                let (key, value) = entry.ok_or_else(|| {
                    StateError::Store(format!("checkpoint file {name} is not of a store in memory; restore it to disk"))
                })?;
                entries.insert(key, value);
            }
        }
        Ok(Self { entries })
    }
}

fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let bytes = after.get(..length)?.to_vec();
    *rest = &after[length..];
    Some(bytes)
}

struct MemorySnapshot(BTreeMap<String, Vec<u8>>);

impl Snapshot for MemorySnapshot {
    fn files(&mut self) -> Result<Vec<StoreFile>, StateError> {
        let file = |(name, bytes): (&String, &Vec<u8>)| StoreFile {
            name: name.clone(),
            size: bytes.len() as u64,
            checksum: Checksum::of(bytes),
        };
        Ok(self.0.iter().map(file).collect())
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, StateError> {
        let bytes = self.0.get(name).ok_or_else(|| StateError::Store(format!("snapshot in memory has no {name}")))?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }
}

/// Files of a checkpoint on their way to a store in memory.
#[derive(Debug, Default)]
pub struct MemoryIntake {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryIntake {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake for MemoryIntake {
    fn has(&self, file: &StoreFile) -> Result<bool, StateError> {
        Ok(self.lock().get(&file.name).is_some_and(|bytes| Checksum::of(bytes) == file.checksum))
    }

    fn begin(&self, file: &StoreFile) -> Result<Box<dyn Arrival + '_>, StateError> {
        self.lock().remove(&file.name);
        Ok(Box::new(MemoryArrival { intake: self, name: file.name.clone(), bytes: Vec::new() }))
    }

    fn keep_only(&self, files: &[StoreFile]) -> Result<(), StateError> {
        self.lock().retain(|name, _| files.iter().any(|file| file.name == *name));
        Ok(())
    }

    fn settle(&self) -> Result<Box<dyn Store>, StateError> {
        Ok(Box::new(MemoryStore::from_intake(self)?))
    }
}

struct MemoryArrival<'a> {
    intake: &'a MemoryIntake,
    name: String,
    bytes: Vec<u8>,
}

impl Write for MemoryArrival<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Arrival for MemoryArrival<'_> {
    fn keep(self: Box<Self>) -> Result<(), StateError> {
        self.intake.lock().insert(self.name, self.bytes);
        Ok(())
    }
}
