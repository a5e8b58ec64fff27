//! The cleaner: a thread that carries out retention and compaction off the way of writers.
//!
//! It reads like any reader; its changes go through the committer, one window at a time, so that they are ordered with
//! trims and never hold up a commit for longer than one write.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::admin;
use super::chunk::Chunk;
use super::clock::Clock;
use super::committer::{Publish, Queue};
use super::compaction::{Newest, Plan, after_pass, plan, rewrite};
use super::keys::{self, PartitionEntry};
use super::retention::expired_until;
use super::store::{ReadLimit, Store};
use super::sync::lock;
use super::topic::{Partition, Topics};
use crate::log::{CleanupPolicy, LogError, Offset};

/// One window of a pass: read, rewritten and written as one.
const WINDOW: ReadLimit = ReadLimit { bytes: 4 << 20, records: 1 << 16 };

/// What cleaning works on.
#[derive(Clone)]
pub(super) struct Cleaner {
    pub(super) store: Arc<Store>,
    pub(super) topics: Arc<Topics>,
    pub(super) queue: Queue,
    pub(super) clock: Arc<Clock>,
    /// One pass at a time: a rewrite must not start from chunks that another one is replacing.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Cleaner {
    /// Cleans at each interval until `stop` is dropped.
    pub(super) fn run(self, stop: Receiver<()>, interval: Duration) {
        while stop.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = self.pass(|| stop.try_recv() == Err(TryRecvError::Disconnected)) {
                // Nothing is lost by it: the next pass tries again, and writers have their own errors.
                tracing::error!(error = %error, "the embedded log could not be cleaned");
            }
        }
    }

    /// Cleans all partitions once, unless `stopped` says otherwise in between.
    pub(super) fn pass(&self, stopped: impl Fn() -> bool) -> Result<(), LogError> {
        let _turn = lock(&self.turn);
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                if stopped() {
                    return Ok(());
                }
                match topic.cleanup {
                    CleanupPolicy::Delete { retention: None } => {}
                    CleanupPolicy::Delete { retention: Some(retention) } => self.expire(partition, retention)?,
                    CleanupPolicy::Compact => self.compact(partition, &stopped)?,
                }
            }
        }
        Ok(())
    }

    fn expire(&self, partition: &Arc<Partition>, retention: Duration) -> Result<(), LogError> {
        loop {
            let range = partition.range();
            let chunks = self.store.chunks(partition, range.start, range.end, WINDOW)?;
            let now_ms = self.clock.wall_ms();
            match expired_until(chunks.iter().map(|chunk| &**chunk), retention, now_ms) {
                Some(start) if start > range.start => {
                    admin::trim_partition(&self.store, &self.queue, Arc::clone(partition), start)?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn compact(&self, partition: &Arc<Partition>, stopped: &impl Fn() -> bool) -> Result<(), LogError> {
        let retention = self.store.options().tombstone_retention;
        loop {
            let entry = self.store.partition_entry(partition.id)?;
            let Some(closed) = self.closed(partition)? else { return Ok(()) };
            let now_ms = self.clock.wall_ms();
            let Plan::Pass { dirty_from, tombstones_below } = plan(entry, closed, retention, now_ms) else {
                return Ok(());
            };
            let (newest, until) = self.note(partition, dirty_from, closed)?;
            let Some(live) = self.rewrite(partition, entry.start, until, &newest, tombstones_below, stopped)? else {
                return Ok(());
            };
            let next = after_pass(entry, until, live, retention, now_ms);
            self.change(partition, entry.start, Vec::new(), Vec::new(), Some(next))?;
            if until >= closed {
                return Ok(());
            }
        }
    }

    /// Where the last chunk begins.
    fn closed(&self, partition: &Partition) -> Result<Option<Offset>, LogError> {
        let range = partition.range();
        if range.start == range.end { Ok(None) } else { self.store.base_of(partition, range.end - 1) }
    }

    /// Notes keys until the stretch ends or memory does; returns how far it came.
    fn note(&self, partition: &Partition, from: Offset, closed: Offset) -> Result<(Newest, Offset), LogError> {
        let mut newest = Newest::default();
        let mut at = from;
        while at < closed && !newest.is_full() {
            let chunks = self.store.chunks(partition, at, closed, WINDOW)?;
            let Some(end) = chunks.last().map(|chunk| chunk.end()) else { break };
            for chunk in &chunks {
                newest.note(chunk).map_err(|_| self.store.damaged_chunk(partition, chunk.base()))?;
            }
            at = end;
        }
        Ok((newest, at.min(closed)))
    }

    /// Rewrites from the start of the partition up to `until`; returns how many records are left there, or `None` when
    /// it was told to stop or the partition was trimmed meanwhile.
    fn rewrite(
        &self,
        partition: &Arc<Partition>,
        start: Offset,
        until: Offset,
        newest: &Newest,
        tombstones_below: Offset,
        stopped: &impl Fn() -> bool,
    ) -> Result<Option<u64>, LogError> {
        let (mut at, mut live) = (start, 0);
        while at < until {
            if stopped() || partition.range().start != start {
                return Ok(None);
            }
            let window = self.store.chunks(partition, at, until, WINDOW)?;
            let Some(end) = window.last().map(|chunk| chunk.end()) else { break };
            let rewritten =
                rewrite(&window, newest, tombstones_below).map_err(|_| self.store.damaged_chunk(partition, at))?;
            live += rewritten.live;
            if rewritten.changed {
                self.change(partition, start, window, rewritten.chunks, None)?;
            }
            at = end;
        }
        Ok(Some(live))
    }

    /// Replaces chunks, or the entry, unless the partition is gone or does not start at `start` any more.
    fn change(
        &self,
        partition: &Arc<Partition>,
        start: Offset,
        old: Vec<Arc<Chunk>>,
        new: Vec<Chunk>,
        entry: Option<PartitionEntry>,
    ) -> Result<(), LogError> {
        let partition = Arc::clone(partition);
        self.queue.change(Box::new(move |batch| {
            let publish: Publish = Box::new(|| ());
            if partition.is_gone() || partition.range().start != start {
                return Ok(publish);
            }
            for chunk in old {
                batch.delete(keys::chunk(partition.id, chunk.base()));
            }
            for chunk in new {
                batch.put(keys::chunk(partition.id, chunk.base()), chunk.bytes());
            }
            if let Some(entry) = entry {
                batch.put(keys::partition(partition.id), entry.encode());
            }
            Ok(publish)
        }))
    }
}
