//! A log and a state directory that go away with the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::runtime::{App, AppConfig, StateLocation};
use beacon_core::topology::Topology;

use crate::support::counting::Counting;
use crate::support::kept::Kept;
use crate::support::mood::Mood;
use crate::support::wait_until;

pub struct Rig {
    pub directory: tempfile::TempDir,
    pub log: Arc<dyn Log>,
}

impl Rig {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
        Self { directory, log }
    }

    /// Where an instance keeps its state.
    pub fn state(&self, instance: &str) -> PathBuf {
        self.directory.path().join(format!("state-{instance}"))
    }

    /// The same settings with state on disk.
    pub fn on_disk(&self, mut config: AppConfig) -> AppConfig {
        config.state = StateLocation::Directory(self.state(&config.instance));
        config
    }

    pub fn start(&self, topology: Topology, config: AppConfig) -> App {
        App::start(Arc::clone(&self.log), topology, config).expect("started")
    }

    pub fn count(&self, job: &Counting, instance: &str, mood: &Arc<Mood>) -> App {
        self.start(job.topology(mood), self.on_disk(job.config(instance)))
    }

    /// The counting job with checkpoints; its disk is that of instance 0.
    pub fn kept(&self, name: &str, words: u64) -> Kept {
        Kept::new(Arc::clone(&self.log), self.state("0"), name, words)
    }

    pub fn wait_complete(&self, job: &Counting) {
        job.wait_complete(self.log.as_ref());
    }

    /// Outputs and state in the log are those of a calm run, and the disk of the one instance holds that state.
    pub fn check(&self, job: &Counting, instance: &str) {
        job.check_with_disk(self.log.as_ref(), &self.on_disk(job.config(instance)));
    }
}

/// Waits until the application has all its tasks.
pub fn wait_running(app: &App, tasks: u64) {
    wait_until("all tasks run", || app.stats().tasks == tasks && app.stats().restoring == 0);
}

/// A pause between appends that lets other things happen meanwhile.
pub const PACE: Duration = Duration::from_millis(5);
