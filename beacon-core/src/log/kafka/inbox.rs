//! From messages of librdkafka to events: records and errors taken apart, in the order they came.
//!
//! Shared by sessions and readers; it knows no group. Invariant: positions are where delivery to the caller stands,
//! behind what librdkafka has handed over while something waits here
//! (`tests/kafka/reading.rs: a_pause_at_the_end_skips_nothing`, `tests/kafka/reading.rs: a_seek_delivers_again_from_there`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::log::{Event, LogError, LogErrorKind, Offset, TopicPartition};

use super::batch::{KafkaBatch, TopicNames, offset_of, partition_of};
use super::error::{kind_of, log_error};
use super::raw::{Client, Message};

/// Something to tell.
enum Item {
    Records(Vec<Message>),
    End(TopicPartition, Offset),
    /// With the partition that cannot be read, if it is one's.
    Failed(Option<TopicPartition>, LogError),
}

/// What was fetched and not yet handed out.
pub(super) struct Inbox {
    // Dropped before the client: one that is destroyed while messages of its are alive waits for them for ever.
    ready: VecDeque<Item>,
    client: Arc<Client>,
    names: Arc<TopicNames>,
    max_batch: usize,
    positions: HashMap<TopicPartition, Offset>,
    fatal: Option<Code>,
}

impl Inbox {
    pub fn new(client: Arc<Client>, max_batch: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            client,
            names: Arc::default(),
            max_batch,
            positions: HashMap::new(),
            fatal: None,
        }
    }

    /// The next thing to tell, if something was fetched.
    pub fn next(&mut self) -> Option<Result<Event, LogError>> {
        Some(match self.ready.pop_front()? {
            Item::Records(messages) => {
                let (names, client) = (Arc::clone(&self.names), Arc::clone(&self.client));
                Ok(Event::Records(Box::new(KafkaBatch::new(messages, names, client))))
            }
            Item::End(partition, offset) => Ok(Event::EndOfPartition(partition, offset)),
            Item::Failed(_, error) => Err(error),
        })
    }

    /// Takes back what was fetched of a partition and not handed out; where to fetch it again, if there was anything.
    pub fn withdraw(&mut self, partition: &TopicPartition) -> Option<Offset> {
        let mut first = None;
        self.ready.retain_mut(|item| match item {
            Item::Records(messages) => {
                messages.retain(|message| {
                    let withdrawn = partition_of(message.partition()) == partition.partition
                        && message.topic_name() == &*partition.topic;
                    if withdrawn {
                        first.get_or_insert(offset_of(message.offset()));
                    }
                    !withdrawn
                });
                !messages.is_empty()
            }
            Item::End(ended, _) => ended != partition,
            Item::Failed(..) => true,
        });
        if let Some(first) = first {
            self.set_position(partition, first);
        }
        first
    }

    /// The code that ended the client, if one did.
    pub fn fatal(&self) -> Option<Code> {
        self.fatal
    }

    /// The offset of the next record to be handed out from a partition.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition).copied()
    }

    /// Delivery starts, or goes on, here; what was fetched of the partition before is forgotten.
    pub fn set_position(&mut self, partition: &TopicPartition, offset: Offset) {
        self.positions.insert(partition.clone(), offset);
    }

    /// Forgets a partition that is not read any more, and that it could not be: whoever has it now may have trimmed it.
    pub fn forget(&mut self, partition: &TopicPartition) {
        self.positions.remove(partition);
        self.ready.retain(|item| !matches!(item, Item::Failed(Some(at), _) if at == partition));
    }

    /// Forgets everything fetched and every position.
    pub fn clear(&mut self) {
        self.ready.clear();
        self.positions.clear();
    }

    /// All positions, for an assignment that has to be made anew.
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, Offset)> {
        self.positions.iter().map(|(partition, offset)| (partition, *offset))
    }

    /// Waits at most `timeout` for messages and turns what is there into events.
    pub fn fetch(&mut self, timeout: Duration) {
        let mut messages = Vec::new();
        self.client.consume(&mut messages, self.max_batch, timeout);
        // Mostly there is no error among the messages, and they become one batch as they are.
        if messages.iter().all(|message| message.error().is_none()) {
            return self.deliver(messages);
        }
        let mut records = Vec::new();
        for message in messages {
            match message.error() {
                None => records.push(message),
                Some(code) => {
                    self.deliver(std::mem::take(&mut records));
                    self.report(code, &message);
                }
            }
        }
        self.deliver(records);
    }

    fn deliver(&mut self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        // Records of a partition come in runs: one look-up per run.
        let mut start = 0;
        while start < messages.len() {
            let (topic_id, partition) = (messages[start].topic_id(), messages[start].partition());
            let run = messages[start..]
                .iter()
                .take_while(|message| message.topic_id() == topic_id && message.partition() == partition)
                .count();
            let last = &messages[start + run - 1];
            let next = offset_of(last.offset()) + 1;
            let topic = Arc::clone(self.name_of(last));
            self.positions.insert(TopicPartition { topic, partition: partition_of(partition) }, next);
            start += run;
        }
        self.ready.push_back(Item::Records(messages));
    }

    fn report(&mut self, code: Code, message: &Message) {
        match code {
            Code::PartitionEOF => {
                let partition = self.partition_of(message);
                let offset = offset_of(message.offset());
                self.set_position(&partition, offset);
                self.ready.push_back(Item::End(partition, offset));
            }
            Code::Fatal => {
                let (code, text) = self.client.fatal_error().unwrap_or_else(|| (Code::Fatal, message.error_text()));
                self.fatal = Some(code);
                let error = LogError::new(kind_of(code), format!("Kafka consumer: {text}"));
                self.ready.push_back(Item::Failed(None, error));
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange => {
                let partition = self.partition_of(message);
                let position = self.position(&partition);
                let at =
                    position.map_or_else(|| "the offset asked for".to_owned(), |offset| format!("offset {offset}"));
                let error = LogError::new(
                    LogErrorKind::Trimmed,
                    format!(
                        "{partition}: {at} is not in the log any more (or not yet): take the state from a checkpoint, \
                         or seek to the start of the log ({})",
                        message.error_text()
                    ),
                );
                self.ready.push_back(Item::Failed(Some(partition), error));
            }
            code => match kind_of(code) {
                // librdkafka goes on by itself when the broker is back.
                LogErrorKind::Retriable => {
                    tracing::warn!(code = ?code, "Kafka consumer: {}", message.error_text());
                }
                _ => {
                    let context = format!("Kafka consumer: {}", message.error_text());
                    self.ready.push_back(Item::Failed(None, log_error(code, context)));
                }
            },
        }
    }

    fn partition_of(&mut self, message: &Message) -> TopicPartition {
        let topic = Arc::clone(self.name_of(message));
        TopicPartition { topic, partition: partition_of(message.partition()) }
    }

    fn name_of(&mut self, message: &Message) -> &Arc<str> {
        let id = message.topic_id();
        if self.names.get(id).is_none() {
            // The handle stays with the client, so that the topic's identity is never given to another topic.
            let name = match self.client.topic(message.topic_name()) {
                Ok(topic) => Arc::clone(&topic.state.name),
                Err(_) => Arc::from(message.topic_name()),
            };
            Arc::make_mut(&mut self.names).insert(id, name);
        }
        self.names.get(id).expect("inserted above")
    }
}
