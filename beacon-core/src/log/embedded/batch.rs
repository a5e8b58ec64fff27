//! What a poll delivers: chunks as they were written, with an index of the records in them.

use std::sync::Arc;

use super::chunk::{BadChunk, Chunk, Slot};
use crate::log::{Header, Offset, RecordBatch, RecordRef, TopicPartition};

/// Records that borrow from chunks; those of the tail are shared with the cache, so that nothing is copied.
#[derive(Default)]
pub(super) struct ChunkBatch {
    chunks: Vec<(TopicPartition, Arc<Chunk>)>,
    records: Vec<(u32, Slot)>,
}

impl ChunkBatch {
    /// Adds the records of a chunk from `from` on; none of them when one is damaged.
    pub(super) fn push(&mut self, partition: &TopicPartition, chunk: Arc<Chunk>, from: Offset) -> Result<(), BadChunk> {
        let index = self.chunks.len() as u32;
        let before = self.records.len();
        // Not what the chunk says of itself: a damaged count must not ask for all memory there is.
        self.records.reserve((chunk.count() as usize).min(chunk.bytes().len()));
        for slot in chunk.slots() {
            match slot {
                Ok(slot) if slot.offset >= from => self.records.push((index, slot)),
                Ok(_) => {}
                Err(damage) => {
                    self.records.truncate(before);
                    return Err(damage);
                }
            }
        }
        self.chunks.push((partition.clone(), chunk));
        Ok(())
    }
}

impl RecordBatch for ChunkBatch {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, index: usize) -> RecordRef<'_> {
        let (chunk, slot) = &self.records[index];
        let (partition, chunk) = &self.chunks[*chunk as usize];
        RecordRef::new(
            self,
            index,
            &partition.topic,
            partition.partition,
            slot.offset,
            slot.timestamp_ms,
            slot.key(chunk),
            slot.value(chunk),
        )
    }

    fn headers(&self, index: usize) -> Vec<Header> {
        let (chunk, slot) = &self.records[index];
        self.chunks[*chunk as usize].1.headers(slot)
    }
}
