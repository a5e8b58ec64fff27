//! Starting, watching and stopping an application.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::stats::{Stats, StatsSnapshot};
use super::stores::Stores;
use super::thread::StreamThread;
use super::{AppConfig, StateLocation};
use crate::log::{CleanupPolicy, Log, LogError, LogErrorKind, TopicSpec};
use crate::state::StateError;
use crate::task::TaskError;
use crate::topology::Topology;

/// Why an application stopped, or did not start.
#[derive(Debug, thiserror::Error)]
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
    pub(super) stats: Stats,
}

/// A running application of this process. Dropping it stops it without waiting.
pub struct App {
    application: String,
    threads: u32,
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<Result<(), AppError>>>,
}

impl App {
    /// Starts the stream threads and returns at once. Topics are made and groups joined behind it; while the log is
    /// away that is tried again and again, with a line in the log of the process.
    ///
    /// # Errors
    /// When no thread can be started. All else shows in [`App::wait`].
    pub fn start(log: Arc<dyn Log>, topology: Topology, config: AppConfig) -> Result<Self, AppError> {
        let application = topology.application().to_owned();
        let shared = Arc::new(Shared::default());
        let threads = config.threads.max(1);
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
        Ok(Self { application, threads, shared, supervisor: Some(supervisor) })
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
    if !prepare_patiently(log.as_ref(), topology, config, shared)? {
        return Ok(());
    }
    let stores = Stores::new(application, config);
    let mut threads = Vec::new();
    for number in 0..config.threads.max(1) {
        let thread = (Arc::clone(log), topology.clone(), config.clone(), stores.clone(), Arc::clone(shared));
        let handle = std::thread::Builder::new()
            .name(format!("{application}-{number}"))
            .spawn(move || {
                let (log, topology, config, stores, shared) = thread;
                let stop = Arc::clone(&shared);
                let result = StreamThread::new(log, topology, config, stores, shared, number).run();
                stop.stop.store(true, Ordering::Release);
                result
            })
            .map_err(|error| AppError::Thread { application: application.into(), reason: error.to_string() })?;
        threads.push(handle);
    }
    let mut outcome = Ok(());
    for handle in threads {
        let result = handle.join().unwrap_or_else(|_| {
            Err(AppError::Thread { application: application.into(), reason: "a stream thread panicked".into() })
        });
        if let Err(error) = result {
            tracing::error!(%error, "stream thread ended");
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

/// Checks and makes topics, waiting for a log that is away. `false`: asked to stop meanwhile.
fn prepare_patiently(
    log: &dyn Log,
    topology: &Topology,
    config: &AppConfig,
    shared: &Shared,
) -> Result<bool, AppError> {
    let mut wait = Duration::from_millis(100);
    while !shared.stop.load(Ordering::Acquire) {
        match prepare(log, topology, config) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == LogErrorKind::Retriable => {
                tracing::warn!(%error, application = topology.application(), "log is away; trying again");
                std::thread::sleep(wait);
                wait = (wait * 2).min(Duration::from_secs(2));
            }
            Err(source) => return Err(AppError::Log { application: topology.application().into(), source }),
        }
    }
    Ok(false)
}

fn prepare(log: &dyn Log, topology: &Topology, config: &AppConfig) -> Result<(), LogError> {
    if !config.topics.is_empty() {
        log.create_topics(&config.topics)?;
    }
    for source in topology.sources() {
        let Some(topic) = log.describe_topic(&source.topic)? else {
            return Err(LogError::new(
                LogErrorKind::UnknownTopic,
                format!("source `{}` reads topic {}, which does not exist; create it first", source.name, source.topic),
            ));
        };
        if source.copartitioned && topic.partitions != config.partitions {
            return Err(LogError::new(
                LogErrorKind::Mismatch,
                format!(
                    "topic {} has {} partitions, the application has {}; source `{}` relies on its key: use `key_by`, \
                     or give both the same count",
                    source.topic, topic.partitions, config.partitions, source.name
                ),
            ));
        }
    }
    let spec = |name: &str, cleanup| TopicSpec { name: name.to_owned(), partitions: config.partitions, cleanup };
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let mut topics: Vec<_> = topology
        .internal_topics()
        .iter()
        .map(|topic| spec(&topic.name, CleanupPolicy::Delete { retention: Some(week) }))
        .collect();
    topics.push(spec(&topology.changelog(), CleanupPolicy::Delete { retention: None }));
    log.create_topics(&topics)?;
    if let StateLocation::Directory(directory) = &config.state {
        std::fs::create_dir_all(directory).map_err(|error| {
            LogError::new(LogErrorKind::Configuration, format!("state directory {}: {error}", directory.display()))
        })?;
    }
    Ok(())
}
