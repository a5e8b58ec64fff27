//! The log's own threads, which end with it.

use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use super::sync::lock;
use crate::log::{LogError, LogErrorKind};

/// Joins its threads when dropped, so that the directory is free when the log is gone. What tells them to end must be
/// dropped before.
#[derive(Debug, Default)]
pub(super) struct Threads {
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    pub(super) fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
            LogError::new(LogErrorKind::Fatal, format!("cannot start the thread {name}: {error}")).with_source(error)
        })?;
        lock(&self.running).push(thread);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in lock(&self.running).drain(..) {
            // An append's callback may hold the last reference to the log: then this is one of the threads itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the embedded log had panicked");
            }
        }
    }
}
