//! The one shared state of a simulated log, and what happens in it as time goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::errors;
use super::partition::Partition;
use super::transactions::{Decided, GroupOffsets, TransactionId, Transactions};
use crate::log::model::{Coordinator, Rebalancing};
use crate::log::{Isolation, LogError, Offset, OffsetRange, Record, SendRecord, TopicPartition, partition};

/// As Kafka's default `max.message.bytes`, roughly.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// The broker behind all clients of one simulated log.
#[derive(Debug, Default)]
pub(super) struct Broker {
    state: Mutex<State>,
}

impl Broker {
    pub(super) fn new(rebalancing: Rebalancing) -> Self {
        let state = State { coordinator: Coordinator::new(rebalancing), ..State::default() };
        Self { state: Mutex::new(state) }
    }

    /// The state as of `now`: what is due by then has happened.
    pub(super) fn at(&self, now: Duration) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        state
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<Arc<str>, Vec<Partition>>,
    /// Which making of each topic it is; numbers are never given out twice.
    pub(super) makings: BTreeMap<Arc<str>, u64>,
    made: u64,
    pub(super) coordinator: Coordinator,
    pub(super) transactions: Transactions,
    pub(super) offsets: GroupOffsets,
    /// Grows with each change somebody may wait for.
    pub(super) version: u64,
    now: Duration,
    turn: u32,
}

impl State {
    fn advance(&mut self, now: Duration) {
        if now <= self.now && self.now > Duration::ZERO {
            return;
        }
        self.now = now;
        for id in self.transactions.timed_out(now) {
            self.decide(id, false, GroupOffsets::new(), &mut || Duration::ZERO);
        }
        self.write_markers();
        if !self.coordinator.expel_silent(now).is_empty() {
            self.version += 1;
        }
    }

    fn write_markers(&mut self) {
        for (id, committed, markers, offsets) in self.transactions.due(self.now) {
            for at in &markers {
                if let Some(partition) =
                    self.topics.get_mut(&at.topic).and_then(|all| all.get_mut(at.partition as usize))
                {
                    partition.mark(id, committed);
                }
            }
            self.offsets.extend(offsets);
            self.version += 1;
        }
    }

    /// Decides an open transaction. Its markers and offsets follow, each after a delay of its own.
    pub(super) fn decide(
        &mut self,
        id: TransactionId,
        committed: bool,
        offsets: GroupOffsets,
        delay: &mut dyn FnMut() -> Duration,
    ) {
        let Some(open) = self.transactions.open.remove(&id) else { return };
        let now = self.now;
        let decided = Decided {
            transactional_id: open.transactional_id,
            committed,
            markers: open.ends.into_keys().map(|partition| (partition, now + delay())).collect(),
            offsets,
            offsets_at: now + delay(),
        };
        self.transactions.decided.insert(id, decided);
        self.write_markers();
    }

    /// Ends whatever a transactional id has begun: it has a new owner.
    pub(super) fn take_over(&mut self, transactional_id: &str) {
        for id in self.transactions.open_of(transactional_id) {
            self.decide(id, false, GroupOffsets::new(), &mut || Duration::ZERO);
        }
        self.finish(transactional_id);
    }

    /// Waits for the markers of what the transactional id has decided, as its next transaction has to.
    pub(super) fn finish(&mut self, transactional_id: &str) {
        self.transactions.hurry(transactional_id, self.now);
        self.write_markers();
    }

    /// Makes a topic unless it is there.
    pub(super) fn make(&mut self, topic: &str, partitions: u32) {
        if !self.topics.contains_key(topic) {
            let topic: Arc<str> = topic.into();
            self.made += 1;
            self.makings.insert(Arc::clone(&topic), self.made);
            self.topics.insert(topic, (0..partitions).map(|_| Partition::default()).collect());
        }
    }

    /// Deletes a topic, if it is there, and what groups have committed in it.
    pub(super) fn delete(&mut self, topic: &str) {
        self.makings.remove(topic);
        if self.topics.remove(topic).is_some() {
            self.offsets.retain(|(_, at), _| &*at.topic != topic);
            self.version += 1;
        }
    }

    pub(super) fn partitions(&self, topic: &str) -> Result<u32, LogError> {
        let partitions = self.topics.get(topic).ok_or_else(|| errors::unknown_topic(topic))?;
        Ok(partitions.len() as u32)
    }

    pub(super) fn partition(&self, at: &TopicPartition) -> Result<&Partition, LogError> {
        let count = self.partitions(&at.topic)?;
        let found = self.topics.get(&at.topic).and_then(|all| all.get(at.partition as usize));
        found.ok_or_else(|| errors::unknown_partition(at, count))
    }

    pub(super) fn partition_mut(&mut self, at: &TopicPartition) -> Result<&mut Partition, LogError> {
        let count = self.partitions(&at.topic)?;
        let found = self.topics.get_mut(&at.topic).and_then(|all| all.get_mut(at.partition as usize));
        found.ok_or_else(|| errors::unknown_partition(at, count))
    }

    pub(super) fn range(&self, at: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        Ok(self.partition(at)?.range(isolation))
    }

    /// Where a record goes, and the record as it is stored.
    pub(super) fn place(
        &mut self,
        record: &SendRecord<'_>,
        wall_ms: i64,
    ) -> Result<(TopicPartition, Record), LogError> {
        let (topic, count) = match self.topics.get_key_value(record.topic) {
            Some((name, partitions)) => (Arc::clone(name), partitions.len() as u32),
            None => return Err(errors::unknown_topic(record.topic)),
        };
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        if bytes > MAX_RECORD_BYTES {
            return Err(errors::too_large(record.topic, bytes, MAX_RECORD_BYTES));
        }
        let number = match (record.partition, record.key) {
            (Some(number), _) => number,
            (None, Some(key)) => partition::for_key(key, count),
            (None, None) => {
                self.turn = self.turn.wrapping_add(1);
                self.turn % count.max(1)
            }
        };
        let at = TopicPartition::new(Arc::clone(&topic), number);
        self.partition(&at)?;
        let record = Record {
            topic,
            partition: Some(number),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
            timestamp_ms: Some(record.timestamp_ms.unwrap_or(wall_ms)),
        };
        Ok((at, record))
    }

    /// Writes a placed record, in a transaction or for itself.
    pub(super) fn write(
        &mut self,
        at: &TopicPartition,
        record: Record,
        transaction: Option<TransactionId>,
    ) -> Result<Offset, LogError> {
        let offset = self.partition_mut(at)?.push(record, transaction);
        if let Some(open) = transaction.and_then(|id| self.transactions.open.get_mut(&id)) {
            open.ends.insert(at.clone(), offset + 1);
        }
        self.version += 1;
        Ok(offset)
    }
}
