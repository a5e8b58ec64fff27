//! Carrying the steps out, each noted in the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::ToolError;
use super::super::maintenance::Journal;
use super::super::reading::partitions;
use super::copy::{Place, copy};
use super::plan::{RescaleStep, heading, plan_rescale, read_by, staged};
use super::{Rescale, state};
use crate::log::{CleanupPolicy, Isolation, Log, LogError, TopicSpec};
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
    let mut journal = Journal::open(log.as_ref(), &applications, &heading(division))?;
    let work = Work { log, rescale, division };
    let mut untouched = !steps.iter().any(|step| destroys(step) && journal.is_done(&step.to_string()));
    for step in &steps {
        let name = step.to_string();
        if journal.is_done(&name) {
            continue;
        }
        told(step);
        if untouched && destroys(step) {
            if let Some(grown) = work.grown(&steps, &journal)? {
                // Nothing was replaced yet, so giving up costs the copies only.
                work.tidy(&steps)?;
                journal.close()?;
                return Err(ToolError::Refused(format!(
                    "{grown} grew while it was copied: somebody still writes to it (a gateway?). Nothing was changed. \
                     Stop all writers, start the applications once more until their lag is zero, stop them, and try again"
                )));
            }
            untouched = false;
        }
        if let RescaleStep::StageTopic(topic) = step {
            let copied = work.ends(topic)?;
            work.carry_out(step)?;
            journal.note(&copied)?;
        } else {
            work.carry_out(step)?;
        }
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

struct Work<'a> {
    log: &'a Arc<dyn Log>,
    rescale: &'a Rescale<'a>,
    division: Division,
}

impl Work<'_> {
    fn carry_out(&self, step: &RescaleStep) -> Result<(), ToolError> {
        match step {
            RescaleStep::StageChangelog(application) => self.stage_changelog(application),
            RescaleStep::StageTopic(topic) => {
                self.make(&staged(topic), CleanupPolicy::Delete { retention: None })?;
                // A topic with another count is there for stateless readers; records keep their order per key all the same.
                let from = self.log.describe_topic(topic)?.map_or(self.division.from(), |topic| topic.partitions);
                let place = Place::ByKey { from, to: self.division.to() };
                copy(self.log.as_ref(), topic, &staged(topic), place)?;
                Ok(())
            }
            RescaleStep::Replace(topic) => {
                self.make(topic, self.cleanup(topic))?;
                copy(self.log.as_ref(), &staged(topic), topic, Place::Same)?;
                Ok(())
            }
            RescaleStep::Empty(topic) => Ok(self.make(topic, self.cleanup(topic))?),
            RescaleStep::SetOffsets(group) => self.set_offsets(group),
        }
    }

    /// Where a topic ends now, as a line of the journal.
    fn ends(&self, topic: &str) -> Result<String, ToolError> {
        let mut ends = Vec::new();
        for partition in partitions(self.log.as_ref(), topic)? {
            ends.push(self.log.offsets(&partition, Isolation::Uncommitted)?.end);
        }
        Ok(format!("copied {topic} up to {ends:?}"))
    }

    /// A topic that got records after it was copied.
    fn grown(&self, steps: &[RescaleStep], journal: &Journal<'_>) -> Result<Option<String>, ToolError> {
        for step in steps {
            if let RescaleStep::StageTopic(topic) = step
                && !journal.is_done(&self.ends(topic)?)
            {
                return Ok(Some(topic.clone()));
            }
        }
        Ok(None)
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

    fn set_offsets(&self, group: &str) -> Result<(), ToolError> {
        let mut offsets = Vec::new();
        for topic in read_by(group, self.rescale) {
            for partition in partitions(self.log.as_ref(), &topic)? {
                let end = self.log.offsets(&partition, Isolation::Committed)?.end;
                offsets.push((partition, end));
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
