//! A session as claims use it: remembers what it owns and has read, and waits for conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use beacon_core::log::{Event, Header, Offset, RecordRef, Session, TopicPartition};

use super::Subject;

/// A record read, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub at: TopicPartition,
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

impl Read {
    pub fn of(record: RecordRef<'_>) -> Self {
        Self {
            at: record.topic_partition(),
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers(),
        }
    }
}

/// A member of a group.
pub struct Member {
    pub session: Box<dyn Session>,
    /// Assigned and not taken back, each with the offset told.
    pub owned: BTreeMap<TopicPartition, Offset>,
    /// All records delivered, in order.
    pub read: Vec<Read>,
    /// All ends told, in order.
    pub ends: Vec<(TopicPartition, Offset)>,
    /// What the last `Revoked` asked back; still owned until the next poll.
    pub revoked: BTreeSet<TopicPartition>,
    /// Everything any `Lost` took.
    pub lost: BTreeSet<TopicPartition>,
    patience: Duration,
}

impl Member {
    pub fn new(subject: &Subject, session: Box<dyn Session>) -> Self {
        Self {
            session,
            owned: BTreeMap::new(),
            read: Vec::new(),
            ends: Vec::new(),
            revoked: BTreeSet::new(),
            lost: BTreeSet::new(),
            patience: subject.patience,
        }
    }

    /// Polls once and notes what was told. Returns whether it was anything.
    pub fn poll(&mut self, timeout: Duration) -> bool {
        for partition in std::mem::take(&mut self.revoked) {
            self.owned.remove(&partition);
        }
        match self.session.poll(timeout).expect("polled") {
            Event::Assigned(partitions) => {
                for (partition, offset) in partitions {
                    assert!(self.owned.insert(partition.clone(), offset).is_none(), "{partition} assigned twice");
                }
            }
            Event::Revoked(partitions) => {
                for partition in &partitions {
                    assert!(self.owned.contains_key(partition), "{partition} revoked, but never assigned");
                }
                self.revoked = partitions.into_iter().collect();
            }
            Event::Lost(partitions) => {
                for partition in partitions {
                    self.owned.remove(&partition);
                    self.lost.insert(partition);
                }
            }
            Event::Records(batch) => {
                assert!(!batch.is_empty(), "polls never deliver an empty batch");
                for index in 0..batch.len() {
                    let read = Read::of(batch.get(index));
                    assert!(self.owned.contains_key(&read.at), "a record of {} which is not owned", read.at);
                    self.read.push(read);
                }
            }
            Event::EndOfPartition(partition, offset) => self.ends.push((partition, offset)),
            Event::Idle => return false,
        }
        true
    }

    /// Polls until `condition` holds.
    pub fn poll_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + self.patience;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for: {what}; owned {:?}, {} records, ends {:?}",
                self.owned,
                self.read.len(),
                self.ends
            );
            self.poll(Duration::from_millis(20));
        }
    }

    /// Polls until this many partitions are owned and nothing is being asked back.
    pub fn own(&mut self, partitions: usize) {
        self.poll_until("ownership", |member| member.owned.len() == partitions && member.revoked.is_empty());
    }

    /// Polls for this long, whatever comes.
    pub fn poll_for(&mut self, duration: Duration) {
        let deadline = Instant::now() + duration;
        while let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            self.poll(left.min(Duration::from_millis(20)));
        }
    }

    /// The values read from a partition, as text.
    pub fn values(&self, at: &TopicPartition) -> Vec<String> {
        let of_partition: Vec<Read> = self.read.iter().filter(|read| read.at == *at).cloned().collect();
        super::texts(&of_partition)
    }

    /// The partition numbers owned of a topic.
    pub fn numbers_of(&self, topic: &str) -> Vec<u32> {
        self.owned.keys().filter(|at| &*at.topic == topic).map(|at| at.partition).collect()
    }
}
