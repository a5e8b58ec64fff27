//! The stream threads of one process's part of an application, stepped one by one by whoever owns the time: simulation.

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

/// What [`super::App`] runs on a thread of its own, as a thing to be stepped.
pub(crate) struct SteppedThread {
    shared: Arc<Shared>,
    thread: StreamThread,
    prepared: bool,
}

/// What a stream thread works with.
pub(crate) struct Surroundings {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) stores: Box<dyn TaskStores>,
    pub(crate) environment: Arc<dyn Environment>,
}

impl SteppedThread {
    /// The threads of a process, as many as its settings say.
    pub(crate) fn of_a_process(
        topology: &Topology,
        config: &AppConfig,
        surroundings: &dyn Fn(u32) -> Surroundings,
    ) -> Vec<Self> {
        let shared = Arc::new(Shared::default());
        let thread = |number| {
            let Surroundings { log, stores, environment } = surroundings(number);
            let (topology, config, shared) = (topology.clone(), config.clone(), Arc::clone(&shared));
            let thread = StreamThread::new(log, topology, config, stores, Arc::clone(&shared), number, environment);
            Self { shared, thread, prepared: false }
        };
        (0..config.threads.max(1)).map(thread).collect()
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

    /// Asks all threads of its process to commit and leave; the steps that follow do it.
    pub(crate) fn request_stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }

    /// Whether its process has all it was given, and nothing to restore.
    pub(crate) fn is_whole(&self) -> bool {
        let stats = self.shared.stats.snapshot();
        self.prepared && stats.waiting == 0 && stats.restoring == 0
    }
}
