//! Topics as they are on the disk, into memory: when a log is opened, and after a write of which nobody knew whether it got
//! there.

use std::sync::Arc;

use super::keys::PartitionId;
use super::store::Store;
use super::topic::{Topic, Topics};
use crate::log::LogError;

/// Reads all topics from the disk.
pub(super) fn load_topics(store: &Store) -> Result<Topics, LogError> {
    let topics = Topics::default();
    for topic in read_topics(store)? {
        topics.insert(topic);
    }
    Ok(topics)
}

/// Makes `topics` what is on the disk, which may have topics more, and topics less, by a change that was reported as failed. Who
/// reads from one that is still there goes on with it. Fails before it has changed anything.
pub(super) fn reload_topics(store: &Store, topics: &Topics) -> Result<(), LogError> {
    let found = read_topics(store)?;
    for known in topics.all() {
        if !found.iter().any(|topic| topic.id == known.id) {
            topics.remove(&known.name);
        }
    }
    for topic in found {
        match topics.get(&topic.name) {
            None => topics.insert(topic),
            Some(known) => {
                for (partition, on_disk) in known.partitions.iter().zip(&topic.partitions) {
                    partition.reload(on_disk.range());
                }
            }
        }
    }
    Ok(())
}

fn read_topics(store: &Store) -> Result<Vec<Topic>, LogError> {
    let mut topics = Vec::new();
    for (name, entry) in store.topics()? {
        let mut ranges = Vec::with_capacity(entry.partitions as usize);
        for partition in 0..entry.partitions {
            ranges.push(store.range(PartitionId { topic: entry.id, partition })?);
        }
        topics.push(Topic::new(Arc::from(name), entry.id, entry.cleanup, ranges));
    }
    Ok(topics)
}
