//! Whether records from before a start are still on their way through internal topics: pure.
//!
//! A re-key puts records that could cancel a timer into another partition, often by another process. So the timers of
//! a task that has just been opened wait until the whole group has read what was in the log then. After one round all
//! of that has passed one internal topic; a topology with more of them in a row takes as many rounds. The rest is
//! the task's own [`Backlog`](super::slot::Backlog).
//!
//! What it deliberately does not do: it does not wait for ever. One partition whose task stands still must not keep
//! every timer of the application from firing; after `patience` without any progress it is given up.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::{Offset, TopicPartition};

/// What a look at the group's committed offsets says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Some of it is unread.
    Waiting,
    /// All of it is read.
    Passed,
    /// No progress for too long; the first partition that is behind, and how far it was read.
    Stuck(TopicPartition, Offset),
}

/// The rounds of one wait.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Rounds to go, this one included.
    pub(super) rounds: u32,
    /// Ends the group has to reach, with how far it was last seen.
    behind: BTreeMap<TopicPartition, (Offset, Offset)>,
    moved_at: Duration,
    pub(super) look_at: Duration,
}

impl Upstream {
    /// A wait of `rounds` rounds for these ends (start and end of each partition).
    pub(super) fn new(
        rounds: u32,
        ranges: impl Iterator<Item = (TopicPartition, Offset, Offset)>,
        now: Duration,
    ) -> Self {
        let behind = ranges
            .filter(|(_, start, end)| start < end)
            .map(|(partition, start, end)| (partition, (end, start)))
            .collect();
        Self { rounds, behind, moved_at: now, look_at: now }
    }

    /// Takes note of what the group has committed by now.
    pub(super) fn look(
        &mut self,
        committed: &BTreeMap<TopicPartition, Offset>,
        now: Duration,
        patience: Duration,
    ) -> Look {
        let mut moved = false;
        self.behind.retain(|partition, (end, seen)| {
            if let Some(next) = committed.get(partition).filter(|next| *next > seen) {
                *seen = *next;
                moved = true;
            }
            seen < end
        });
        if moved {
            self.moved_at = now;
        }
        match self.behind.first_key_value() {
            None => Look::Passed,
            Some((partition, (_, seen))) if now.saturating_sub(self.moved_at) >= patience => {
                Look::Stuck(partition.clone(), *seen)
            }
            Some(_) => Look::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(partition: u32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn waits_until_every_partition_is_read_and_forgets_those_that_are() {
        let start = Duration::from_secs(100);
        let mut upstream = Upstream::new(1, [(at(0), 0, 5), (at(1), 0, 0), (at(2), 3, 7)].into_iter(), start);
        let mut committed = BTreeMap::from([(at(0), 5)]);
        assert_eq!(upstream.look(&committed, start, PATIENCE), Look::Waiting);
        committed.insert(at(2), 9);
        assert_eq!(upstream.look(&committed, start, PATIENCE), Look::Passed);
    }

    #[test]
    fn patience_counts_from_the_last_progress() {
        let start = Duration::from_secs(100);
        let mut upstream = Upstream::new(1, [(at(0), 0, 5)].into_iter(), start);
        let seconds = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(upstream.look(&BTreeMap::new(), seconds(9), PATIENCE), Look::Waiting);
        assert_eq!(upstream.look(&BTreeMap::from([(at(0), 1)]), seconds(9), PATIENCE), Look::Waiting);
        assert_eq!(upstream.look(&BTreeMap::from([(at(0), 1)]), seconds(18), PATIENCE), Look::Waiting);
        assert_eq!(upstream.look(&BTreeMap::from([(at(0), 1)]), seconds(19), PATIENCE), Look::Stuck(at(0), 1));
    }
}
