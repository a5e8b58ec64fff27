//! A thread asks the log how far the whole group has read, for the timers of tasks that it has just opened.
//!
//! What the answers mean is decided in [`upstream`](super::upstream).

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{Fault, is_passing};
use super::thread::StreamThread;
use super::upstream::{Look, Upstream};
use crate::log::{Isolation, LogError, Offset, TopicPartition};
use crate::task::TaskId;

/// How often the group is asked what it has read, while timers wait for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl StreamThread {
    /// Lets the timers of new tasks wait for their own backlog only, once nothing is on its way to them any more.
    pub(super) fn look_upstream(&mut self) -> Result<(), Fault> {
        if !self.slots.values().any(|slot| slot.awaits_upstream) {
            self.upstream = None;
            return Ok(());
        }
        let now = self.environment.now();
        if self.upstream.as_ref().is_some_and(|upstream| upstream.look_at > now) {
            return Ok(());
        }
        match self.advance_upstream(now) {
            Ok(()) => Ok(()),
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, application = self.blame.application, "cannot ask how far the group has read");
                Ok(())
            }
            Err(error) => Err(self.blame.log(error)),
        }
    }

    fn advance_upstream(&mut self, now: Duration) -> Result<(), LogError> {
        if self.upstream.is_none() {
            self.upstream = Some(self.round(self.topology.hops(), now)?);
        }
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        upstream.look_at = now + LOOK_EVERY;
        let topics: Vec<&str> = self.partitions.keys().map(|topic| &**topic).collect();
        let committed: BTreeMap<_, _> = self.log.committed(self.topology.application(), &topics)?.into_iter().collect();
        let rounds = upstream.rounds;
        match upstream.look(&committed, now, self.config.backlog_patience) {
            Look::Waiting => {}
            Look::Passed if rounds > 1 => self.upstream = Some(self.round(rounds - 1, now)?),
            Look::Passed => self.end_upstream()?,
            Look::Stuck(partition, offset) => {
                tracing::error!(
                    %partition, offset, application = self.blame.application,
                    "nobody reads on here; overdue timers do not wait for it any longer"
                );
                self.end_upstream()?;
            }
        }
        Ok(())
    }

    /// What the whole group has to read before everything of now has passed one more internal topic.
    fn round(&self, rounds: u32, now: Duration) -> Result<Upstream, LogError> {
        let mut ranges = Vec::new();
        for (topic, count) in &self.partitions {
            for number in 0..*count {
                let partition = TopicPartition::new(topic.clone(), number);
                let range = self.log.offsets(&partition, Isolation::Committed)?;
                ranges.push((partition, range.start, range.end));
            }
        }
        Ok(Upstream::new(rounds, ranges.into_iter(), now))
    }

    /// Everything is in the tasks' own inputs now.
    fn end_upstream(&mut self) -> Result<(), LogError> {
        let mut ends: BTreeMap<TaskId, Vec<(TopicPartition, Offset)>> = BTreeMap::new();
        for (id, slot) in self.slots.iter().filter(|(_, slot)| slot.awaits_upstream) {
            for partition in slot.task.positions.partitions() {
                let end = self.log.offsets(partition, Isolation::Committed)?.end;
                if slot.task.positions.next(partition).is_some_and(|next| next < end) {
                    ends.entry(*id).or_default().push((partition.clone(), end));
                }
            }
        }
        self.upstream = None;
        for (id, slot) in &mut self.slots {
            slot.awaits_upstream = false;
            for (partition, end) in ends.remove(id).unwrap_or_default() {
                slot.backlog.add(partition, end);
            }
        }
        Ok(())
    }
}
