//! The cluster as a whole: what topics there are, offsets, trimming. Nothing here is fast; nothing here needs to be.
//!
//! Invariant: nothing creates a topic but [`Cluster::create_topics`], even on a broker that creates topics by itself
//! when somebody asks for them (`tests/kafka/admin.rs: asking_for_an_unknown_topic_does_not_make_it`,
//! `tests/kafka/commit.rs: sending_to_an_unknown_topic_makes_nothing`).

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::log::{
    Isolation, LogError, LogErrorKind, Offset, OffsetRange, TopicDescription, TopicPartition, check_topic_name,
    topic_name,
};

use super::batch::offset_of;
use super::block_on::block_on;
use super::config::{KafkaConfig, native, start};
use super::error::{describe, from_safe, is_answer, kind_of, log_error};
use super::partitions::{committed_in, list_at, native_number, native_partition};
use super::patience::ask_while;
use super::raw::{Client, ClientKind, NoDeliveries, TopicMetadata, errors_of, lock};

/// What may go wrong in a librdkafka that `build.rs` could not mend; empty of one that it has.
const FAULTS: &str = env!("BEACON_LIBRDKAFKA_FAULTS");

/// Administration of one cluster, shared by all threads.
pub(super) struct Cluster {
    config: KafkaConfig,
    /// Sees everything in the log, so that its ends are true ends.
    uncommitted: Client,
    /// Sees what is committed, so that its ends are last stable offsets.
    committed: OnceLock<Client>,
    known_topics: Mutex<Vec<(Arc<str>, u32)>>,
    lacks_kip_848: AtomicBool,
}

impl Cluster {
    /// Connects; see [`super::KafkaLog::connect`].
    pub fn connect(config: KafkaConfig) -> Result<Self, LogError> {
        let cluster = Self::connect_later(config)?;
        cluster.metadata(None)?;
        Ok(cluster)
    }

    /// See [`super::KafkaLog::connect_later`].
    pub fn connect_later(config: KafkaConfig) -> Result<Self, LogError> {
        config.check()?;
        if !FAULTS.is_empty() {
            tracing::warn!("librdkafka is linked as it is, and may fail: {FAULTS}");
        }
        let uncommitted = reading_client(&config.reading("admin", "read_uncommitted"))?;
        Ok(Self {
            config,
            uncommitted,
            committed: OnceLock::new(),
            known_topics: Mutex::default(),
            lacks_kip_848: AtomicBool::new(false),
        })
    }

    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// Whether a session found out that the broker does not speak KIP-848.
    pub fn lacks_kip_848(&self) -> bool {
        self.lacks_kip_848.load(Ordering::Relaxed)
    }

    /// So that later sessions need not find out again.
    pub fn note_lack_of_kip_848(&self) {
        self.lacks_kip_848.store(true, Ordering::Relaxed);
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Vec<TopicMetadata>, LogError> {
        ask_while(self.config.timeout, passes, |left| self.uncommitted.metadata(topic, left))
            .map_err(|code| self.gave_up(&self.uncommitted, code, topic.unwrap_or("all topics")))
    }

    /// No answer that helps came in time, or one that waiting does not mend: says who was asked what, and the reason
    /// librdkafka met on the way, which tells more than its own codes.
    pub(super) fn gave_up(&self, client: &Client, code: Code, what: impl Display) -> LogError {
        let servers = self.config.bootstrap_servers.trim();
        if !passes(&code) {
            return log_error(code, what);
        }
        if is_answer(code) {
            let text =
                format!("{what}: Kafka at {servers} still answers after {:?}: {}", self.config.timeout, describe(code));
            return LogError::new(LogErrorKind::Retriable, text);
        }
        let _ = serve_errors(client);
        match client.take_last_error() {
            Some((reason, text)) if kind_of(reason) == LogErrorKind::Configuration => {
                LogError::new(LogErrorKind::Configuration, format!("Kafka at {servers} refuses this client: {text}"))
            }
            Some((_, text)) => LogError::new(
                LogErrorKind::Retriable,
                format!("{what}: no answer from Kafka at {servers} within {:?}: {text}", self.config.timeout),
            ),
            None => LogError::new(
                LogErrorKind::Retriable,
                format!(
                    "{what}: no answer from Kafka at {servers} within {:?}: {}",
                    self.config.timeout,
                    describe(code)
                ),
            ),
        }
    }

    /// All topics but those that Kafka keeps for itself.
    pub fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        let mut topics: Vec<_> = self
            .metadata(None)?
            .into_iter()
            .filter(|topic| topic.error.is_none() && !topic.name.starts_with("__"))
            .map(|topic| TopicDescription { name: topic.name, partitions: count(topic.leaders.len()) })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic, `None` if the cluster does not know it.
    pub fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        Ok(self
            .topic_metadata(topic)?
            .map(|metadata| TopicDescription { name: metadata.name, partitions: count(metadata.leaders.len()) }))
    }

