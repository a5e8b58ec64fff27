//! Resetting an application: it forgets everything and begins again.

use std::collections::BTreeMap;
use std::fmt;

use super::ToolError;
use super::maintenance::Journal;
use super::reading::partitions;
use crate::log::{Isolation, Log, Offset, TopicPartition};
use crate::topology::Topology;

/// Where the sources of an application are read from after a reset. Sources that only feed broadcasts are read from their
/// starts in any case, unless they are named as exceptions: what they brought was state of every task, which the reset
/// makes forget it, and nobody would say it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetTo {
    /// Everything still in the topic is read again, and its results are written again.
    Earliest,
    /// Only what comes from now on.
    Latest,
}

/// What a reset would do; shown before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResetPlan {
    /// The application.
    pub application: String,
    /// Each source partition with its committed offset (`None`: none) and the one it gets.
    pub offsets: Vec<(TopicPartition, Option<Offset>, Offset)>,
    /// Topics that are deleted: internal ones and the changelog. What is unread in them is lost.
    pub deleted: Vec<String>,
}

impl fmt::Display for ResetPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reset of application `{}`:", self.application)?;
        for topic in &self.deleted {
            writeln!(f, "  delete topic {topic}")?;
        }
        for (partition, from, to) in &self.offsets {
            let from = from.map_or("none".to_owned(), |offset| offset.to_string());
            writeln!(f, "  set offset of {partition} from {from} to {to}")?;
        }
        Ok(())
    }
}

/// Says what a reset would do. `exceptions` are sources, by topic, that go elsewhere than the rest.
///
/// # Errors
/// [`ToolError::AtWork`] while processes of it are alive; [`ToolError::Refused`] for an exception that it does not
/// read; those of the log.
pub fn plan_reset(
    log: &dyn Log,
    topology: &Topology,
    to: ResetTo,
    exceptions: &BTreeMap<String, ResetTo>,
) -> Result<ResetPlan, ToolError> {
    let application = topology.application();
    refuse_members(log, application)?;
    let sources: Vec<&str> = topology.sources().iter().map(|source| &*source.topic).collect();
    if let Some(unknown) = exceptions.keys().find(|topic| !sources.contains(&topic.as_str())) {
        let known = sources.join(", ");
        return Err(ToolError::Refused(format!(
            "application `{application}` does not read {unknown}; it reads {known}"
        )));
    }
    let mut inputs = Vec::new();
    for topic in sources {
        inputs.extend(partitions(log, topic)?);
    }
    let mut topics: Vec<&str> = inputs.iter().map(|partition| &*partition.topic).collect();
    topics.dedup();
    let committed: BTreeMap<_, _> = log.committed(application, &topics)?.into_iter().collect();
    let mut offsets = Vec::new();
    for partition in inputs {
        let range = log.offsets(&partition, Isolation::Committed)?;
        let is_broadcast = topology.sources().iter().any(|source| source.topic == partition.topic && source.broadcast);
        let rest = if is_broadcast { ResetTo::Earliest } else { to };
        let target = match exceptions.get(&*partition.topic).unwrap_or(&rest) {
            ResetTo::Earliest => range.start,
            ResetTo::Latest => range.end,
        };
        let from = committed.get(&partition).copied();
        offsets.push((partition, from, target));
    }
    let internal = topology.internal_topics().iter().map(|topic| topic.name.to_string());
    let mut deleted = Vec::new();
    for topic in internal.chain([topology.changelog().to_string()]) {
        if log.describe_topic(&topic)?.is_some() {
            deleted.push(topic);
        }
    }
    Ok(ResetPlan { application: application.to_owned(), offsets, deleted })
}

/// Carries a plan out. State on the disks of its machines is recognised as old by the application and removed when it
/// starts. Killed half-way, the application refuses to start until a reset is done again.
///
/// # Errors
/// [`ToolError::AtWork`] when a process was started meanwhile; those of the log: call it again.
pub fn reset(log: &dyn Log, topology: &Topology, plan: &ResetPlan) -> Result<(), ToolError> {
    refuse_members(log, &plan.application)?;
    let journal = Journal::open(log, &[topology], "reset")?;
    let mut offsets: Vec<_> = plan.offsets.iter().map(|(partition, _, to)| (partition.clone(), *to)).collect();
    // Kafka forgets what a group had committed in a deleted topic some moments later; until then the topic made anew by
    // the next start would be read from there.
    for topic in topology.internal_topics() {
        offsets.extend(partitions(log, &topic.name)?.into_iter().map(|partition| (partition, 0)));
    }
    // First, since the log itself refuses it for a group that is at work.
    log.set_committed(&plan.application, &offsets)?;
    let deleted: Vec<&str> = plan.deleted.iter().map(String::as_str).collect();
    log.delete_topics(&deleted)?;
    journal.close()
}

pub(super) fn refuse_members(log: &dyn Log, application: &str) -> Result<(), ToolError> {
    let members = log.members(application)?;
    if members.is_empty() { Ok(()) } else { Err(ToolError::AtWork { application: application.to_owned(), members }) }
}
