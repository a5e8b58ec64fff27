//! Opens and removes the stores of tasks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::intake::DirectoryIntake;
use super::{AppConfig, StateLocation, TableMemory};
use crate::state::{FileSums, Intake, MemoryIntake, MemoryStore, StateError, Store};
#[cfg(feature = "rocksdb")]
use crate::state::{file_error, rocks::RocksStore};
use crate::task::TaskId;

/// Opens and removes the stores of tasks for a stream thread.
pub(crate) trait TaskStores: Send {
    /// Opens what an earlier owner left of this task here, or an empty store.
    fn open(&self, task: TaskId) -> Result<Box<dyn Store>, StateError>;

    /// Removes what is there: it holds something else than what the log says.
    fn wipe(&self, task: TaskId) -> Result<(), StateError>;

    /// Where the files of a checkpoint of this task arrive.
    fn intake(&self, task: TaskId) -> Result<Arc<dyn Intake>, StateError>;

    /// Whether stores outlive the process, so that flushing them saves reading later.
    fn outlive_the_process(&self) -> bool;

    /// Memory that the tasks of this process may take together for entries at hand.
    fn tables(&self) -> TableMemory;
}

/// Where the tasks of one application in this process keep their state.
#[derive(Clone)]
pub(super) struct Stores {
    location: StateLocation,
    application: String,
    memory: super::StoreMemory,
}

impl Stores {
    pub(super) fn new(application: &str, config: &AppConfig) -> Self {
        Self {
            location: config.state.clone(),
            application: application.to_owned(),
            memory: config.memory.clone().unwrap_or_else(super::StoreMemory::of_this_process),
        }
    }

    fn path(&self, task: TaskId) -> Option<PathBuf> {
        match &self.location {
            StateLocation::Memory => None,
            StateLocation::Directory(directory) => Some(directory.join(&self.application).join(format!("task-{task}"))),
        }
    }

    #[cfg(feature = "rocksdb")]
    fn open_directory(&self, path: &Path) -> Result<Box<dyn Store>, StateError> {
        std::fs::create_dir_all(path).map_err(|error| file_error(path, &error))?;
        Ok(Box::new(RocksStore::open_idle(path, self.memory.rocks(), None)?))
    }

    /// Opens what a restore has brought, with what it knows of the files.
    #[cfg(feature = "rocksdb")]
    pub(super) fn open_restored(&self, path: &Path, sums: FileSums) -> Result<Box<dyn Store>, StateError> {
        Ok(Box::new(RocksStore::open_idle(path, self.memory.rocks(), Some(sums))?))
    }

    #[cfg(not(feature = "rocksdb"))]
    fn open_directory(&self, path: &Path) -> Result<Box<dyn Store>, StateError> {
        let path = path.display();
        Err(StateError::Store(format!("{path}: state on disk needs beacon-core's feature `rocksdb`")))
    }

    #[cfg(not(feature = "rocksdb"))]
    pub(super) fn open_restored(&self, path: &Path, _: FileSums) -> Result<Box<dyn Store>, StateError> {
        self.open_directory(path)
    }
}

impl TaskStores for Stores {
    fn open(&self, task: TaskId) -> Result<Box<dyn Store>, StateError> {
        match (task, self.path(task)) {
            (TaskId::Keyed(_), Some(path)) => self.open_directory(&path),
            _ => Ok(Box::new(MemoryStore::default())),
        }
    }

    fn wipe(&self, task: TaskId) -> Result<(), StateError> {
        let Some(path) = self.path(task).filter(|path| path.exists()) else { return Ok(()) };
        std::fs::remove_dir_all(&path).map_err(|error| StateError::Store(format!("{}: {error}", path.display())))
    }

    fn intake(&self, task: TaskId) -> Result<Arc<dyn Intake>, StateError> {
        match self.path(task) {
            Some(path) => Ok(Arc::new(DirectoryIntake::open(self.clone(), path)?)),
            None => Ok(Arc::new(MemoryIntake::default())),
        }
    }

    fn outlive_the_process(&self) -> bool {
        self.location != StateLocation::Memory
    }

    fn tables(&self) -> TableMemory {
        self.memory.tables()
    }
}