    pub(super) fn topic_metadata(&self, topic: &str) -> Result<Option<TopicMetadata>, LogError> {
        // librdkafka takes no empty name and none with a NUL, and has other words for it.
        if check_topic_name(topic).is_err() {
            return Ok(None);
        }
        let Some(metadata) = self.metadata(Some(topic))?.into_iter().find(|found| found.name == topic) else {
            return Ok(None);
        };
        match metadata.error {
            None => Ok(Some(metadata)),
            Some(Code::LeaderNotAvailable) => Ok(Some(metadata)),
            Some(code) if kind_of(code) == LogErrorKind::UnknownTopic => Ok(None),
            Some(code) => Err(log_error(code, format_args!("topic {topic}"))),
        }
    }

    /// A client to ask with.
    pub(super) fn any_client(&self) -> &Client {
        &self.uncommitted
    }

    /// They were deleted; another of the same name may have another partition count.
    pub(super) fn forget_topics(&self, topics: &[&str]) {
        lock(&self.known_topics).retain(|(name, _)| !topics.contains(&&**name));
    }

    /// Whether a topic was seen before, without asking anybody.
    pub fn knows_topic(&self, topic: &str) -> bool {
        lock(&self.known_topics).iter().any(|(name, _)| &**name == topic)
    }

    /// The partition count of a topic that has to exist; asked once per topic.
    pub fn require_topic(&self, topic: &str) -> Result<u32, LogError> {
        if let Some((_, partitions)) = lock(&self.known_topics).iter().find(|(name, _)| &**name == topic) {
            return Ok(*partitions);
        }
        let Some(description) = self.describe_topic(topic)? else {
            let servers = &self.config.bootstrap_servers;
            return Err(topic_name::missing(topic, || {
                format!("Kafka at {servers} has no topic {topic}: create it first")
            }));
        };
        lock(&self.known_topics).push((Arc::from(topic), description.partitions));
        Ok(description.partitions)
    }

    /// Whether a topic that was there still is; one that is not is forgotten.
    fn is_still_there(&self, topic: &str) -> bool {
        let gone = matches!(self.topic_metadata(topic), Ok(None));
        if gone {
            lock(&self.known_topics).retain(|(name, _)| &**name != topic);
        }
        !gone
    }

    /// Refuses partitions that do not exist.
    pub fn require_partition(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let partitions = self.require_topic(&partition.topic)?;
        if partition.partition < partitions {
            return Ok(());
        }
        Err(LogError::new(
            LogErrorKind::UnknownTopic,
            format!("there is no partition {partition}: the topic has {partitions}"),
        ))
    }

