//! Files of a checkpoint on their way to a task's directory.
//!
//! They arrive beside it, in `task-3.restoring`, and become the store by one rename when all are there: a crash leaves
//! either what was there before or the whole, and files to go on from.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::stores::Stores;
use crate::state::{Arrival, Checksum, FileSums, Intake, StateError, Store, StoreFile, file_error};

/// What a file is called before all of it is there.
const PART: &str = ".part";

pub(super) struct DirectoryIntake {
    stores: Stores,
    /// Becomes the store.
    store: PathBuf,
    directory: PathBuf,
    /// Held so that no other thread or process writes here.
    lock: File,
    /// Of what has arrived: the store's first checkpoint need not read it again.
    sums: FileSums,
    /// Files begun so far: two that arrive under one name, for two checkpoints, are written apart.
    begun: AtomicU64,
}

impl DirectoryIntake {
    pub(super) fn open(stores: Stores, store: PathBuf) -> Result<Self, StateError> {
        let mut name = store.file_name().map(std::ffi::OsString::from).unwrap_or_default();
        name.push(".restoring");
        let directory = store.with_file_name(name);
        std::fs::create_dir_all(&directory).map_err(|error| file_error(&directory, &error))?;
        let lock = File::open(&directory).map_err(|error| file_error(&directory, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { stores, store, directory, lock, sums: FileSums::default(), begun: AtomicU64::new(0) }),
            Err(TryLockError::WouldBlock) => {
                Err(StateError::Restoring(format!("{}: another restore is still ending", directory.display())))
            }
            Err(TryLockError::Error(error)) => Err(file_error(&directory, &error)),
        }
    }
}

impl Intake for DirectoryIntake {
    fn has(&self, file: &StoreFile) -> Result<bool, StateError> {
        let path = self.directory.join(&file.name);
        let mut there = match File::open(&path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(file_error(&path, &error)),
        };
        let found = Checksum::read(&mut there).map_err(|error| file_error(&path, &error))?;
        let is_here = found == (file.size, file.checksum);
        if is_here {
            self.sums.note(&there, file.checksum).map_err(|error| file_error(&path, &error))?;
        }
        Ok(is_here)
    }

    fn begin(&self, file: &StoreFile) -> Result<Box<dyn Arrival + '_>, StateError> {
        let path = self.directory.join(&file.name);
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let part = self.directory.join(format!("{}.{number}{PART}", file.name));
        let open = File::create(&part).map_err(|error| file_error(&part, &error))?;
        Ok(Box::new(FileArrival { file: open, part, path, checksum: file.checksum, sums: &self.sums }))
    }

    fn keep_only(&self, files: &[StoreFile]) -> Result<(), StateError> {
        let entries = std::fs::read_dir(&self.directory).map_err(|error| file_error(&self.directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| file_error(&self.directory, &error))?;
            let name = entry.file_name();
            if !files.iter().any(|file| name.to_str() == Some(&file.name)) {
                match std::fs::remove_file(entry.path()) {
                    // A file that was on its way for another checkpoint was given up just now.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(file_error(&entry.path(), &error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn settle(&self) -> Result<Box<dyn Store>, StateError> {
        self.lock.sync_all().map_err(|error| file_error(&self.directory, &error))?;
        match std::fs::remove_dir_all(&self.store) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&self.store, &error)),
            _ => {}
        }
        std::fs::rename(&self.directory, &self.store).map_err(|error| file_error(&self.store, &error))?;
        if let Some(parent) = self.store.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| file_error(parent, &error))?;
        }
        self.stores.open_restored(&self.store, self.sums.clone())
    }
}

struct FileArrival<'a> {
    file: File,
    part: PathBuf,
    path: PathBuf,
    /// Once it is whole.
    checksum: Checksum,
    sums: &'a FileSums,
}

impl Write for FileArrival<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file
            .write(bytes)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.part.display())))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Arrival for FileArrival<'_> {
    fn keep(self: Box<Self>) -> Result<(), StateError> {
        self.file.sync_all().map_err(|error| file_error(&self.part, &error))?;
        std::fs::rename(&self.part, &self.path)
            .and_then(|()| self.sums.note(&self.file, self.checksum))
            .map_err(|error| file_error(&self.path, &error))
    }
}

impl Drop for FileArrival<'_> {
    fn drop(&mut self) {
        // Gone already when it was kept; otherwise half a file, which the next try would overwrite.
        match std::fs::remove_file(&self.part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.part.display(), %error, "half a file is left");
            }
            _ => {}
        }
    }
}

#[cfg(all(test, feature = "rocksdb"))]
mod tests {
    use super::*;
    use crate::runtime::{StateLocation, stores::TaskStores};
    use crate::state::{Change, Snapshot, rot};
    use crate::task::TaskId;

    fn stores(directory: &std::path::Path) -> Stores {
        let mut config = crate::runtime::AppConfig::new(4);
        config.state = StateLocation::Directory(directory.to_owned());
        Stores::new("counts", &config)
    }

    fn bring(intake: &dyn Intake, snapshot: &dyn Snapshot, file: &StoreFile) {
        let mut arrival = intake.begin(file).expect("begun");
        let mut bytes = snapshot.open(&file.name).expect("opened");
        io::copy(&mut bytes, &mut arrival).expect("written");
        arrival.keep().expect("kept");
    }

    #[test]
    fn what_has_arrived_is_not_read_again_for_the_stores_first_checkpoint() {
        let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let task = TaskId::Keyed(3);
        let mut origin = stores(here.path()).open(task).expect("opened");
        origin.write(&mut std::iter::once(Change::Put(b"key", b"value"))).expect("written");
        let mut snapshot = origin.snapshot().expect("linked");
        let files = snapshot.files().expect("read");
        let mut tables: Vec<_> = files.iter().filter(|file| file.name.ends_with(".sst")).cloned().collect();
        assert_eq!(tables.len(), 1);

        let intake = stores(there.path()).intake(task).expect("opened");
        for file in &files {
            bring(intake.as_ref(), snapshot.as_ref(), file);
        }
        drop(intake);
        // Found by a second restore, after the first died.
        let intake = stores(there.path()).intake(task).expect("opened");
        assert!(files.iter().all(|file| intake.has(file).expect("read")));
        let store = there.path().join("counts").join("task-3");
        let arrived = store.with_file_name("task-3.restoring").join(&tables[0].name);
        // Only who reads it finds another checksum.
        rot(&arrived);

        let mut settled = intake.settle().expect("settled");
        let mut after = settled.snapshot().expect("linked").files().expect("read");
        after.retain(|file| file.name.ends_with(".sst"));
        tables.sort();
        assert_eq!(after, tables);
    }
}
