//! Records on their way into the log: encoded as they are sent, one run of chunks for each partition.

use std::collections::HashMap;
use std::sync::Arc;

use super::chunk::{ChunkWriter, Entry};
use super::committer::PartitionWrite;
use super::options::EmbeddedOptions;
use super::topic::{Partition, Topic, Topics};
use crate::log::{LogError, LogErrorKind, SendRecord, partition};

/// Encoded records of one transaction or append.
#[derive(Default)]
pub(super) struct Outbox {
    topics: HashMap<Arc<str>, Known>,
    parts: Vec<Part>,
    bytes: usize,
    /// Where records with neither partition nor key go; changes with each transaction.
    turn: u32,
}

struct Known {
    topic: Arc<Topic>,
    /// For each partition, which part it has in this outbox.
    parts: Vec<Option<u32>>,
}

struct Part {
    partition: Arc<Partition>,
    full: Vec<Vec<u8>>,
    open: ChunkWriter,
    records: u32,
}

/// Where a record is in the outbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) part: usize,
    pub(super) partition: u32,
    /// How many records of the same part are before it.
    pub(super) index: u32,
}

impl Outbox {
    /// An outbox whose records without key and partition go to the partition of this turn.
    pub(super) fn with_turn(turn: u32) -> Self {
        Self { turn, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Encodes a record, or says why it cannot be taken; then the outbox is as before.
    pub(super) fn push(
        &mut self,
        record: &SendRecord<'_>,
        topics: &Topics,
        options: &EmbeddedOptions,
        now_ms: i64,
    ) -> Result<Place, LogError> {
        let entry = Entry::of(record, now_ms);
        check_size(record.topic, entry.payload_len(), self.bytes, options)?;
        // One made again in the place of one that was deleted may have other partitions. What was sent to that one stays in
        // the outbox and is refused as a whole.
        if self.topics.get(record.topic).is_none_or(|known| known.topic.is_gone()) {
            let topic = topics.find(record.topic)?;
            let parts = vec![None; topic.partitions.len()];
            self.topics.insert(Arc::clone(&topic.name), Known { topic, parts });
        }
        let Some(known) = self.topics.get_mut(record.topic) else {
            return Err(super::errors::unknown_topic(record.topic));
        };
        let count = known.topic.count();
        let number = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition::for_key(key, count),
            (None, None) => self.turn % count.max(1),
        };
        let partition = known.topic.partition(number)?;
        let index = *known.parts[number as usize].get_or_insert_with(|| {
            self.parts.push(Part::new(Arc::clone(partition)));
            self.parts.len() as u32 - 1
        }) as usize;
        let part = &mut self.parts[index];
        let place = Place { part: index, partition: number, index: part.records };
        self.bytes += part.push(entry);
        Ok(place)
    }

    /// Takes what was sent; the outbox is empty afterwards and still knows the topics.
    pub(super) fn take(&mut self) -> Vec<PartitionWrite> {
        let writes = std::mem::take(&mut self.parts).into_iter().map(Part::finish).collect();
        self.clear();
        writes
    }

    /// Drops what was sent.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        for known in self.topics.values_mut() {
            known.parts.fill(None);
        }
        self.bytes = 0;
        self.turn = self.turn.wrapping_add(1);
    }

    /// For each part, in order, its partition and how many records it has.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&Arc<Partition>, u32)> {
        self.parts.iter().map(|part| (&part.partition, part.records))
    }
}

impl Part {
    fn new(partition: Arc<Partition>) -> Self {
        Self { partition, full: Vec::new(), open: ChunkWriter::new(), records: 0 }
    }

    /// Returns how many bytes it took.
    fn push(&mut self, entry: Entry<'_>) -> usize {
        let before = self.open.len();
        self.open.push(entry);
        let taken = self.open.len() - before;
        self.records += 1;
        if self.open.is_full() {
            self.full.push(std::mem::replace(&mut self.open, ChunkWriter::new()).finish());
        }
        taken
    }

    fn finish(mut self) -> PartitionWrite {
        if self.open.count() > 0 {
            self.full.push(self.open.finish());
        }
        PartitionWrite { partition: self.partition, chunks: self.full }
    }
}

fn check_size(topic: &str, payload: usize, already: usize, options: &EmbeddedOptions) -> Result<(), LogError> {
    if payload > options.max_record_bytes {
        let message = format!(
            "a record for {topic} has {payload} bytes, the embedded log takes {} (max_record_bytes)",
            options.max_record_bytes
        );
        return Err(LogError::new(LogErrorKind::TooLarge, message));
    }
    if already.saturating_add(payload) > options.max_transaction_bytes {
        let message = format!(
            "a transaction has {already} bytes, with the next record for {topic} it would pass {} \
             (max_transaction_bytes); commit more often",
            options.max_transaction_bytes
        );
        return Err(LogError::new(LogErrorKind::TooLarge, message));
    }
    Ok(())
}
