//! One process's part of an application with one stream thread, stepped by whoever owns the time: simulation.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::AppConfig;
use super::app::{AppError, Shared};
use super::environment::Environment;
use super::prepare::prepare;
use super::stores::TaskStores;
use super::thread::{Next, StreamThread};
use crate::log::{Log, LogErrorKind};
use crate::topology::Topology;

/// What [`super::App`] runs on threads of its own, as one thing to be stepped.
pub(crate) struct SteppedProcess {
    shared: Arc<Shared>,
    thread: StreamThread,
    prepared: bool,
}

impl SteppedProcess {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        topology: Topology,
        config: AppConfig,
        stores: Box<dyn TaskStores>,
        environment: Arc<dyn Environment>,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = StreamThread::new(log, topology, config, stores, Arc::clone(&shared), 0, environment);
        Self { shared, thread, prepared: false }
    }

    /// Does the next thing. See [`StreamThread::step`].
    pub(crate) fn step(&mut self) -> Result<Next, AppError> {
        if !self.prepared {
            let thread = &self.thread;
            match prepare(thread.log.as_ref(), &thread.topology, &thread.config) {
                Ok(()) => self.prepared = true,
                Err(error) if error.kind() == LogErrorKind::Retriable => {
                    return Ok(Next::StepAfter(thread.config.retry_backoff));
                }
                Err(error) => return Err(thread.blame.log_error(error)),
            }
        }
        self.thread.step()
    }

    /// Asks it to commit and leave; the steps that follow do it.
    pub(crate) fn request_stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }

    /// Whether it has all it was given, and nothing to restore.
    pub(crate) fn is_whole(&self) -> bool {
        let stats = self.shared.stats.snapshot();
        self.prepared && stats.waiting == 0 && stats.restoring == 0
    }
}
