//! Whole topics, read committed, and records written by hand.
//!
//! What it deliberately does not do: on Kafka it does not go through beacon-core. Who judges what a program wrote should
//! not read it with the same program.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use beacon_core::log::{self, Event, Isolation, Log};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::runtime::block_on;

const PATIENCE: Duration = Duration::from_secs(60);

/// A record as a committed reader sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// 0-based.
    pub partition: u32,
    /// Its place there.
    pub offset: u64,
    /// Empty when it has none.
    pub key: Vec<u8>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In the order they were added.
    pub headers: Vec<log::Header>,
}

impl Entry {
    /// The first header of this name as text, if any.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// Reads a topic on Kafka from its start to its last stable offset, each partition in order.
///
/// # Errors
/// The topic does not exist, or Kafka does not answer within a minute.
pub fn read_kafka(bootstrap: &str, topic: &str) -> Result<Vec<Entry>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        // Required by the client; without a commit no group is ever made.
        .set("group.id", "scenari")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()?;
    let partitions = partitions(&consumer, topic)?;
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut open: BTreeSet<i32> = partitions.into_iter().collect();
    let mut entries = Vec::new();
    let started = Instant::now();
    while !open.is_empty() {
        if started.elapsed() > PATIENCE {
            bail!("partitions {open:?} of {topic} have not been read to their ends in a minute");
        }
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => entries.push(entry(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            // librdkafka goes on by itself after what it reports here; the deadline above ends a lasting trouble.
            Some(Err(_)) | None => {}
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// Where each partition of a topic on Kafka begins: what is before was trimmed or has expired.
///
/// # Errors
/// The topic does not exist, or Kafka does not answer within a minute.
pub fn starts_kafka(bootstrap: &str, topic: &str) -> Result<Vec<u64>> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let start = |partition| -> Result<u64> {
        let (start, _) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
        Ok(u64::try_from(start)?)
    };
    partitions(&consumer, topic)?.into_iter().map(start).collect()
}

/// The same of any log that this process may open.
///
/// # Errors
/// The topic does not exist, or the log cannot be read.
pub fn starts_log(log: &dyn Log, topic: &str) -> Result<Vec<u64>> {
    let found =
        log.describe_topic(topic)?.with_context(|| format!("there is no topic {topic} in {}", log.describe()))?;
    let start = |partition| Ok(log.offsets(&log::TopicPartition::new(topic, partition), Isolation::Committed)?.start);
    (0..found.partitions).map(start).collect()
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), PATIENCE)
        .with_context(|| format!("Kafka does not say which partitions {topic} has"))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found {
        Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
            Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
        }
        _ => bail!("there is no topic {topic}"),
    }
}

fn entry(message: &rdkafka::message::BorrowedMessage<'_>) -> Entry {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    Entry {
        partition: u32::try_from(message.partition()).expect("a consumed message has a partition"),
        offset: u64::try_from(message.offset()).expect("a consumed message has an offset"),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// Writes records (key, value) straight to a topic on Kafka, all with these headers, and returns when all replicas have
/// them.
///
/// # Errors
/// Kafka did not take them within a minute.
pub fn write_kafka(
    bootstrap: &str,
    topic: &str,
    records: &[(Vec<u8>, Vec<u8>)],
    headers: &[(&str, &str)],
) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", PATIENCE.as_millis().to_string())
        .create()?;
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_bytes()) })
    });
    for (key, value) in records {
        producer
            .send(BaseRecord::to(topic).key(key).payload(value).headers(headers.clone()))
            .map_err(|(error, _)| error)
            .with_context(|| format!("cannot write to {topic}"))?;
    }
    producer.flush(PATIENCE).with_context(|| format!("records for {topic} were not taken"))
}

/// Makes a topic on Kafka with one replica.
///
/// # Errors
/// Kafka refuses it or does not answer.
pub fn create_kafka(bootstrap: &str, topic: &str, partitions: i32) -> Result<()> {
    use rdkafka::admin::{NewTopic, TopicReplication};
    let topics = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1))];
    let results = block_on(admin(bootstrap)?.create_topics(&topics, &AdminOptions::new()))?;
    for result in results {
        result.map_err(|(name, code)| anyhow::anyhow!("{name}: {code}"))?;
    }
    Ok(())
}

/// Deletes the topics on Kafka whose names begin so.
///
/// # Errors
/// Kafka does not answer; topics that cannot be deleted are left.
pub fn delete_kafka(bootstrap: &str, prefix: &str) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(10))?;
    let names: Vec<&str> =
        metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(prefix)).collect();
    if !names.is_empty() {
        block_on(admin(bootstrap)?.delete_topics(&names, &AdminOptions::new()))?;
    }
    Ok(())
}

fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", bootstrap).create()?)
}

/// Reads a topic of any log that this process may open, from its start to its committed end.
///
/// # Errors
/// The topic does not exist, or the log cannot be read.
pub fn read_log(log: &dyn Log, topic: &str) -> Result<Vec<Entry>> {
    let description =
        log.describe_topic(topic)?.with_context(|| format!("there is no topic {topic} in {}", log.describe()))?;
    let mut starts = Vec::new();
    for partition in 0..description.partitions {
        let partition = log::TopicPartition::new(topic, partition);
        let start = log.offsets(&partition, Isolation::Committed)?.start;
        starts.push((partition, start));
    }
    let mut reader = log.reader(Isolation::Committed)?;
    reader.assign(&starts)?;
    let mut open: BTreeSet<u32> = starts.into_iter().map(|(partition, _)| partition.partition).collect();
    let mut entries = Vec::new();
    let started = Instant::now();
    while !open.is_empty() {
        if started.elapsed() > PATIENCE {
            bail!("partitions {open:?} of {topic} have not been read to their ends in a minute");
        }
        match reader.poll(Duration::from_millis(200))? {
            Event::Records(batch) => entries.extend((0..batch.len()).map(|index| owned(&batch.get(index)))),
            Event::EndOfPartition(partition, _) => drop(open.remove(&partition.partition)),
            _ => {}
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

fn owned(record: &log::RecordRef<'_>) -> Entry {
    Entry {
        partition: record.partition,
        offset: record.offset,
        key: record.key.unwrap_or_default().to_vec(),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers(),
    }
}

/// Writes records (key, value) straight to a topic of any log that this process may open, durably.
///
/// # Errors
/// The log refuses them.
pub fn write_log(log: &dyn Log, topic: &str, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    let records = records.iter().map(|(key, value)| log::Record::new(topic, key.clone(), value.clone())).collect();
    log.appender()?.append_blocking(records)?;
    Ok(())
}
