//! What this member owns and what it has yet to answer to its group: a pure state machine beside the client.
//!
//! librdkafka asks from within a callback; the contract answers between polls. So each change is kept here until the
//! poll that acts on it: partitions given are announced with their offsets and started at the next poll, partitions
//! asked back are announced and given up at the next poll.
//!
//! It does no I/O and asks no clock. Invariant: a partition is in exactly one of `announced`, `started`, `leaving`
//! (`src/log/kafka/membership.rs: what_is_said_between_announcement_and_start_counts_at_the_start`,
//! `src/log/kafka/membership.rs: partitions_asked_back_are_owned_until_the_answer`).

use std::collections::{BTreeMap, VecDeque};

use crate::log::{Offset, TopicPartition};

/// A change of membership in the log's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Partitions given; an empty list is a valid answer to a join.
    Given(Vec<TopicPartition>),
    /// Partitions asked back.
    AskedBack(Vec<TopicPartition>),
    /// Partitions gone.
    Gone(Vec<TopicPartition>),
}

/// A partition announced to the caller and not yet started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub offset: Offset,
    pub paused: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: fetch records.
    Fetch,
    /// Find the committed offsets of these, then [`Membership::announce`].
    Resolve(Vec<TopicPartition>),
    /// Confirm an empty assignment to the group.
    ConfirmNothing,
    /// Tell the caller that these are asked back; given up at the next poll.
    Revoke(Vec<TopicPartition>),
    /// Give these up now (those that were started) and tell the caller.
    Lose {
        /// All that are gone.
        all: Vec<TopicPartition>,
        /// Those of them that the client reads.
        started: Vec<TopicPartition>,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Membership {
    changes: VecDeque<Change>,
    resolving: Option<Vec<TopicPartition>>,
    announced: BTreeMap<TopicPartition, Announced>,
    started: BTreeMap<TopicPartition, bool>,
    leaving: Vec<TopicPartition>,
}

impl Membership {
    /// Takes note of a change.
    pub fn note(&mut self, change: Change) {
        self.changes.push_back(change);
    }

    /// Whether offsets of given partitions are still being looked for.
    pub fn is_resolving(&self) -> bool {
        self.resolving.is_some()
    }

    /// Decides the next step; to be called when everything fetched before the change was handed out.
    pub fn next(&mut self) -> Next {
        // A loss overtakes an assignment whose offsets are still being looked for: it will never be started.
        if let Some(given) = &self.resolving {
            if !matches!(self.changes.front(), Some(Change::Gone(_) | Change::AskedBack(_))) {
                return Next::Resolve(given.clone());
            }
            self.resolving = None;
        }
        match self.changes.pop_front() {
            None => Next::Fetch,
            Some(Change::Given(partitions)) if partitions.is_empty() => Next::ConfirmNothing,
            Some(Change::Given(partitions)) => {
                self.resolving = Some(partitions.clone());
                Next::Resolve(partitions)
            }
            Some(Change::AskedBack(partitions)) => {
                let owned: Vec<_> = partitions.into_iter().filter(|partition| self.owns(partition)).collect();
                for partition in &owned {
                    self.announced.remove(partition);
                }
                self.leaving.clone_from(&owned);
                Next::Revoke(owned)
            }
            Some(Change::Gone(partitions)) => {
                let (mut all, mut started) = (Vec::new(), Vec::new());
                for partition in partitions {
                    if self.started.remove(&partition).is_some() {
                        started.push(partition.clone());
                        all.push(partition);
                    } else if self.announced.remove(&partition).is_some() {
                        all.push(partition);
                    }
                }
                Next::Lose { all, started }
            }
        }
    }

    /// The offsets of the partitions being resolved are known; they are the caller's from now on.
    pub fn announce(&mut self, partitions: &[(TopicPartition, Offset)]) {
        self.resolving = None;
        for (partition, offset) in partitions {
            self.announced.insert(partition.clone(), Announced { offset: *offset, paused: false });
        }
    }

    /// Partitions announced before, now to be started.
    pub fn take_announced(&mut self) -> BTreeMap<TopicPartition, Announced> {
        let taken = std::mem::take(&mut self.announced);
        self.started.extend(taken.iter().map(|(partition, announced)| (partition.clone(), announced.paused)));
        taken
    }

    /// Partitions whose revocation the caller has seen, now to be given up; empty if there are none.
    pub fn take_leaving(&mut self) -> Vec<TopicPartition> {
        let leaving = std::mem::take(&mut self.leaving);
        for partition in &leaving {
            self.started.remove(partition);
        }
        leaving
    }

    /// Whether a partition may be read and committed.
    pub fn owns(&self, partition: &TopicPartition) -> bool {
        self.started.contains_key(partition) || self.announced.contains_key(partition)
    }

    /// A partition announced and not started, to change where and whether it starts.
    pub fn announced_mut(&mut self, partition: &TopicPartition) -> Option<&mut Announced> {
        self.announced.get_mut(partition)
    }

    /// Takes note of which partitions are to be paused. Returns those that the client reads; the others it hears of when they
    /// start.
    pub fn set_paused<'a>(&mut self, partitions: &'a [TopicPartition], paused: bool) -> Vec<&'a TopicPartition> {
        let mut started = Vec::new();
        for partition in partitions {
            if let Some(announced) = self.announced.get_mut(partition) {
                announced.paused = paused;
            } else if let Some(is_paused) = self.started.get_mut(partition) {
                *is_paused = paused;
                started.push(partition);
            }
        }
        started
    }

    /// Started partitions that are paused.
    pub fn paused(&self) -> impl Iterator<Item = &TopicPartition> {
        self.started.iter().filter(|(_, paused)| **paused).map(|(partition, _)| partition)
    }

    /// Everything this member owns.
    pub fn owned(&self) -> Vec<TopicPartition> {
        self.started.keys().chain(self.announced.keys()).cloned().collect()
    }

    /// Forgets everything: the client was replaced. Returns what was owned.
    pub fn reset(&mut self) -> Vec<TopicPartition> {
        let owned = self.owned();
        *self = Self::default();
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(numbers: &[u32]) -> Vec<TopicPartition> {
        numbers.iter().map(|partition| TopicPartition::new("topic", *partition)).collect()
    }

    fn at_zero(partitions: &[TopicPartition]) -> Vec<(TopicPartition, Offset)> {
        partitions.iter().map(|partition| (partition.clone(), 0)).collect()
    }

    /// A member that was given these partitions and has started them.
    fn owner_of(numbers: &[u32]) -> Membership {
        let mut membership = Membership::default();
        membership.note(Change::Given(parts(numbers)));
        assert_eq!(membership.next(), Next::Resolve(parts(numbers)));
        membership.announce(&at_zero(&parts(numbers)));
        assert_eq!(membership.take_announced().len(), numbers.len());
        membership
    }

    #[test]
    fn given_partitions_are_resolved_until_they_are_announced() {
        let mut membership = Membership::default();
        membership.note(Change::Given(parts(&[0, 1])));
        for _ in 0..3 {
            assert_eq!(membership.next(), Next::Resolve(parts(&[0, 1])));
            assert!(membership.is_resolving());
            assert!(membership.owned().is_empty());
        }
        membership.announce(&at_zero(&parts(&[0, 1])));
        assert_eq!(membership.owned(), parts(&[0, 1]));
        assert_eq!(membership.next(), Next::Fetch);
    }

    #[test]
    fn an_empty_assignment_is_confirmed_and_not_announced() {
        let mut membership = Membership::default();
        membership.note(Change::Given(Vec::new()));
        assert_eq!(membership.next(), Next::ConfirmNothing);
        assert_eq!(membership.next(), Next::Fetch);
    }

    #[test]
    fn partitions_asked_back_are_owned_until_the_answer() {
        let mut membership = owner_of(&[0, 1, 2]);
        membership.note(Change::AskedBack(parts(&[1])));
        assert_eq!(membership.next(), Next::Revoke(parts(&[1])));
        assert!(membership.owns(&parts(&[1])[0]), "it may still be committed");
        assert_eq!(membership.take_leaving(), parts(&[1]));
        assert!(!membership.owns(&parts(&[1])[0]));
        assert!(membership.take_leaving().is_empty(), "answered once");
    }

    #[test]
    fn lost_partitions_are_gone_at_once() {
        let mut membership = owner_of(&[0, 1]);
        membership.note(Change::Gone(parts(&[0, 1])));
        assert_eq!(membership.next(), Next::Lose { all: parts(&[0, 1]), started: parts(&[0, 1]) });
        assert!(membership.owned().is_empty());
    }

    #[test]
    fn a_loss_overtakes_an_assignment_that_is_being_resolved() {
        let mut membership = owner_of(&[0]);
        membership.note(Change::Given(parts(&[1])));
        assert_eq!(membership.next(), Next::Resolve(parts(&[1])));
        membership.note(Change::Gone(parts(&[0, 1])));
        assert_eq!(membership.next(), Next::Lose { all: parts(&[0]), started: parts(&[0]) });
        assert_eq!(membership.next(), Next::Fetch);
    }

    #[test]
    fn what_is_said_between_announcement_and_start_counts_at_the_start() {
        let mut membership = Membership::default();
        membership.note(Change::Given(parts(&[0])));
        membership.next();
        membership.announce(&at_zero(&parts(&[0])));
        membership.announced_mut(&parts(&[0])[0]).expect("announced").offset = 7;
        assert!(membership.set_paused(&parts(&[0]), true).is_empty(), "nothing reads it yet");
        let started = membership.take_announced();
        assert_eq!(started[&parts(&[0])[0]], Announced { offset: 7, paused: true });
        assert_eq!(membership.paused().count(), 1);
    }

    #[test]
    fn what_is_paused_and_resumed_is_what_the_client_reads() {
        let mut membership = owner_of(&[0, 1]);
        let both = parts(&[0, 1]);
        assert_eq!(membership.set_paused(&both, true), both.iter().collect::<Vec<_>>());
        assert_eq!(membership.set_paused(&both[..1], false), [&both[0]]);
        assert_eq!(membership.paused().collect::<Vec<_>>(), [&both[1]]);
        assert!(membership.set_paused(&parts(&[2]), true).is_empty(), "not owned");
    }
}
