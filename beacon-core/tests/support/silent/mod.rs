//! One run of the job whose input is mostly silent, on a log.

mod job;

use std::time::Duration;

use beacon_core::log::{Isolation, Log, TopicPartition};
use beacon_core::runtime::AppConfig;
use beacon_core::topology::Topology;

use super::counting::by_word;
use super::{read_all, topic, wait_until};
pub use job::READINGS;

/// Tasks of the application.
pub const PARTITIONS: u32 = 4;

/// One run of the job.
#[derive(Clone)]
pub struct Silent {
    prefix: String,
}

impl Silent {
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: format!("{}-", prefix.into()) }
    }

    pub fn topology(&self) -> Topology {
        job::topology(&self.prefix)
    }

    pub fn config(&self, instance: &str) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.instance = instance.to_owned();
        config.commit_interval = Duration::from_millis(10);
        config.retry_backoff = Duration::from_millis(20);
        config.topics = ["readings", "out"].map(|name| topic(format!("{}{name}", self.prefix), PARTITIONS)).to_vec();
        config
    }

    pub fn make_topics(&self, log: &dyn Log) {
        log.create_topics(&self.config("any").topics).expect("made");
    }

    /// How many readings are in the log.
    pub fn fed(&self, log: &dyn Log) -> u64 {
        let at = TopicPartition::new(format!("{}readings", self.prefix), job::SPOKEN);
        log.offsets(&at, Isolation::Committed).expect("offsets").end
    }

    /// Appends readings one by one, from where the input stands up to `limit`; past [`READINGS`] also the one after all.
    pub fn feed(&self, log: &dyn Log, limit: u64, pause: Duration) {
        let appender = log.appender().expect("an appender");
        for number in self.fed(log)..limit.min(READINGS + 1) {
            appender.append_blocking(vec![job::reading(&self.prefix, number)]).expect("appended");
            std::thread::sleep(pause);
        }
    }

    /// Waits until all windows have closed, and checks what each had.
    pub fn check(&self, log: &dyn Log) {
        let (out, wanted) = (format!("{}out", self.prefix), job::wanted());
        let lines = wanted.values().map(Vec::len).sum();
        wait_until("every window to close", || read_all(log, &out).len() >= lines);
        assert_eq!(by_word(read_all(log, &out)), wanted);
    }
}
