//! Records and their coordinates, owned and borrowed.

use std::fmt;
use std::sync::Arc;

use super::RecordBatch;

/// Place of a record in its partition. Grows by at least one per record.
pub type Offset = u64;

/// A topic and one of its partitions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's full name.
    pub topic: Arc<str>,
    /// 0-based.
    pub partition: u32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an appended record came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The partition it went to.
    pub partition: u32,
    /// Its offset there.
    pub offset: Offset,
}

/// A named value beside a record's key and value.
pub type Header = (String, Vec<u8>);

/// A record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic's full name.
    pub topic: Arc<str>,
    /// Where to; `None`: by [`super::partition::for_key`] of the key, or any partition for a record without key.
    pub partition: Option<u32>,
    /// Identity for compaction and partitioning.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In the order they were added.
    pub headers: Vec<Header>,
    /// Milliseconds since the epoch; `None`: the log's clock at append.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// A record with key and value; the log chooses the partition by the key.
    pub fn new(topic: impl Into<Arc<str>>, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    /// The same record for a given partition.
    pub fn to_partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }
}

/// A record about to be sent, borrowing its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SendRecord<'a> {
    /// The topic's full name.
    pub topic: &'a str,
    /// Where to; `None` as in [`Record::partition`].
    pub partition: Option<u32>,
    /// See [`Record::key`].
    pub key: Option<&'a [u8]>,
    /// See [`Record::value`].
    pub value: Option<&'a [u8]>,
    /// See [`Record::headers`].
    pub headers: &'a [Header],
    /// See [`Record::timestamp_ms`].
    pub timestamp_ms: Option<i64>,
}

/// A record as read, borrowing from its batch.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    pub(crate) batch: &'a dyn RecordBatch,
    pub(crate) index: usize,
    /// The topic's full name; records of one topic share one allocation.
    pub topic: &'a Arc<str>,
    /// 0-based.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: Offset,
    /// Milliseconds since the epoch, set by the producer or the log.
    pub timestamp_ms: i64,
    /// See [`Record::key`].
    pub key: Option<&'a [u8]>,
    /// See [`Record::value`].
    pub value: Option<&'a [u8]>,
}

impl<'a> RecordRef<'a> {
    /// Puts a reference together; for implementations of [`RecordBatch`].
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        batch: &'a dyn RecordBatch,
        index: usize,
        topic: &'a Arc<str>,
        partition: u32,
        offset: Offset,
        timestamp_ms: i64,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> Self {
        Self { batch, index, topic, partition, offset, timestamp_ms, key, value }
    }

    /// The record's headers; read on demand, most records are never asked.
    pub fn headers(&self) -> Vec<Header> {
        self.batch.headers(self.index)
    }

    /// Where it was read.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: Arc::clone(self.topic), partition: self.partition }
    }

    /// An owned copy that keeps partition, timestamp and headers.
    pub fn to_record(&self) -> Record {
        Record {
            topic: Arc::clone(self.topic),
            partition: Some(self.partition),
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            headers: self.headers(),
            timestamp_ms: Some(self.timestamp_ms),
        }
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}
