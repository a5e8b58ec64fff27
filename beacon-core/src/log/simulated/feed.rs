//! The partitions that one session or reader reads, and what comes next from them.

use std::collections::BTreeMap;

use super::broker::State;
use super::errors;
use crate::log::model::{Cursor, Step};
use crate::log::{Event, Isolation, LogError, Offset, OwnedBatch, TopicPartition};

/// Cursors over partitions, served in turn. At a position whose records were trimmed away the poll fails: a restore must
/// not have holes, and our members on Kafka are told as well (`auto.offset.reset=error`).
#[derive(Debug)]
pub(super) struct Feed {
    cursors: BTreeMap<TopicPartition, Cursor>,
    /// The partition served last; the next one is first.
    last: Option<TopicPartition>,
    isolation: Isolation,
}

impl Feed {
    pub(super) fn new(isolation: Isolation) -> Self {
        Self { cursors: BTreeMap::new(), last: None, isolation }
    }

    pub(super) fn add(&mut self, partition: TopicPartition, offset: Offset) {
        self.cursors.insert(partition, Cursor::new(offset));
    }

    pub(super) fn clear(&mut self) {
        self.cursors.clear();
    }

    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.cursors.remove(partition);
        }
    }

    pub(super) fn cursor(&mut self, partition: &TopicPartition) -> Result<&mut Cursor, LogError> {
        self.cursors.get_mut(partition).ok_or_else(|| errors::not_owned(partition))
    }

    /// The next event that is there, if any.
    pub(super) fn next(&mut self, state: &State, limit: usize) -> Result<Option<Event>, LogError> {
        let mut order: Vec<TopicPartition> = self.cursors.keys().cloned().collect();
        if let Some(last) = &self.last {
            let first = order.partition_point(|partition| partition <= last);
            order.rotate_left(first);
        }
        for partition in order {
            if let Some(event) = self.read(&partition, state, limit)? {
                self.last = Some(partition);
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn read(&mut self, at: &TopicPartition, state: &State, limit: usize) -> Result<Option<Event>, LogError> {
        let isolation = self.isolation;
        let cursor = self.cursor(at)?;
        loop {
            match cursor.step(state.range(at, isolation)?) {
                Step::Nothing => return Ok(None),
                Step::End(end) => {
                    cursor.tell_end();
                    return Ok(Some(Event::EndOfPartition(at.clone(), end)));
                }
                // Written and not stable yet: a reader of committed records waits, as it does on Kafka, whose brokers hold
                // a position against the end of all records (`LocalLog.read`).
                Step::Beyond { .. } if cursor.position() <= state.range(at, Isolation::Uncommitted)?.end => {
                    return Ok(None);
                }
                Step::Beyond { end } => return Err(errors::beyond(at, cursor.position(), end)),
                Step::Trimmed { start } => return Err(errors::trimmed(at, cursor.position(), start)),
                Step::Read(from) => {
                    let (records, next) = state.partition(at)?.read(from, isolation, limit.max(1));
                    cursor.advance(next);
                    if !records.is_empty() {
                        return Ok(Some(Event::Records(Box::new(OwnedBatch::new(records)))));
                    }
                }
            }
        }
    }
}
