//! What the examples share: an embedded log in a temporary directory, and what it takes to feed a job and look at it.

#![allow(dead_code, reason = "each example uses the part it needs")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::codec::Codec;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{CleanupPolicy, Event, Isolation, Log, Record, TopicPartition, TopicSpec};
use beacon_core::runtime::{App, AppConfig, StateLocation};
use beacon_core::topology::{Topic, Topology};

/// Partitions of every topic here.
pub const PARTITIONS: u32 = 4;

/// How long an example waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(format!("waited {PATIENCE:?} for {what}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A log and a directory, gone at the end.
pub struct Place {
    directory: tempfile::TempDir,
    log: Arc<EmbeddedLog>,
}

impl Place {
    /// A new log with these topics.
    pub fn with_topics(topics: &[&str]) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let log = EmbeddedLog::open(directory.path().join("log"))?;
        let spec = |name: &&str| TopicSpec {
            name: (*name).to_owned(),
            partitions: PARTITIONS,
            cleanup: CleanupPolicy::Delete { retention: None },
        };
        log.create_topics(&topics.iter().map(spec).collect::<Vec<_>>())?;
        Ok(Self { directory, log })
    }

    /// Where the job's state is: one RocksDB per task.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A folder for checkpoints of it.
    pub fn checkpoints(&self) -> PathBuf {
        self.directory.path().join("checkpoints")
    }

    /// Settings of a job whose state is there.
    pub fn config(&self) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.state = StateLocation::Directory(self.state());
        config
    }

    /// Runs a job.
    pub fn start(&self, topology: Topology) -> Result<App, Box<dyn Error>> {
        self.start_with(topology, self.config())
    }

    /// Runs a job with these settings.
    pub fn start_with(&self, topology: Topology, config: AppConfig) -> Result<App, Box<dyn Error>> {
        Ok(App::start(self.log.clone(), topology, config)?)
    }

    /// Writes a record, durably.
    pub fn send<V: Codec>(&self, topic: &Topic<V>, key: &str, value: &V) -> Result<(), Box<dyn Error>> {
        self.append(Record::new(Arc::clone(topic.name()), key, value.to_bytes()))
    }

    /// Writes a record of something that happened then, in milliseconds since the epoch.
    pub fn send_at<V: Codec>(&self, topic: &Topic<V>, key: &str, value: &V, at_ms: i64) -> Result<(), Box<dyn Error>> {
        let mut record = Record::new(Arc::clone(topic.name()), key, value.to_bytes());
        record.timestamp_ms = Some(at_ms);
        self.append(record)
    }

    fn append(&self, record: Record) -> Result<(), Box<dyn Error>> {
        self.log.appender()?.append_blocking(vec![record])?;
        Ok(())
    }

    /// Waits until there are `count` committed records in a topic: keys and values, partition by partition.
    pub fn wait_for<V: Codec>(&self, topic: &Topic<V>, count: usize) -> Result<Vec<(String, V)>, Box<dyn Error>> {
        let mut reader = self.log.reader(Isolation::Committed)?;
        let all: Vec<_> =
            (0..PARTITIONS).map(|number| (TopicPartition::new(Arc::clone(topic.name()), number), 0)).collect();
        reader.assign(&all)?;
        let deadline = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        while found.len() < count {
            if let Event::Records(batch) = reader.poll(Duration::from_millis(100))? {
                for index in 0..batch.len() {
                    let record = batch.get(index);
                    let key = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
                    found.push((key, V::decode(record.value.unwrap_or_default())?));
                }
            }
            if Instant::now() > deadline {
                let (found, topic) = (found.len(), topic.name());
                return Err(format!("{found} of {count} records in {topic} after {PATIENCE:?}").into());
            }
        }
        Ok(found)
    }
}
