//! How far each input of a task has been read.

use std::sync::Arc;

use crate::log::{Offset, TopicPartition};
use crate::planted::{self, Planted};

/// Next offsets, and which of them moved since the last commit.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    /// In the order of their partitions; a task has a few, and walking them is cheaper than comparing names.
    inputs: Vec<Input>,
    /// Records were processed since the last commit.
    moved: bool,
}

#[derive(Clone, Debug)]
struct Input {
    partition: TopicPartition,
    next: Offset,
    committed: Offset,
}

impl Positions {
    /// An input that will be read from `offset`.
    pub fn assign(&mut self, partition: TopicPartition, offset: Offset) {
        let place = self.inputs.partition_point(|input| input.partition < partition);
        let input = Input { partition, next: offset, committed: offset };
        match self.inputs.get_mut(place).filter(|known| known.partition == input.partition) {
            Some(known) => *known = input,
            None => self.inputs.insert(place, input),
        }
    }

    fn find(&mut self, topic: &Arc<str>, partition: u32) -> Option<&mut Input> {
        let same = |known: &TopicPartition| Arc::ptr_eq(&known.topic, topic) || known.topic == *topic;
        self.inputs.iter_mut().find(|input| input.partition.partition == partition && same(&input.partition))
    }

    /// The record at `offset` of this partition was processed.
    pub fn advance(&mut self, topic: &Arc<str>, partition: u32, offset: Offset) {
        if let Some(input) = self.find(topic, partition) {
            input.next = offset + 1;
            self.moved = true;
        }
    }

    /// There is no record before `end` any more: Kafka's transaction markers take offsets, too. It goes with the next
    /// commit, so that nobody takes it for lag, and is no reason for one.
    pub fn reach_end(&mut self, partition: &TopicPartition, end: Offset) {
        if let Some(input) = self.find(&partition.topic, partition.partition) {
            input.next = end.max(input.next);
        }
    }

    /// Whether all there is to commit are ends without records.
    pub fn trail(&self) -> bool {
        !self.moved && self.inputs.iter().any(|input| input.next != input.committed)
    }

    /// The next offset of an input; `None` when it is not one.
    pub fn next(&self, partition: &TopicPartition) -> Option<Offset> {
        self.inputs.iter().find(|input| input.partition == *partition).map(|input| input.next)
    }

    /// Offsets to commit: those that moved, or one that did not when none did, since a commit without offsets is not
    /// fenced by the group.
    pub fn to_commit(&self) -> Vec<(TopicPartition, Offset)> {
        let at = |input: &Input| (input.partition.clone(), input.next);
        let moved: Vec<_> = self.inputs.iter().filter(|input| input.next != input.committed).map(at).collect();
        if moved.is_empty() && !planted::is_in(Planted::OffsetsLeftOut) {
            self.inputs.first().map(at).into_iter().collect()
        } else {
            moved
        }
    }

    /// Next offsets as of the last commit.
    pub fn committed_offsets(&self) -> Vec<(TopicPartition, Offset)> {
        self.inputs.iter().map(|input| (input.partition.clone(), input.committed)).collect()
    }

    /// Whether records were processed since the last commit.
    pub fn moved(&self) -> bool {
        self.moved
    }

    /// The commit went through.
    pub fn committed(&mut self) {
        for input in &mut self.inputs {
            input.committed = input.next;
        }
        self.moved = false;
    }

    /// The commit was dropped: where to read from again.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, Offset)> {
        for input in &mut self.inputs {
            input.next = input.committed;
        }
        self.moved = false;
        self.inputs.iter().map(|input| (input.partition.clone(), input.next)).collect()
    }

    /// The inputs.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.inputs.iter().map(|input| &input.partition)
    }

    /// Forgets an input that was taken away.
    pub fn remove(&mut self, partition: &TopicPartition) {
        self.inputs.retain(|input| input.partition != *partition);
    }

    /// Whether there is no input left.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
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
        positions.advance(&at.topic, at.partition, 3);
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
