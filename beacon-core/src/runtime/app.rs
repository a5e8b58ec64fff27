//! Starting, watching and stopping an application.

#![expect(
    clippy::disallowed_methods,
    reason = "threads of a real process start here; a simulation steps the same loop"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::claims::Claims;
use super::environment::{Environment, RealTime};
use super::fault::panic_text;
use super::prepare::prepare_patiently;
use super::progress::{RestoreProgress, Restores};
use super::stats::{Stats, StatsSnapshot};
use super::stores::Stores;
use super::thread::StreamThread;
use super::watch::AppWatch;
use super::{AppConfig, StoreMemory};
use crate::log::{Log, LogError};
use crate::state::StateError;
use crate::task::TaskError;
use crate::topology::Topology;

/// Why an application stopped, or did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The log failed in a way that waiting does not mend.
    #[error("application `{application}`: {source}")]
    Log {
        /// The application.
        application: String,
        /// What the log said.
        #[source]
        source: LogError,
    },
    /// A task stopped.
    #[error("application `{application}`, task {task}: {source}")]
    Task {
        /// The application.
        application: String,
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: TaskError,
    },
    /// State on this machine failed.
    #[error("application `{application}`, task {task}: {source}")]
    State {
        /// The application.
        application: String,
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: StateError,
    },
    /// A thread could not be started or ended in a panic.
    #[error("application `{application}`: {reason}")]
    Thread {
        /// The application.
        application: String,
        /// What happened.
        reason: String,
    },
}

/// How far an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppStatus {
    /// Waiting for the log, making topics, joining.
    Starting,
    /// Every thread has joined its group at least once.
    Running,
    /// Every thread has ended.
    Stopped,
}

/// What threads share with the handle.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    pub(super) joined: AtomicU32,
    pub(super) stats: Arc<Stats>,
    pub(super) claims: Claims,
    pub(super) restores: Restores,
    /// Uploads of checkpoints under way.
    pub(super) uploads: Arc<AtomicUsize>,
}

/// A running application of this process. Dropping it stops it without waiting.
pub struct App {
    application: String,
    instance: String,
    memory: StoreMemory,
    threads: u32,
    has_checkpoints: bool,
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<Result<(), AppError>>>,
}

impl App {
    /// Starts the stream threads and returns at once. Topics are made and groups joined behind it; while the log is
    /// away that is tried again and again, with a line in the log of the process.
    ///
    /// # Errors
    /// When no thread can be started. All else shows in [`App::wait`].
    pub fn start(log: Arc<dyn Log>, topology: Topology, mut config: AppConfig) -> Result<Self, AppError> {
        let application = topology.application().to_owned();
        let shared = Arc::new(Shared::default());
        let (threads, instance) = (config.threads.max(1), config.instance.clone());
        let has_checkpoints = config.checkpoints.is_some();
        let memory = config.memory.clone().unwrap_or_else(StoreMemory::of_this_process);
        config.commit_bytes = config.commit_bytes.min(memory.budget().commit_bytes(threads));
        let supervisor = {
            let (shared, application) = (Arc::clone(&shared), application.clone());
            std::thread::Builder::new()
                .name(format!("{application}-main"))
                .spawn(move || {
                    let result = supervise(&log, &topology, &config, &shared);
                    // One thread's end is everybody's: a half application would starve its partitions.
                    shared.stop.store(true, Ordering::Release);
                    result
                })
                .map_err(|error| AppError::Thread { application, reason: error.to_string() })?
        };
        Ok(Self { application, instance, memory, threads, has_checkpoints, shared, supervisor: Some(supervisor) })
    }

    /// The application's name.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// How far it is.
    pub fn status(&self) -> AppStatus {
        if self.supervisor.as_ref().is_none_or(JoinHandle::is_finished) {
            AppStatus::Stopped
        } else if self.shared.joined.load(Ordering::Acquire) >= self.threads {
            AppStatus::Running
        } else {
            AppStatus::Starting
        }
    }

    /// What it counted so far.
    pub fn stats(&self) -> StatsSnapshot {
        self.shared.stats.snapshot()
    }

    /// A handle to what it measures, which outlives it: for a process's metrics.
    pub fn watch(&self) -> AppWatch {
        AppWatch {
            application: self.application.clone(),
            instance: self.instance.clone(),
            threads: self.threads,
            shared: Arc::clone(&self.shared),
            memory: self.memory.clone(),
            has_checkpoints: self.has_checkpoints,
        }
    }

    /// How far the restores under way are, by task.
    pub fn restores(&self) -> Vec<RestoreProgress> {
        self.shared.restores.read()
    }

    /// Asks all threads to finish the commit in hand and leave; returns at once.
    pub fn request_stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// Why it ended, unless it was asked to.
    pub fn wait(mut self) -> Result<(), AppError> {
        let application = self.application.clone();
        match self.supervisor.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(AppError::Thread { application, reason: "its main thread panicked".into() }),
        }
    }

    /// [`App::request_stop`], then [`App::wait`].
    ///
    /// # Errors
    /// As [`App::wait`].
    pub fn stop(self) -> Result<(), AppError> {
        self.request_stop();
        self.wait()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.request_stop();
    }
}

fn supervise(
    log: &Arc<dyn Log>,
    topology: &Topology,
    config: &AppConfig,
    shared: &Arc<Shared>,
) -> Result<(), AppError> {
    let application = topology.application();
    let environment: Arc<dyn Environment> = Arc::new(RealTime::new());
    // Told here, too: who started it may look at nothing but its outputs, and would wait for them without a word.
    let prepared = prepare_patiently(log.as_ref(), topology, config, shared, environment.as_ref());
    if !prepared.inspect_err(|error| tracing::error!(%error, "application did not start"))? {
        return Ok(());
    }
    let stores = Stores::new(application, config);
    let ended = |reason| AppError::Thread { application: application.into(), reason };
    let mut threads = Vec::new();
    let mut outcome = Ok(());
    for number in 0..config.threads.max(1) {
        let parts = (Arc::clone(log), topology.clone(), config.clone(), stores.clone(), Arc::clone(shared));
        let environment = Arc::clone(&environment);
        let run = move || {
            let (log, topology, config, stores, shared) = parts;
            StreamThread::new(log, topology, config, Box::new(stores), shared, number, environment).run()
        };
        match start(run, format!("{application}-{number}"), Arc::clone(shared)) {
            Ok(handle) => threads.push(handle),
            Err(error) => {
                shared.stop.store(true, Ordering::Release);
                outcome = Err(ended(format!("cannot start stream thread {number}: {error}")));
                break;
            }
        }
    }
    for handle in threads {
        let result = handle.join().unwrap_or_else(|panic| {
            Err(ended(format!("a stream thread panicked outside of a record: {}", panic_text(panic.as_ref()))))
        });
        if let Err(error) = result {
            tracing::error!(%error, "stream thread ended");
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

/// Starts a stream thread. Its end, by a panic too, is the end of all.
fn start(
    run: impl FnOnce() -> Result<(), AppError> + Send + 'static,
    name: String,
    shared: Arc<Shared>,
) -> Result<JoinHandle<Result<(), AppError>>, std::io::Error> {
    std::thread::Builder::new().name(name).spawn(move || {
        let _ends_all = StopAll(shared);
        run()
    })
}

struct StopAll(Arc<Shared>);

impl Drop for StopAll {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
    }
}