    /// Start and end of a partition.
    pub fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        self.require_partition(partition)?;
        let client = match isolation {
            Isolation::Uncommitted => &self.uncommitted,
            Isolation::Committed => self.committed_client()?,
        };
        let number = native_partition(partition);
        // Of several brokers, the one asked may hear later of a topic than the one that described it.
        let not_yet =
            |code: &Code| kind_of(*code) == LogErrorKind::UnknownTopic && self.is_still_there(&partition.topic);
        let again = |code: &Code| passes(code) || not_yet(code);
        let ask = |left| {
            let answer = client.watermarks(&partition.topic, number, left);
            if matches!(&answer, Err(code) if not_yet(code)) {
                // The topic may have been made again with more partitions than this client has seen: only its own
                // question makes it forget the old count. What it answers is seen at the next try.
                let _ = client.metadata(Some(&partition.topic), left);
            }
            answer
        };
        ask_while(self.config.timeout, again, ask)
            .map(|(low, high)| OffsetRange { start: offset_of(low), end: offset_of(high) })
            .map_err(|code| self.gave_up(client, code, format_args!("offsets of {partition}")))
    }

    fn committed_client(&self) -> Result<&Client, LogError> {
        if let Some(client) = self.committed.get() {
            return Ok(client);
        }
        let client = reading_client(&self.config.reading("admin", "read_committed"))?;
        Ok(self.committed.get_or_init(|| client))
    }

    /// The offsets a group has committed for partitions of these topics.
    pub fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let mut asked = TopicPartitionList::new();
        for topic in topics {
            let partitions = self.require_topic(topic)?;
            for partition in 0..partitions {
                asked.add_partition(topic, native_number(partition));
            }
        }
        // Read-committed clients ask for decided offsets: a commit that has returned is seen, although its markers are
        // written a moment later.
        let mut config = self.config.reading("admin", "read_committed");
        config.set("group.id", group);
        let client = reading_client(&config)?;
        let told = ask_while(
            self.config.timeout,
            |(_, code)| passes(code),
            |left| {
                client.committed(&asked, left).map_err(|code| (None, code))?;
                committed_in(&asked).map_err(|(partition, code)| (Some(partition), code))
            },
        );
        told.map(|told| told.into_iter().filter_map(|(partition, offset)| Some((partition, offset?))).collect())
            .map_err(|(partition, code)| match partition {
                None => self.gave_up(&client, code, format_args!("committed offsets of group {group}")),
                Some(at) => self.gave_up(&client, code, format_args!("committed offset of group {group} in {at}")),
            })
    }

    /// Deletes the records before an offset.
    pub fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.require_partition(partition)?;
        let admin = self.admin()?;
        let context = || format!("trimming {partition} before {before}");
        ask_while(self.config.timeout, is_passing, |left| {
            let trimmed = block_on(admin.delete_records(&list_at([(partition, before)].into_iter()), &options(left)))
                .map_err(|error| from_safe(error, context()))?;
            match errors_of(&trimmed).into_iter().flatten().next() {
                Some(code) => Err(log_error(code, context())),
                None => Ok(()),
            }
        })
    }

    /// A client for one administrative call; dropped after it, since nobody would poll its notices.
    pub(super) fn admin(&self) -> Result<AdminClient<DefaultClientContext>, LogError> {
        let config = self.config.producing("admin", Duration::ZERO);
        // For the error that names the setting and hides its value.
        native(&config)?;
        config.create().map_err(|error| from_safe(error, "starting an admin client"))
    }

    /// A client to read with; the caller assigns what it reads.
    pub fn reader_client(&self, isolation: Isolation) -> Result<Client, LogError> {
        let level = match isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        reading_client(&self.config.reading("reader", level))
    }
}

fn reading_client(config: &ClientConfig) -> Result<Client, LogError> {
    let label = config.get("client.id").unwrap_or_default().to_owned();
    start(ClientKind::Consumer, config, label, Arc::new(NoDeliveries))
}

pub(super) fn options(timeout: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

/// Whether the same question may be answered otherwise in a moment.
fn passes(code: &Code) -> bool {
    kind_of(*code) == LogErrorKind::Retriable
}

pub(super) fn is_passing(error: &LogError) -> bool {
    error.kind() == LogErrorKind::Retriable
}

/// Lets pending error notices reach the client's error callback.
fn serve_errors(client: &Client) -> usize {
    let mut messages = Vec::new();
    client.consume(&mut messages, 16, Duration::ZERO);
    messages.len()
}

pub(super) fn count(partitions: usize) -> u32 {
    u32::try_from(partitions).unwrap_or(u32::MAX)
}
