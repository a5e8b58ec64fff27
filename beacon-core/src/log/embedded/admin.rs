//! Making topics and trimming partitions: changes that the committer decides between writes.

use std::sync::{Arc, mpsc};

use rocksdb::WriteBatch;

use super::committer::{Publish, Queue};
use super::keys::{self, PartitionEntry, TopicEntry};
use super::store::Store;
use super::topic::{Partition, Topic, Topics};
use crate::log::model::{Trim, trim};
use crate::log::{LogError, LogErrorKind, Offset, OffsetRange, TopicPartition, TopicSpec, check_topic_name};

/// Makes the topics that are missing, all or none.
pub(super) fn create_topics(
    store: &Arc<Store>,
    topics: &Arc<Topics>,
    queue: &Queue,
    specs: &[TopicSpec],
) -> Result<(), LogError> {
    specs.iter().try_for_each(check)?;
    let (specs, topics, store) = (specs.to_vec(), Arc::clone(topics), Arc::clone(store));
    queue.change(Box::new(move |batch| put_missing(&store, topics, &specs, batch)))
}

pub(super) fn put_missing(
    store: &Store,
    topics: Arc<Topics>,
    specs: &[TopicSpec],
    batch: &mut WriteBatch,
) -> Result<Publish, LogError> {
    let greatest = topics.all().iter().map(|topic| topic.id).max().unwrap_or(0);
    let mut next_id = greatest.max(store.last_deleted()?) + 1;
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

/// Deletes the topics that are there, all or none. Offsets that groups have there stay on the disk under an id that is
/// never used again: a few bytes for each.
pub(super) fn delete_topics(
    store: &Arc<Store>,
    topics: &Arc<Topics>,
    queue: &Queue,
    names: &[&str],
) -> Result<(), LogError> {
    let (reading, published) = (Arc::clone(store), Arc::clone(topics));
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (tell, told) = mpsc::sync_channel(1);
    queue.change(Box::new(move |batch| {
        let doomed = put_deletion(&reading, &published, &names, batch)?;
        Ok(Box::new(move || {
            doomed.iter().for_each(|topic| published.remove(&topic.name));
            // Whoever asked waits below.
            let _ = tell.send(doomed);
        }))
    }))?;
    let doomed = told.recv().unwrap_or_default();
    for partition in doomed.iter().flat_map(|topic| &topic.partitions) {
        // Frees disk at once where whole files are concerned; correctness does not depend on it.
        store.drop_files(keys::chunk(partition.id, 0), keys::chunk(partition.id, Offset::MAX))?;
    }
    Ok(())
}

/// Puts the deletion of those that are there now into the batch: since it was asked for they may have been deleted by somebody
/// else, and made again. Returns them.
pub(super) fn put_deletion(
    store: &Store,
    topics: &Topics,
    names: &[String],
    batch: &mut WriteBatch,
) -> Result<Vec<Arc<Topic>>, LogError> {
    let doomed: Vec<Arc<Topic>> = names.iter().filter_map(|name| topics.get(name)).collect();
    let mut last = store.last_deleted()?;
    for topic in &doomed {
        last = last.max(topic.id);
        batch.delete(keys::topic(&topic.name));
        for partition in &topic.partitions {
            batch.delete(keys::partition(partition.id));
            batch.delete_range(keys::chunk(partition.id, 0), keys::chunk(partition.id, Offset::MAX));
        }
    }
    batch.put(keys::LAST_DELETED, last.to_be_bytes());
    Ok(doomed)
}

/// Sets offsets of a group.
pub(super) fn set_committed(
    topics: &Topics,
    queue: &Queue,
    group: &str,
    offsets: &[(TopicPartition, Offset)],
) -> Result<(), LogError> {
    let mut entries = Vec::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        entries.push((keys::group_offset(group, topics.partition(partition)?.id), *offset));
    }
    queue.change(Box::new(move |batch| {
        for (key, offset) in entries {
            batch.put(key, offset.to_be_bytes());
        }
        Ok(Box::new(|| ()))
    }))
}

/// Deletes the records of a partition before `before`.
pub(super) fn trim_partition(
    store: &Arc<Store>,
    queue: &Queue,
    partition: Arc<Partition>,
    before: Offset,
) -> Result<(), LogError> {
    let (reading, trimmed) = (Arc::clone(store), Arc::clone(&partition));
    let (tell, told) = mpsc::sync_channel(1);
    queue.change(Box::new(move |batch| {
        let kept = put_trim(&reading, &trimmed, before, batch)?;
        Ok(Box::new(move || {
            // Whoever asked waits below.
            let _ = tell.send(kept);
        }))
    }))?;
    // Only what the batch deleted may go as files: the chunk that holds the start begins before it, so the start itself
    // says nothing. Frees disk at once where whole files are concerned; correctness does not depend on it.
    match told.recv().ok().flatten().and_then(|kept| kept.checked_sub(1)) {
        Some(last) => store.drop_files(keys::chunk(partition.id, 0), keys::chunk(partition.id, last)),
        None => Ok(()),
    }
}

/// Puts the trim into the batch. Returns before which base all chunks go; `None`: nothing is to be trimmed.
fn put_trim(
    store: &Store,
    partition: &Partition,
    before: Offset,
    batch: &mut WriteBatch,
) -> Result<Option<Offset>, LogError> {
    let start = match trim(partition.range(), before) {
        Trim::Nothing => return Ok(None),
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
    let kept = store.base_of(partition, start)?.unwrap_or(start);
    batch.delete_range(keys::chunk(partition.id, 0), keys::chunk(partition.id, kept));
    // Before the write: a reader that finds the records gone must also find that they were trimmed. Should the write
    // fail, the start is read from the disk again.
    partition.start_at(start);
    Ok(Some(kept))
}

fn check(spec: &TopicSpec) -> Result<(), LogError> {
    check_topic_name(&spec.name)?;
    if spec.partitions == 0 {
        let message = format!("topic {} needs at least one partition", spec.name);
        return Err(LogError::new(LogErrorKind::Configuration, message));
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

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
