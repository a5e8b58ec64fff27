//! What is in the topics of a world. An embedded log belongs to its process, which is stopped while somebody else reads it.

use beacon_core::log::embedded::EmbeddedLog;

use super::World;
use super::ledger::Ledger;
use super::members::{self, Shape};
use crate::topic::{self, Entry};

impl World {
    /// Where each partition of a topic (its name without prefix) begins.
    ///
    /// # Panics
    /// On the embedded log while its process runs.
    #[track_caller]
    pub fn starts_of(&mut self, topic: &str) -> Vec<u64> {
        let name = self.name(topic);
        let starts = match &self.shape {
            Shape::Kafka { bootstrap, .. } => topic::starts_kafka(bootstrap, &name),
            Shape::Embedded { storage } => {
                let log = EmbeddedLog::open(storage.join(members::LOG_DIRECTORY))
                    .unwrap_or_else(|error| panic!("the log must be free: {error}"));
                topic::starts_log(log.as_ref(), &name)
            }
        };
        starts.unwrap_or_else(|error| panic!("cannot look at {name}: {error:#}"))
    }

    /// All committed records of one of Beacon's topics. An embedded log is stopped for it, and started again.
    #[track_caller]
    pub fn read(&mut self, topic: &str) -> Vec<Entry> {
        let entries = match &self.shape {
            Shape::Kafka { bootstrap, prefix, .. } => topic::read_kafka(bootstrap, &format!("{prefix}{topic}")),
            Shape::Embedded { .. } => {
                let read = self.while_stopped(|log, name| topic::read_log(log, &name(topic)));
                self.start_all();
                read
            }
        };
        entries.unwrap_or_else(|error| panic!("cannot read {topic}: {error:#}"))
    }

    /// Writes records (key, value) straight to one of Beacon's topics, past the gateway, and returns when they are
    /// durable. An embedded log is stopped for it, and started again.
    #[track_caller]
    pub fn write(&mut self, topic: &str, records: &[(Vec<u8>, Vec<u8>)]) {
        let written = match &self.shape {
            Shape::Kafka { bootstrap, prefix, .. } => {
                topic::write_kafka(bootstrap, &format!("{prefix}{topic}"), records, &[])
            }
            Shape::Embedded { .. } => {
                let written = self.while_stopped(|log, name| topic::write_log(log, &name(topic), records));
                self.start_all();
                written
            }
        };
        written.unwrap_or_else(|error| panic!("cannot write to {topic}: {error:#}"));
    }

    /// Ends the scenario: stops every process with SIGTERM, each of which must exit with 0, and reads what was decided
    /// and delivered.
    #[track_caller]
    pub fn finish(mut self) -> Ledger {
        self.stop_all();
        let read = match &self.shape {
            Shape::Kafka { bootstrap, prefix, .. } => {
                Ledger::read(|topic| topic::read_kafka(bootstrap, &format!("{prefix}{topic}")))
            }
            Shape::Embedded { .. } => {
                self.while_stopped(|log, name| Ledger::read(|topic| topic::read_log(log, &name(topic))))
            }
        };
        read.unwrap_or_else(|error| panic!("cannot read what was decided: {error:#}"))
    }

    /// Opens the embedded log, which its process must leave first.
    #[track_caller]
    fn while_stopped<T>(&mut self, act: impl FnOnce(&EmbeddedLog, &dyn Fn(&str) -> String) -> T) -> T {
        self.stop_all();
        let Shape::Embedded { storage } = &self.shape else { panic!("only an embedded log belongs to one process") };
        let log = EmbeddedLog::open(storage.join(members::LOG_DIRECTORY))
            .unwrap_or_else(|error| panic!("after a clean stop the log is free: {error}"));
        act(&log, &|topic| format!("{}{topic}", members::DEFAULT_PREFIX))
    }

    /// The full name of a topic or application.
    pub(super) fn name(&self, name: &str) -> String {
        match &self.shape {
            Shape::Kafka { prefix, .. } => format!("{prefix}{name}"),
            Shape::Embedded { .. } => format!("{}{name}", members::DEFAULT_PREFIX),
        }
    }
}
