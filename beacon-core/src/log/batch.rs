//! Batches: what a poll delivers without copying each record.

use std::fmt;

use super::{Header, Offset, Record, RecordRef};

/// Records that live as long as the batch; an implementation may keep them in the client's own memory.
pub trait RecordBatch: Send {
    /// How many records.
    fn len(&self) -> usize;

    /// Whether there is none; polls never deliver such a batch.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`, which must be below [`RecordBatch::len`].
    fn get(&self, index: usize) -> RecordRef<'_>;

    /// The headers of the record at `index`.
    fn headers(&self, index: usize) -> Vec<Header>;
}

impl fmt::Debug for dyn RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.len())
    }
}

/// A batch of owned records with their offsets.
#[derive(Debug, Default)]
pub struct OwnedBatch {
    records: Vec<(Offset, Record)>,
}

impl OwnedBatch {
    /// Takes records, each with the offset it stands at; `partition` and `timestamp_ms` must be set.
    pub fn new(records: Vec<(Offset, Record)>) -> Self {
        Self { records }
    }
}

impl RecordBatch for OwnedBatch {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, index: usize) -> RecordRef<'_> {
        let (offset, record) = &self.records[index];
        RecordRef::new(
            self,
            index,
            &record.topic,
            record.partition.unwrap_or(0),
            *offset,
            record.timestamp_ms.unwrap_or(0),
            record.key.as_deref(),
            record.value.as_deref(),
        )
    }

    fn headers(&self, index: usize) -> Vec<Header> {
        self.records[index].1.headers.clone()
    }
}
