//! Whether a run has come to rest, once its faults are over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::world::enter;
use super::Scheduler;
use super::lives::{Lane, Place};
use crate::log::{Isolation, Log, LogError, Offset, OffsetRange, TopicPartition};
use crate::runtime::SteppedThread;

impl Scheduler {
    /// No more faults. Whoever was kept from something by one has yet to do it, so the quiet begins anew.
    pub(in crate::testing::simulation) fn calm_down(&self) {
        let mut world = enter(&self.world);
        world.calm = true;
        world.away_until = Duration::ZERO;
        world.storage_refuses_until.clear();
        world.note(None, "calm from here on", 0);
        self.counters.borrow_mut().changed_at = world.now;
    }

    /// Whether everybody is up and everything visible is read.
    pub(in crate::testing::simulation) fn is_at_rest(&self, quiet: Duration) -> bool {
        let now = enter(&self.world).now;
        if now < self.counters.borrow().changed_at + quiet {
            return false;
        }
        let is_whole = |lane: &Lane| lane.machine.as_ref().is_some_and(SteppedThread::is_whole);
        let is_up = |place: &Place| !place.lanes.is_empty() && place.lanes.iter().all(is_whole);
        let all_up = self.places.borrow().iter().all(is_up);
        all_up && self.log.is_settled() && self.unread().is_ok_and(|unread| unread.is_empty())
    }

    /// Input partitions the group has not read to their end.
    pub(in crate::testing::simulation) fn unread(&self) -> Result<Vec<String>, LogError> {
        let topics: Vec<&str> = self.topology.inputs().map(|topic| &**topic).collect();
        let unread = self.unread_of(&topics)?.into_iter().map(|unread| {
            let read = unread.committed.unwrap_or(unread.range.start);
            format!("{} is read to {read} of {}", unread.partition, unread.range.end)
        });
        Ok(unread.collect())
    }

    /// Partitions of these topics that the group has not read to their end.
    pub(super) fn unread_of(&self, topics: &[&str]) -> Result<Vec<Unread>, LogError> {
        let committed: BTreeMap<_, _> = self.log.committed(self.topology.application(), topics)?.into_iter().collect();
        let mut unread = Vec::new();
        for topic in topics {
            let count = self.log.describe_topic(topic)?.map_or(0, |topic| topic.partitions);
            for number in 0..count {
                let partition = TopicPartition::new(*topic, number);
                let range = self.log.offsets(&partition, Isolation::Uncommitted)?;
                let committed = committed.get(&partition).copied();
                if committed.unwrap_or(range.start) < range.end {
                    unread.push(Unread { partition, committed, range });
                }
            }
        }
        Ok(unread)
    }
}

/// A partition with records that the group has not read.
pub(super) struct Unread {
    pub(super) partition: TopicPartition,
    /// How far it has read. `None`: it has never said so.
    pub(super) committed: Option<Offset>,
    /// What is there.
    pub(super) range: OffsetRange,
}
