//! Opens and removes the stores of tasks.

use std::path::PathBuf;

use super::{AppConfig, StateLocation};
use crate::state::{MemoryStore, StateError, Store};
use crate::task::TaskId;

/// Where the tasks of one application in this process keep their state.
#[derive(Clone)]
pub(super) struct Stores {
    location: StateLocation,
    application: String,
    #[cfg(feature = "rocksdb")]
    memory: crate::state::rocks::RocksMemory,
}

impl Stores {
    pub(super) fn new(application: &str, config: &AppConfig) -> Self {
        Self {
            location: config.state.clone(),
            application: application.to_owned(),
            #[cfg(feature = "rocksdb")]
            memory: crate::state::rocks::RocksMemory::default(),
        }
    }

    fn path(&self, task: TaskId) -> Option<PathBuf> {
        match &self.location {
            StateLocation::Memory => None,
            StateLocation::Directory(directory) => Some(directory.join(&self.application).join(format!("task-{task}"))),
        }
    }

    pub(super) fn open(&self, task: TaskId) -> Result<Box<dyn Store>, StateError> {
        match (task, self.path(task)) {
            (TaskId::Keyed(_), Some(path)) => self.open_directory(path),
            _ => Ok(Box::new(MemoryStore::default())),
        }
    }

    #[cfg(feature = "rocksdb")]
    fn open_directory(&self, path: PathBuf) -> Result<Box<dyn Store>, StateError> {
        std::fs::create_dir_all(&path).map_err(|error| StateError::Store(format!("{}: {error}", path.display())))?;
        Ok(Box::new(crate::state::rocks::RocksStore::open(&path, &self.memory)?))
    }

    #[cfg(not(feature = "rocksdb"))]
    fn open_directory(&self, path: PathBuf) -> Result<Box<dyn Store>, StateError> {
        let path = path.display();
        Err(StateError::Store(format!("{path}: state on disk needs beacon-core's feature `rocksdb`")))
    }

    /// Removes a task's directory: it holds something else than what the log says.
    pub(super) fn wipe(&self, task: TaskId) -> Result<(), StateError> {
        let Some(path) = self.path(task).filter(|path| path.exists()) else { return Ok(()) };
        std::fs::remove_dir_all(&path).map_err(|error| StateError::Store(format!("{}: {error}", path.display())))
    }
}
