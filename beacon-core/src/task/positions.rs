//! How far each input of a task has been read.

use std::collections::BTreeMap;

use crate::log::{Offset, TopicPartition};
use crate::planted::{self, Planted};

/// Next offsets, and which of them moved since the last commit.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    next: BTreeMap<TopicPartition, Offset>,
    committed: BTreeMap<TopicPartition, Offset>,
    /// Records were processed since the last commit.
    moved: bool,
}

impl Positions {
    /// An input that will be read from `offset`.
    pub fn assign(&mut self, partition: TopicPartition, offset: Offset) {
        self.next.insert(partition.clone(), offset);
        self.committed.insert(partition, offset);
    }

    /// The record at `offset` was processed.
    pub fn advance(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(next) = self.next.get_mut(partition) {
            *next = offset + 1;
            self.moved = true;
        }
    }

    /// There is no record before `end` any more: Kafka's transaction markers take offsets, too. It goes with the next
    /// commit, so that nobody takes it for lag, and is no reason for one.
    pub fn reach_end(&mut self, partition: &TopicPartition, end: Offset) {
        if let Some(next) = self.next.get_mut(partition) {
            *next = end.max(*next);
        }
    }

    /// Whether all there is to commit are ends without records.
    pub fn trail(&self) -> bool {
        !self.moved && self.next != self.committed
    }

    /// The next offset of an input; `None` when it is not one.
    pub fn next(&self, partition: &TopicPartition) -> Option<Offset> {
        self.next.get(partition).copied()
    }

    /// Offsets to commit: those that moved, or one that did not when none did, since a commit without offsets is not
    /// fenced by the group.
    pub fn to_commit(&self) -> Vec<(TopicPartition, Offset)> {
        let moved: Vec<_> = self
            .next
            .iter()
            .filter(|(partition, next)| self.committed.get(*partition) != Some(next))
            .map(|(partition, next)| (partition.clone(), *next))
            .collect();
        if moved.is_empty() && !planted::is_in(Planted::OffsetsLeftOut) {
            self.next.iter().next().map(|(partition, next)| (partition.clone(), *next)).into_iter().collect()
        } else {
            moved
        }
    }

    /// Whether records were processed since the last commit.
    pub fn moved(&self) -> bool {
        self.moved
    }

    /// The commit went through.
    pub fn committed(&mut self) {
        self.committed.clone_from(&self.next);
        self.moved = false;
    }

    /// The commit was dropped: where to read from again.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, Offset)> {
        self.next.clone_from(&self.committed);
        self.moved = false;
        self.next.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect()
    }

    /// The inputs.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.next.keys()
    }

    /// Forgets an input that was taken away.
    pub fn remove(&mut self, partition: &TopicPartition) {
        self.next.remove(partition);
        self.committed.remove(partition);
    }

    /// Whether there is no input left.
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_records_is_committed_with_the_next_commit_and_asks_for_none() {
        let at = TopicPartition::new("t", 0);
        let mut positions = Positions::default();
        positions.assign(at.clone(), 3);
        positions.reach_end(&at, 3);
        assert!(!positions.trail());
        positions.advance(&at, 3);
        positions.reach_end(&at, 6);
        assert!(positions.moved() && !positions.trail());
        assert_eq!(positions.to_commit(), [(at.clone(), 6)]);
        positions.committed();
        positions.reach_end(&at, 8);
        assert!(!positions.moved() && positions.trail());
        assert_eq!(positions.rewind(), [(at, 6)]);
        assert!(!positions.trail());
    }
}
