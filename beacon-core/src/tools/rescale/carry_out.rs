//! Carrying the steps out, each noted in the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::ToolError;
use super::super::maintenance::Journal;
use super::super::reading::partitions;
use super::copy::{Place, Placed, all, copy};
use super::plan::{RescaleStep, check_all_read, heading, plan_rescale, read_by, staged};
use super::{Rescale, state};
use crate::log::{CleanupPolicy, Isolation, Log, LogError, Offset, TopicSpec};
use crate::runtime::internal_topics;
use crate::state::division::Division;
use crate::topology::Topology;

/// Changes the partition count, state and all. `told` hears of each step before it is done; steps that an earlier, killed
/// call had finished are passed over.
///
/// # Errors
/// As [`plan_rescale`], and those of reading, dividing and writing. Before the first topic is replaced nothing is lost
/// by giving up; after that the applications refuse to start until the same call has gone through.
pub fn rescale(log: &Arc<dyn Log>, rescale: &Rescale<'_>, told: &mut dyn FnMut(&RescaleStep)) -> Result<(), ToolError> {
    let (division, steps) = plan_rescale(log.as_ref(), rescale)?;
    let applications: Vec<&Topology> = rescale.applications.iter().map(|(topology, _)| *topology).collect();
    let mut journal = Journal::open(log.as_ref(), &applications, &heading(division, rescale))?;
    let work = Work { log, rescale, division };
    let mut untouched = !steps.iter().any(|step| destroys(step) && journal.is_done(&step.to_string()));
    for step in &steps {
        let name = step.to_string();
        if journal.is_done(&name) {
            continue;
        }
        told(step);
        if untouched && destroys(step) {
            if let Err(reason) = work.check_copies(&steps, &journal) {
                // Nothing was replaced yet, so giving up costs the copies only.
                work.tidy(&steps)?;
                journal.close()?;
                return Err(reason);
            }
            untouched = false;
        }
        work.carry_out(step, &mut journal)?;
        journal.note(&name)?;
    }
    work.tidy(&steps)?;
    journal.close()
}

/// From the first of these on there is no way back but forward.
fn destroys(step: &RescaleStep) -> bool {
    matches!(step, RescaleStep::Replace(_) | RescaleStep::Empty(_))
}

/// Looks at offsets that were set, a tenth of a second apart.
const PATIENCE: u32 = 300;
/// How often a topic is copied anew that grows meanwhile.
const COPIES: u32 = 3;

struct Work<'a> {
    log: &'a Arc<dyn Log>,
    rescale: &'a Rescale<'a>,
    division: Division,
}

