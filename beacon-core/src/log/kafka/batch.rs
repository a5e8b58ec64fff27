//! Records in librdkafka's own memory, lent out without a copy.
//!
//! Invariant: the messages go before the client they came from (`tests/kafka/reading.rs: a_batch_outlives_its_reader`).

use std::sync::Arc;

use crate::log::{Header, Offset, RecordBatch, RecordRef};

use super::raw::{Client, Message};

/// Names of topics by the identity messages carry; append-only, shared by all batches of a client.
#[derive(Clone, Default)]
pub(super) struct TopicNames(Vec<(usize, Arc<str>)>);

impl TopicNames {
    /// The shared name of a topic, if it was seen before.
    pub fn get(&self, topic_id: usize) -> Option<&Arc<str>> {
        self.0.iter().find(|(id, _)| *id == topic_id).map(|(_, name)| name)
    }

    /// Remembers a topic. The caller holds a handle of it for as long as the client lives, so that the identity is
    /// never given to another topic.
    pub fn insert(&mut self, topic_id: usize, name: Arc<str>) {
        self.0.push((topic_id, name));
    }
}

/// What one consume call returned, errors taken out.
pub(super) struct KafkaBatch {
    // Dropped first: messages point into the client.
    messages: Vec<Message>,
    names: Arc<TopicNames>,
    _client: Arc<Client>,
}

impl KafkaBatch {
    /// Takes over messages of `client`, none of them an error, all of topics in `names`.
    pub fn new(messages: Vec<Message>, names: Arc<TopicNames>, client: Arc<Client>) -> Self {
        Self { messages, names, _client: client }
    }
}

impl RecordBatch for KafkaBatch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn get(&self, index: usize) -> RecordRef<'_> {
        let message = &self.messages[index];
        let topic = self.names.get(message.topic_id()).expect("every topic of a batch was named when it was taken");
        RecordRef::new(
            self,
            index,
            topic,
            partition_of(message.partition()),
            offset_of(message.offset()),
            message.timestamp_ms(),
            message.key(),
            message.value(),
        )
    }

    fn headers(&self, index: usize) -> Vec<Header> {
        self.messages[index].headers()
    }
}

/// Partition numbers of records are never negative.
pub(super) fn partition_of(native: i32) -> u32 {
    u32::try_from(native).unwrap_or(0)
}

/// Offsets of records are never negative.
pub(super) fn offset_of(native: i64) -> Offset {
    Offset::try_from(native).unwrap_or(0)
}
