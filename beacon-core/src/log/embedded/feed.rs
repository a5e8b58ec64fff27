//! The partitions that one session or reader reads, and what comes next from them.

use std::sync::Arc;

use super::batch::ChunkBatch;
use super::chunk::BadChunk;
use super::errors;
use super::signal::Signal;
use super::store::{ReadLimit, Store};
use super::topic::Partition;
use crate::log::model::{Cursor, Step};
use crate::log::{Event, LogError, Offset, RecordBatch, TopicPartition};

/// One poll delivers about this much: enough to make its fixed cost vanish, little enough to stay in the CPU's cache.
const LIMIT: ReadLimit = ReadLimit { bytes: 1 << 20, records: 8192 };

/// What happens to a position whose records were trimmed away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnTrimmed {
    /// The poll fails: a restore must not have holes.
    Fail,
    /// Goes on at the start with a warning: see decision 0066.
    Skip,
}

struct Lane {
    partition: Arc<Partition>,
    cursor: Cursor,
}

/// Cursors over partitions, served in turn.
pub(super) struct Feed {
    lanes: Vec<Lane>,
    first: usize,
    on_trimmed: OnTrimmed,
    signal: Arc<Signal>,
}

impl Feed {
    pub(super) fn new(on_trimmed: OnTrimmed) -> Self {
        Self { lanes: Vec::new(), first: 0, on_trimmed, signal: Arc::default() }
    }

    /// Raised when one of the partitions moves.
    pub(super) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    pub(super) fn add(&mut self, partition: Arc<Partition>, offset: Offset) {
        partition.watch(&self.signal);
        self.lanes.push(Lane { partition, cursor: Cursor::new(offset) });
    }

    pub(super) fn clear(&mut self) {
        for lane in self.lanes.drain(..) {
            lane.partition.unwatch(&self.signal);
        }
    }

    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        for lane in self.lanes.extract_if(.., |lane| partitions.contains(&lane.partition.name)) {
            lane.partition.unwatch(&self.signal);
        }
    }

    pub(super) fn cursor(&mut self, partition: &TopicPartition) -> Option<&mut Cursor> {
        self.lanes.iter_mut().find(|lane| lane.partition.name == *partition).map(|lane| &mut lane.cursor)
    }

    /// What is read under this name, which may be one that was deleted meanwhile.
    pub(super) fn partition(&self, name: &TopicPartition) -> Option<&Arc<Partition>> {
        self.lanes.iter().map(|lane| &lane.partition).find(|partition| partition.name == *name)
    }

    /// The next event that is there, if any. Each call begins with the next partition, so that none has to wait for
    /// busier ones.
    pub(super) fn next(&mut self, store: &Store) -> Result<Option<Event>, LogError> {
        let count = self.lanes.len();
        self.first = (self.first + 1) % count.max(1);
        let mut batch = ChunkBatch::default();
        let mut limit = LIMIT;
        for turn in 0..count {
            let lane = &mut self.lanes[(self.first + turn) % count];
            match lane.read(store, self.on_trimmed, batch.is_empty(), &mut limit, &mut batch) {
                Ok(Some(end)) => return Ok(Some(Event::EndOfPartition(lane.partition.name.clone(), end))),
                Ok(None) if limit.is_used_up() => break,
                Ok(None) => {}
                Err(error) if batch.is_empty() => return Err(error),
                // What was read is delivered first; the error is still there when it is this one's turn.
                Err(_) => break,
            }
        }
        Ok((!batch.is_empty()).then(|| Event::Records(Box::new(batch))))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Lane {
    /// Adds records to the batch, or returns the end if it has to be told (only when `may_end`).
    fn read(
        &mut self,
        store: &Store,
        on_trimmed: OnTrimmed,
        may_end: bool,
        limit: &mut ReadLimit,
        batch: &mut ChunkBatch,
    ) -> Result<Option<Offset>, LogError> {
        loop {
            let range = self.partition.range();
            if self.partition.is_gone() {
                return Err(errors::deleted_input(&self.partition.name.topic));
            }
            match self.cursor.step(range) {
                Step::Nothing => return Ok(None),
                Step::End(end) if may_end => {
                    self.cursor.tell_end();
                    return Ok(Some(end));
                }
                Step::End(_) => return Ok(None),
                Step::Beyond { end } => return Err(errors::beyond(&self.partition.name, self.cursor.position(), end)),
                Step::Trimmed { start } => self.trimmed(start, on_trimmed)?,
                Step::Read(from) => {
                    if self.fetch(store, from, range.end, limit, batch)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether there was something to read from `from` on, or records before it were trimmed meanwhile.
    fn fetch(
        &mut self,
        store: &Store,
        from: Offset,
        end: Offset,
        limit: &mut ReadLimit,
        batch: &mut ChunkBatch,
    ) -> Result<bool, LogError> {
        let chunks = match self.partition.cached(from, |chunk| limit.take(chunk)) {
            Some(chunks) => chunks,
            None => {
                let chunks = store.chunks(&self.partition, from, end, *limit)?;
                for chunk in &chunks {
                    limit.take(chunk);
                }
                chunks
            }
        };
        if self.partition.range().start > from {
            return Ok(false);
        }
        if chunks.is_empty() {
            // Compaction has left nothing up to the end.
            self.cursor.advance(end);
        }
        let before = batch.len();
        for chunk in chunks {
            let (base, next) = (chunk.base(), chunk.end());
            let pushed = batch.push(&self.partition.name, chunk, from);
            pushed.map_err(|BadChunk| store.damaged_chunk(&self.partition, base))?;
            self.cursor.advance(next);
        }
        Ok(batch.len() > before)
    }

    fn trimmed(&mut self, start: Offset, on_trimmed: OnTrimmed) -> Result<(), LogError> {
        let (partition, wanted) = (&self.partition.name, self.cursor.position());
        match on_trimmed {
            OnTrimmed::Fail => Err(errors::trimmed(partition, wanted, start)),
            OnTrimmed::Skip => {
                tracing::warn!(%partition, wanted, start, "records were trimmed before this group had read them");
                self.cursor.advance(start);
                Ok(())
            }
        }
    }
}
