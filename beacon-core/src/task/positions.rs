//! How far each input of a task has been read.

use std::collections::BTreeMap;

use crate::log::{Offset, TopicPartition};

/// Next offsets, and which of them moved since the last commit.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    next: BTreeMap<TopicPartition, Offset>,
    committed: BTreeMap<TopicPartition, Offset>,
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
        }
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
        if moved.is_empty() {
            self.next.iter().next().map(|(partition, next)| (partition.clone(), *next)).into_iter().collect()
        } else {
            moved
        }
    }

    /// Whether anything moved since the last commit.
    pub fn moved(&self) -> bool {
        self.next != self.committed
    }

    /// The commit went through.
    pub fn committed(&mut self) {
        self.committed.clone_from(&self.next);
    }

    /// The commit was dropped: where to read from again.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, Offset)> {
        self.next.clone_from(&self.committed);
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
