//! Making topics and trimming partitions: changes that the committer decides between writes.

use std::sync::Arc;

use rocksdb::WriteBatch;

use super::committer::{Publish, Queue};
use super::keys::{self, PartitionEntry, TopicEntry};
use super::store::Store;
use super::topic::{Partition, Topic, Topics};
use crate::log::model::{Trim, trim};
use crate::log::{LogError, LogErrorKind, Offset, OffsetRange, TopicSpec};

/// The longest name Kafka takes.
const NAME_BYTES: usize = 249;

/// Makes the topics that are missing, all or none.
pub(super) fn create_topics(topics: &Arc<Topics>, queue: &Queue, specs: &[TopicSpec]) -> Result<(), LogError> {
    specs.iter().try_for_each(check)?;
    let (specs, topics) = (specs.to_vec(), Arc::clone(topics));
    queue.change(Box::new(move |batch| put_missing(topics, &specs, batch)))
}

fn put_missing(topics: Arc<Topics>, specs: &[TopicSpec], batch: &mut WriteBatch) -> Result<Publish, LogError> {
    let mut next_id = topics.all().iter().map(|topic| topic.id + 1).max().unwrap_or(1);
    let mut made: Vec<(TopicEntry, &str)> = Vec::new();
    for spec in specs {
        let twin = made.iter().find(|(_, name)| *name == spec.name).map(|(entry, _)| entry.partitions);
        match topics.get(&spec.name).map(|topic| topic.count()).or(twin) {
            Some(partitions) if partitions != spec.partitions => return Err(mismatch(spec, partitions)),
            Some(_) => {}
            None => {
                let entry = TopicEntry { id: next_id, partitions: spec.partitions, cleanup: spec.cleanup };
                batch.put(keys::topic(&spec.name), entry.encode());
                made.push((entry, &spec.name));
                next_id += 1;
            }
        }
    }
    let empty = OffsetRange { start: 0, end: 0 };
    let made: Vec<Topic> = made
        .into_iter()
        .map(|(entry, name)| {
            let ranges = std::iter::repeat_n(empty, entry.partitions as usize);
            Topic::new(Arc::from(name), entry.id, entry.cleanup, ranges)
        })
        .collect();
    Ok(Box::new(move || made.into_iter().for_each(|topic| topics.insert(topic))))
}

/// Deletes the records of a partition before `before`.
pub(super) fn trim_partition(
    store: &Arc<Store>,
    queue: &Queue,
    partition: Arc<Partition>,
    before: Offset,
) -> Result<(), LogError> {
    let (reading, trimmed) = (Arc::clone(store), Arc::clone(&partition));
    queue.change(Box::new(move |batch| put_trim(&reading, trimmed, before, batch)))?;
    // Frees disk at once where whole files are concerned; correctness does not depend on it.
    store.drop_files(keys::chunk(partition.id, 0), keys::chunk(partition.id, before.saturating_sub(1)))
}

fn put_trim(
    store: &Store,
    partition: Arc<Partition>,
    before: Offset,
    batch: &mut WriteBatch,
) -> Result<Publish, LogError> {
    let start = match trim(partition.range(), before) {
        Trim::Nothing => return Ok(Box::new(|| ())),
        Trim::StartAt(start) => start,
        Trim::BeyondEnd => {
            let message =
                format!("cannot trim {} before {before}: its end is {}", partition.name, partition.range().end);
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
    };
    let entry = PartitionEntry { start, ..store.partition_entry(partition.id)? };
    batch.put(keys::partition(partition.id), entry.encode());
    // The chunk that holds the new start stays; the ones wholly before it go.
    let kept = store.base_of(&partition, start)?.unwrap_or(start);
    batch.delete_range(keys::chunk(partition.id, 0), keys::chunk(partition.id, kept));
    // Before the write: a reader that finds the records gone must also find that they were trimmed. Should the write
    // fail, the start is read from the disk again.
    partition.start_at(start);
    Ok(Box::new(|| ()))
}

fn check(spec: &TopicSpec) -> Result<(), LogError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = &spec.name;
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(legal) || name == "." || name == ".." {
        let message = format!(
            "{name:?} cannot be a topic's name: 1 to {NAME_BYTES} of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
        );
        return Err(LogError::new(LogErrorKind::Configuration, message));
    }
    if spec.partitions == 0 {
        return Err(LogError::new(LogErrorKind::Configuration, format!("topic {name} needs at least one partition")));
    }
    Ok(())
}

fn mismatch(spec: &TopicSpec, found: u32) -> LogError {
    let message = format!(
        "topic {} has {found} partitions and {} were asked for; ask for {found} or use another topic",
        spec.name, spec.partitions
    );
    LogError::new(LogErrorKind::Mismatch, message)
}

/// Reads all topics from the disk.
pub(super) fn load_topics(store: &Store) -> Result<Topics, LogError> {
    let topics = Topics::default();
    for (name, entry) in store.topics()? {
        let mut ranges = Vec::with_capacity(entry.partitions as usize);
        for partition in 0..entry.partitions {
            ranges.push(store.range(keys::PartitionId { topic: entry.id, partition })?);
        }
        topics.insert(Topic::new(Arc::from(name), entry.id, entry.cleanup, ranges));
    }
    Ok(topics)
}
