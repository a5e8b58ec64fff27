//! The log on a real Apache Kafka: transactions (KIP-98, KIP-447) and consumer groups (KIP-848 or before).
//!
//! Built on librdkafka. Where speed or exactness matters, calls go through one thin unsafe layer, `raw`; the safe
//! crate builds configurations, lists of partitions and administrative requests.
//!
//! What it deliberately does not do: it creates no topic unless told to, keeps nothing on disk, and hides no fence:
//! a session that lost its place says so and is made anew by its owner.
//!
//! Where Kafka differs from what one might expect of a log: a commit that has returned is durable, and visible to
//! committed reads a moment later, when its markers are written; a timestamp of 0 is taken for "now"; a static member
//! that closes keeps its partitions until its session time-out, so that its restart finds them.
//!
//! Invariants beyond those of [`crate::log`]:
//!
//! * no transaction is committed without an offset, and none with the offset of a partition that is not owned
//!   (`tests/kafka/commit.rs: a_commit_without_offsets_is_refused`,
//!   `tests/kafka/commit.rs: a_commit_for_a_partition_of_somebody_else_is_refused`);
//! * a poll waits for nothing but records, except for the committed offsets of partitions just given (a moment)
//!   (`tests/log_contract/reading.rs: a_poll_ends_idle_when_nothing_happens`);
//! * a fenced session's open transaction is aborted at once, so that committed readers need not wait for its time-out
//!   (`tests/kafka/commit.rs: a_newer_session_of_the_same_transactional_id_fences_the_older`,
//!   `tests/kafka/commit.rs: a_member_that_did_not_poll_in_time_is_refused`);
//! * values of settings, which may be secrets, are in no message and no `Debug` output
//!   (`src/log/kafka/config.rs: values_of_extra_settings_are_never_shown`,
//!   `src/log/kafka/config.rs: a_refused_value_is_not_repeated`).

mod admin;
mod appender;
mod batch;
mod block_on;
mod config;
mod ends;
mod error;
mod groups;
mod held_back;
mod inbox;
mod ledger;
mod membership;
mod outcomes;
mod partitions;
mod patience;
mod protocol;
mod raw;
mod reader;
mod repeats;
mod session;
mod topics;
mod transaction;
mod transaction_state;
mod transactions;

use std::fmt;
use std::sync::Arc;

pub use config::{GroupProtocol, KafkaConfig};

use super::{
    Appender, Isolation, Log, LogError, Offset, OffsetRange, OpenTransaction, Reader, Session, SessionConfig,
    TopicDescription, TopicPartition, TopicSpec,
};
use admin::Cluster;
use appender::KafkaAppender;
use reader::KafkaReader;
use session::KafkaSession;

/// A log on a Kafka cluster. Cheap to share; sessions, readers and appenders each have connections of their own.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
}

impl KafkaLog {
    /// Connects to a cluster; returns when a broker has answered.
    ///
    /// # Errors
    /// [`Configuration`](super::LogErrorKind::Configuration) for a setting that is unknown or refused, or a refused
    /// login; [`Retriable`](super::LogErrorKind::Retriable), naming the servers, when nobody answers within
    /// [`KafkaConfig::timeout`].
    pub fn connect(config: KafkaConfig) -> Result<Arc<Self>, LogError> {
        Ok(Arc::new(Self { cluster: Arc::new(Cluster::connect(config)?) }))
    }

    /// As [`KafkaLog::connect`], but returns at once: each call waits for an answer itself, and is
    /// [`Retriable`](super::LogErrorKind::Retriable) when none comes in time. For a process that outlives an outage of Kafka at
    /// its start, as an [`App`](crate::runtime::App) does.
    ///
    /// # Errors
    /// [`Configuration`](super::LogErrorKind::Configuration) for a setting that is unknown or refused. A refused login shows
    /// in the first call.
    pub fn connect_later(config: KafkaConfig) -> Result<Arc<Self>, LogError> {
        Ok(Arc::new(Self { cluster: Arc::new(Cluster::connect_later(config)?) }))
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("config", self.cluster.config()).finish()
    }
}

impl Log for KafkaLog {
    fn describe(&self) -> String {
        format!("kafka at {}", self.cluster.config().bootstrap_servers.trim())
    }

    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.cluster.create_topics(topics)
    }

    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.cluster.list_topics()
    }

    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        self.cluster.describe_topic(topic)
    }

    fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        self.cluster.offsets(partition, isolation)
    }

    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        self.cluster.committed(group, topics)
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.cluster.trim(partition, before)
    }

    fn topic_id(&self, topic: &str) -> Result<Option<String>, LogError> {
        self.cluster.topic_id(topic)
    }

    fn delete_topics(&self, topics: &[&str]) -> Result<(), LogError> {
        self.cluster.delete_topics(topics)
    }

    fn members(&self, group: &str) -> Result<Vec<String>, LogError> {
        self.cluster.members(group)
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.cluster.set_committed(group, offsets)
    }

    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, LogError> {
        transactions::open_transactions(&self.cluster)
    }

    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError> {
        Ok(Box::new(KafkaSession::open(Arc::clone(&self.cluster), config)?))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(KafkaReader::open(Arc::clone(&self.cluster), isolation)?))
    }

    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        Ok(Box::new(KafkaAppender::open(Arc::clone(&self.cluster))?))
    }
}