impl Work<'_> {
    fn carry_out(&self, step: &RescaleStep, journal: &mut Journal<'_>) -> Result<(), ToolError> {
        match step {
            RescaleStep::StageChangelog(application) => self.stage_changelog(application),
            RescaleStep::StageTopic(topic) => {
                let ends = self.ends(topic)?;
                self.stage_topic(topic, &ends, &ends, journal)
            }
            RescaleStep::Replace(topic) if self.is_copied(topic) => self.replace_topic(topic, journal),
            RescaleStep::Replace(topic) => self.replace(topic).map(drop),
            RescaleStep::Empty(topic) => Ok(self.make(topic, self.cleanup(topic))?),
            RescaleStep::SetOffsets(group) => self.set_offsets(group, journal),
        }
    }

    /// Whether it is a topic that others write, too.
    fn is_copied(&self, topic: &str) -> bool {
        self.rescale.topics.iter().any(|spec| spec.name == topic)
    }

    /// Copies a topic to one beside it: first what all groups have read, which is what was before `read`, and then what came
    /// since, up to `ends`, so that each new partition can be read from one offset on.
    fn stage_topic(
        &self,
        topic: &str,
        read: &[Offset],
        ends: &[Offset],
        journal: &mut Journal<'_>,
    ) -> Result<(), ToolError> {
        let copy_of = staged(topic);
        self.make(&copy_of, CleanupPolicy::Delete { retention: None })?;
        // A topic with another count is there for stateless readers; records keep their order per key all the same.
        let from = self.log.describe_topic(topic)?.map_or(self.division.from(), |topic| topic.partitions);
        let place = Place::ByKey { from, to: self.division.to() };
        let at = |offsets: &[Offset], partition: u32| offsets.get(partition as usize).copied().unwrap_or_default();
        copy(self.log.as_ref(), topic, &copy_of, place, &|partition| 0..at(read, partition))?;
        let copied = self.ends(&copy_of)?;
        copy(self.log.as_ref(), topic, &copy_of, place, &|partition| at(read, partition)..at(ends, partition))?;
        journal.note_numbers(&format!("{topic} was read up to"), read)?;
        journal.note_numbers(&format!("the copy of {topic} is unread from"), &copied)?;
        journal.note_numbers(&format!("{topic} was copied up to"), ends)
    }

    /// Replaces a topic by its copy. Somebody who was not stopped may write to it until it is deleted, and to the new one
    /// from its making on: all that is kept, and unread.
    fn replace_topic(&self, topic: &str, journal: &mut Journal<'_>) -> Result<(), ToolError> {
        let replacing = format!("replacing {topic}");
        // Noted by an earlier call: the topic may be half of the new one.
        if !journal.is_done(&replacing) {
            self.take_along(topic, journal)?;
            journal.note(&replacing)?;
        }
        let placed = self.replace(topic)?;
        let counts = journal.numbers(&format!("the copy of {topic} is unread from")).unwrap_or_default();
        let mut unread = Vec::new();
        for (partition, count) in (0..self.division.to()).zip(counts) {
            let after = placed.after(partition, count);
            for gap in placed.gaps(partition, after) {
                // Somebody else's, among what was read: written once more behind it.
                copy(self.log.as_ref(), topic, topic, Place::Same, &|number| {
                    if number == partition { gap.clone() } else { 0..0 }
                })?;
            }
            unread.push(after);
        }
        journal.note_numbers(&format!("{topic} is unread from"), &unread)
    }

    fn replace(&self, topic: &str) -> Result<Placed, ToolError> {
        self.make(topic, self.cleanup(topic))?;
        copy(self.log.as_ref(), &staged(topic), topic, Place::Same, &all)
    }

    /// Copies anew a topic that got records since it was copied, until it rests.
    fn take_along(&self, topic: &str, journal: &mut Journal<'_>) -> Result<(), ToolError> {
        let (copied, read) = (format!("{topic} was copied up to"), format!("{topic} was read up to"));
        for _ in 0..COPIES {
            let ends = self.ends(topic)?;
            if journal.numbers(&copied).is_some_and(|copied| copied == ends) {
                return Ok(());
            }
            tracing::warn!(topic, "somebody still writes to a topic that is replaced; its new records are taken along");
            let read = journal.numbers(&read).unwrap_or_default();
            self.stage_topic(topic, &read, &ends, journal)?;
        }
        Err(ToolError::Refused(format!(
            "somebody writes to {topic} faster than it is copied (a gateway?). Stop all writers and call this again: it goes \
             on here, and what they wrote is taken along"
        )))
    }

    /// Where the partitions of a topic end now.
    fn ends(&self, topic: &str) -> Result<Vec<Offset>, ToolError> {
        let mut ends = Vec::new();
        for partition in partitions(self.log.as_ref(), topic)? {
            ends.push(self.log.offsets(&partition, Isolation::Uncommitted)?.end);
        }
        Ok(ends)
    }

    /// Nothing was written to what was copied, and all of it is read. Both were looked at before, and somebody may have
    /// written in between.
    fn check_copies(&self, steps: &[RescaleStep], journal: &Journal<'_>) -> Result<(), ToolError> {
        for step in steps {
            if let RescaleStep::StageTopic(topic) = step
                && journal.numbers(&format!("{topic} was copied up to")) != Some(self.ends(topic)?)
            {
                return Err(ToolError::Refused(format!(
                    "{topic} grew while it was copied: somebody still writes to it (a gateway?). Nothing was changed. Stop all \
                     writers, start the applications once more until their lag is zero, stop them, and try again"
                )));
            }
        }
        check_all_read(self.log.as_ref(), self.rescale)
    }

    fn stage_changelog(&self, application: &str) -> Result<(), ToolError> {
        let all = &self.rescale.applications;
        let (topology, config) =
            all.iter().find(|(topology, _)| topology.application() == application).ok_or_else(|| {
                ToolError::Refused(format!("the plan names application `{application}`, which was not given"))
            })?;
        let target = staged(&topology.changelog());
        self.make(&target, CleanupPolicy::Delete { retention: None })?;
        state::divide(self.log, topology, config, self.division, &target)
    }

    /// Deletes the topic, if it is there, and makes it with the new count.
    fn make(&self, topic: &str, cleanup: CleanupPolicy) -> Result<(), LogError> {
        self.log.delete_topics(&[topic])?;
        self.log.create_topics(&[TopicSpec { name: topic.to_owned(), partitions: self.division.to(), cleanup }])
    }

    fn cleanup(&self, topic: &str) -> CleanupPolicy {
        let given = self.rescale.topics.iter().find(|spec| spec.name == topic).cloned();
        let own = || {
            let all = self.rescale.applications.iter();
            all.flat_map(|(topology, _)| internal_topics(topology, self.division.to())).find(|spec| spec.name == topic)
        };
        given.or_else(own).map_or(CleanupPolicy::Delete { retention: None }, |spec| spec.cleanup)
    }

    fn set_offsets(&self, group: &str, journal: &Journal<'_>) -> Result<(), ToolError> {
        let mut offsets = Vec::new();
        for topic in read_by(group, self.rescale) {
            // What was made empty, and what nobody else writes to, has nothing unread.
            let unread = journal.numbers(&format!("{topic} is unread from")).unwrap_or_default();
            for partition in partitions(self.log.as_ref(), &topic)? {
                let next = match unread.get(partition.partition as usize) {
                    Some(unread) => *unread,
                    None => self.log.offsets(&partition, Isolation::Committed)?.end,
                };
                offsets.push((partition, next));
            }
        }
        self.set_patiently(group, &offsets)
    }

    /// Kafka forgets what a group had committed in a deleted topic some moments after its deletion, which must not take
    /// what is set here. So it is set again until it has stayed for a while.
    fn set_patiently(&self, group: &str, offsets: &[(crate::log::TopicPartition, u64)]) -> Result<(), ToolError> {
        let mut topics: Vec<&str> = offsets.iter().map(|(partition, _)| &*partition.topic).collect();
        topics.dedup();
        let wanted: BTreeSet<_> = offsets.iter().cloned().collect();
        let mut stayed = 0;
        self.log.set_committed(group, offsets)?;
        for _ in 0..PATIENCE {
            if stayed == 3 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
            let found: BTreeSet<_> = self.log.committed(group, &topics)?.into_iter().collect();
            if wanted.is_subset(&found) {
                stayed += 1;
            } else {
                stayed = 0;
                self.log.set_committed(group, offsets)?;
            }
        }
        Err(ToolError::Refused(format!(
            "the offsets of group {group} in {} do not stay as they are set; look after the log, and call this again",
            topics.join(", ")
        )))
    }

    fn tidy(&self, steps: &[RescaleStep]) -> Result<(), ToolError> {
        for step in steps {
            if let RescaleStep::Replace(topic) = step {
                self.log.delete_topics(&[&staged(topic)])?;
            }
        }
        Ok(())
    }
}
