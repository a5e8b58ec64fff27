//! Topics and partitions as they are in memory: ranges, the newest chunks, and who waits for more.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

use super::chunk::Chunk;
use super::errors;
use super::keys::PartitionId;
use super::signal::Signal;
use super::sync::{lock, read, write};
use crate::log::{CleanupPolicy, LogError, Offset, OffsetRange, TopicPartition};

/// A topic; its partition count never changes.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) id: u32,
    pub(super) cleanup: CleanupPolicy,
    pub(super) partitions: Vec<Arc<Partition>>,
    gone: Arc<AtomicBool>,
}

impl Topic {
    /// A topic with these ranges, one for each partition.
    pub(super) fn new(
        name: Arc<str>,
        id: u32,
        cleanup: CleanupPolicy,
        ranges: impl IntoIterator<Item = OffsetRange>,
    ) -> Self {
        let gone = Arc::new(AtomicBool::new(false));
        let partitions = ranges
            .into_iter()
            .zip(0..)
            .map(|(range, partition)| {
                let id = PartitionId { topic: id, partition };
                let name = TopicPartition::new(Arc::clone(&name), partition);
                Arc::new(Partition::new(id, name, range, Arc::clone(&gone)))
            })
            .collect();
        Self { name, id, cleanup, partitions, gone }
    }

    /// Whether it was deleted; there may be another one of its name.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn count(&self) -> u32 {
        self.partitions.len() as u32
    }

    pub(super) fn partition(&self, partition: u32) -> Result<&Arc<Partition>, LogError> {
        self.partitions
            .get(partition as usize)
            .ok_or_else(|| errors::unknown_partition(&self.name, partition, self.count()))
    }
}

/// A partition. The committer alone moves its range.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) id: PartitionId,
    pub(super) name: TopicPartition,
    start: AtomicU64,
    end: AtomicU64,
    tail: Mutex<VecDeque<Arc<Chunk>>>,
    watchers: Mutex<Vec<Weak<Signal>>>,
    /// Its topic's.
    gone: Arc<AtomicBool>,
}

impl Partition {
    fn new(id: PartitionId, name: TopicPartition, range: OffsetRange, gone: Arc<AtomicBool>) -> Self {
        Self {
            id,
            name,
            start: AtomicU64::new(range.start),
            end: AtomicU64::new(range.end),
            tail: Mutex::default(),
            watchers: Mutex::default(),
            gone,
        }
    }

    /// Whether its topic was deleted. The committer alone does that, so that it knows of each write whether it comes too late.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Where it starts and ends; everything in between is durable.
    pub(super) fn range(&self) -> OffsetRange {
        // The end first: a start read later can only be too great, which readers see as "trimmed", never too small.
        let end = self.end.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Acquire);
        OffsetRange { start, end: end.max(start) }
    }

    /// Makes durable chunks visible. They follow each other and begin at the end.
    pub(super) fn publish(&self, chunks: Vec<Arc<Chunk>>) {
        let Some(end) = chunks.last().map(|chunk| chunk.end()) else { return };
        let mut tail = lock(&self.tail);
        tail.extend(chunks);
        self.end.store(end, Ordering::Release);
        drop(tail);
        self.wake();
    }

    /// Moves the start forward, after the records before it are durably gone.
    pub(super) fn start_at(&self, start: Offset) {
        let mut tail = lock(&self.tail);
        while tail.front().is_some_and(|chunk| chunk.end() <= start) {
            tail.pop_front();
        }
        drop(tail);
        self.start.store(start, Ordering::Release);
        self.wake();
    }

    /// Takes a range read from the disk after the database was opened again.
    pub(super) fn reload(&self, range: OffsetRange) {
        let mut tail = lock(&self.tail);
        tail.clear();
        self.start.store(range.start, Ordering::Release);
        self.end.store(range.end, Ordering::Release);
        drop(tail);
        self.wake();
    }

    /// Drops the oldest cached chunk if it is this one.
    pub(super) fn forget(&self, base: Offset) {
        let mut tail = lock(&self.tail);
        if tail.front().is_some_and(|chunk| chunk.base() == base) {
            tail.pop_front();
        }
    }

    /// Cached chunks from the one that holds `from` on, until `enough` says so; `None` when `from` is older.
    pub(super) fn cached(&self, from: Offset, mut enough: impl FnMut(&Chunk) -> bool) -> Option<Vec<Arc<Chunk>>> {
        let tail = lock(&self.tail);
        if tail.front()?.base() > from {
            return None;
        }
        let first = tail.partition_point(|chunk| chunk.end() <= from);
        let mut found = Vec::new();
        for chunk in tail.range(first..) {
            found.push(Arc::clone(chunk));
            if enough(chunk) {
                break;
            }
        }
        Some(found)
    }

    /// Raises `signal` from now on whenever the range moves.
    pub(super) fn watch(&self, signal: &Arc<Signal>) {
        let mut watchers = lock(&self.watchers);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(signal));
    }

    /// Takes back one [`Partition::watch`].
    pub(super) fn unwatch(&self, signal: &Arc<Signal>) {
        let mut watchers = lock(&self.watchers);
        if let Some(index) = watchers.iter().position(|watcher| watcher.as_ptr() == Arc::as_ptr(signal)) {
            watchers.swap_remove(index);
        }
    }

    fn wake(&self) {
        for signal in lock(&self.watchers).iter().filter_map(Weak::upgrade) {
            signal.raise();
        }
    }
}

/// All topics by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    by_name: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
}

impl Topics {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.by_name).get(name).cloned()
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Topic>, LogError> {
        self.get(name).ok_or_else(|| errors::unknown_topic(name))
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Result<Arc<Partition>, LogError> {
        self.find(&partition.topic)?.partition(partition.partition).cloned()
    }

    pub(super) fn insert(&self, topic: Topic) {
        write(&self.by_name).insert(Arc::clone(&topic.name), Arc::new(topic));
    }

    /// Forgets a topic; who has it open reads nothing more of it, and writes nothing.
    pub(super) fn remove(&self, name: &str) {
        if let Some(topic) = write(&self.by_name).remove(name) {
            topic.gone.store(true, Ordering::Release);
            for partition in &topic.partitions {
                partition.reload(OffsetRange { start: 0, end: 0 });
            }
        }
    }

    /// All of them, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        let mut topics: Vec<_> = read(&self.by_name).values().cloned().collect();
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        topics
    }
}
