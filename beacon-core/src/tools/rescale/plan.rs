//! What a rescale has to do, and whether it may be done.

use std::collections::BTreeMap;
use std::fmt;

use super::super::reading::{first_unread, partitions};
use super::super::reset::refuse_members;
use super::super::{ToolError, maintenance};
use super::Rescale;
use crate::log::{Log, Offset, TopicPartition};
use crate::state::division::Division;
use crate::topology::Topology;

/// One step of a rescale. Each can be done again from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RescaleStep {
    /// Writes an application's divided state to a topic beside its changelog.
    StageChangelog(String),
    /// Copies a topic's records to a topic beside it that has the new partition count.
    StageTopic(String),
    /// Deletes the topic and makes it with the new count from the copy beside it.
    Replace(String),
    /// Deletes the topic and makes it with the new count, empty.
    Empty(String),
    /// Sets a group to the ends of everything that was made anew.
    SetOffsets(String),
}

impl fmt::Display for RescaleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StageChangelog(application) => write!(f, "divide the state of {application}"),
            Self::StageTopic(topic) => write!(f, "copy {topic}"),
            Self::Replace(topic) => write!(f, "replace {topic} by its copy"),
            Self::Empty(topic) => write!(f, "make {topic} anew, empty"),
            Self::SetOffsets(group) => write!(f, "set offsets of group {group}"),
        }
    }
}

/// The topic beside a topic that holds what it will hold.
pub(super) fn staged(topic: &str) -> String {
    format!("{topic}-staged")
}

/// The line that begins the journal: all that makes it another plan.
pub(super) fn heading(division: Division, rescale: &Rescale<'_>) -> String {
    let applications: Vec<&str> = rescale.applications.iter().map(|(topology, _)| topology.application()).collect();
    format!("rescale from {} to {} partitions of {}", division.from(), division.to(), applications.join(", "))
}

/// Checks everything that can be checked without reading state, and says what will be done in which order.
///
/// A rescale that was begun and not finished is taken up: only the counts are checked then.
///
/// # Errors
/// [`ToolError::AtWork`]; [`ToolError::NeverRan`]; [`ToolError::Refused`] for inputs that are not read to their ends,
/// for sources that would keep a count that does not fit, and for another tool's unfinished work.
pub fn plan_rescale(log: &dyn Log, rescale: &Rescale<'_>) -> Result<(Division, Vec<RescaleStep>), ToolError> {
    let Some((first, _)) = rescale.applications.first() else {
        return Err(ToolError::Refused("no application was named".to_owned()));
    };
    for group in &groups(rescale) {
        refuse_members(log, group)?;
    }
    let division = division(log, rescale, first)?;
    let steps = steps(rescale, &existing(log, rescale)?);
    let topologies: Vec<&Topology> = rescale.applications.iter().map(|(topology, _)| *topology).collect();
    match maintenance::begun(log, &topologies)? {
        None => {
            check_counts(log, rescale, division)?;
            check_names(log, &steps)?;
            check_all_read(log, rescale)?;
        }
        Some(begun) if begun == heading(division, rescale) => {}
        Some(begun) => return Err(maintenance::unfinished(&begun, &heading(division, rescale))),
    }
    Ok((division, steps))
}

/// Every group has read everything that is made anew.
pub(super) fn check_all_read(log: &dyn Log, rescale: &Rescale<'_>) -> Result<(), ToolError> {
    groups(rescale).iter().try_for_each(|group| check_read(log, group, &read_by(group, rescale)))
}

/// The names of the copies are free: what is there under one of them is somebody's, and would be deleted.
fn check_names(log: &dyn Log, steps: &[RescaleStep]) -> Result<(), ToolError> {
    for step in steps {
        if let RescaleStep::Replace(topic) = step
            && log.describe_topic(&staged(topic))?.is_some()
        {
            let name = staged(topic);
            return Err(ToolError::Refused(format!(
                "topic {name} is there already, and that name is needed for a copy of {topic}: delete it if nobody needs \
                 it, or move its records elsewhere first"
            )));
        }
    }
    Ok(())
}

/// From the journal of an unfinished rescale, or from the changelog as it is.
fn division(log: &dyn Log, rescale: &Rescale<'_>, first: &Topology) -> Result<Division, ToolError> {
    let mut from = None;
    if let Some(begun) = maintenance::begun(log, &[first])? {
        // What else is in it is compared with the heading as a whole.
        let counts = begun.strip_prefix("rescale from ").and_then(|rest| rest.split_once(" partitions"));
        from = match counts.and_then(|(counts, _)| counts.split_once(" to ")) {
            Some((from, to)) if to.parse() == Ok(rescale.to) => from.parse().ok(),
            _ => None,
        };
        if from.is_none() {
            return Err(maintenance::unfinished(&begun, &format!("rescale to {} partitions", rescale.to)));
        }
    }
    let from = match from {
        Some(from) => from,
        None => changelog_count(log, first)?,
    };
    Division::new(from, rescale.to)
        .map_err(|source| ToolError::Division { application: first.application().to_owned(), source })
}

fn changelog_count(log: &dyn Log, topology: &Topology) -> Result<u32, ToolError> {
    let changelog = topology.changelog();
    match log.describe_topic(&changelog)? {
        Some(topic) => Ok(topic.partitions),
        None => Err(ToolError::NeverRan {
            application: topology.application().to_owned(),
            log: log.describe(),
            changelog: changelog.to_string(),
        }),
    }
}

/// Topics of [`Rescale::topics`] that exist, with their counts.
fn existing(log: &dyn Log, rescale: &Rescale<'_>) -> Result<BTreeMap<String, u32>, ToolError> {
    let mut found = BTreeMap::new();
    for spec in &rescale.topics {
        // Between its deletion and its making a topic is known by its copy.
        for name in [spec.name.clone(), staged(&spec.name)] {
            if let Some(topic) = log.describe_topic(&name)? {
                found.entry(spec.name.clone()).or_insert(topic.partitions);
            }
        }
    }
    Ok(found)
}

fn steps(rescale: &Rescale<'_>, existing: &BTreeMap<String, u32>) -> Vec<RescaleStep> {
    let mut steps = Vec::new();
    for (topology, _) in &rescale.applications {
        steps.push(RescaleStep::StageChangelog(topology.application().to_owned()));
    }
    let topics: Vec<&String> =
        rescale.topics.iter().map(|spec| &spec.name).filter(|t| existing.contains_key(*t)).collect();
    steps.extend(topics.iter().map(|topic| RescaleStep::StageTopic((*topic).clone())));
    for (topology, _) in &rescale.applications {
        steps.push(RescaleStep::Replace(topology.changelog().to_string()));
        let internal = topology.internal_topics().iter();
        steps.extend(internal.map(|topic| RescaleStep::Empty(topic.name.to_string())));
    }
    steps.extend(topics.iter().map(|topic| RescaleStep::Replace((*topic).clone())));
    steps.extend(groups(rescale).into_iter().map(RescaleStep::SetOffsets));
    steps
}

/// Every group whose offsets change.
pub(super) fn groups(rescale: &Rescale<'_>) -> Vec<String> {
    let applications = rescale.applications.iter().map(|(topology, _)| topology.application().to_owned());
    applications.chain(rescale.readers.iter().cloned()).collect()
}

/// Topics that are made anew and that this group reads.
pub(super) fn read_by(group: &str, rescale: &Rescale<'_>) -> Vec<String> {
    let anew: Vec<&String> = rescale.topics.iter().map(|spec| &spec.name).collect();
    match rescale.applications.iter().find(|(topology, _)| topology.application() == group) {
        Some((topology, _)) => {
            let sources = topology.sources().iter().map(|source| source.topic.to_string());
            let internal = topology.internal_topics().iter().map(|topic| topic.name.to_string());
            sources.filter(|topic| anew.contains(&topic)).chain(internal).collect()
        }
        None => anew.into_iter().cloned().collect(),
    }
}

/// Every source that must have the application's count is made anew.
fn check_counts(log: &dyn Log, rescale: &Rescale<'_>, division: Division) -> Result<(), ToolError> {
    for (topology, _) in &rescale.applications {
        let count = changelog_count(log, topology)?;
        if count != division.from() {
            return Err(ToolError::Refused(format!(
                "application `{}` has {count} partitions, not {}; rescale it by itself",
                topology.application(),
                division.from()
            )));
        }
        for source in topology.sources().iter().filter(|source| source.copartitioned || source.event_time.is_some()) {
            if !rescale.topics.iter().any(|spec| *spec.name == *source.topic) {
                return Err(ToolError::Refused(format!(
                    "source `{}` relies on the partitions of {}, which has to have {} of them as well: let it be made \
                     anew with its records, too",
                    source.name,
                    source.topic,
                    division.to()
                )));
            }
        }
    }
    match rescale.topics.iter().find(|spec| spec.partitions != division.to()) {
        Some(spec) => Err(ToolError::Refused(format!(
            "topic {} is to be made with {} partitions, not {}",
            spec.name,
            spec.partitions,
            division.to()
        ))),
        None => Ok(()),
    }
}

/// The group has read these topics to their ends.
fn check_read(log: &dyn Log, group: &str, topics: &[String]) -> Result<(), ToolError> {
    let mut inputs: Vec<TopicPartition> = Vec::new();
    for topic in topics {
        inputs.extend(partitions(log, topic)?);
    }
    let mut known: Vec<&str> = inputs.iter().map(|input| &*input.topic).collect();
    known.dedup();
    let committed: BTreeMap<TopicPartition, Offset> = log.committed(group, &known)?.into_iter().collect();
    for input in inputs {
        let next = committed.get(&input).copied().unwrap_or(0);
        if let Some(unread) = first_unread(log, &input, next)? {
            return Err(ToolError::Refused(format!(
                "group {group} has not read {input} to its end: it stands at {next}, and there is a record at {unread}; \
                 start it once more until its lag is zero, with nothing written meanwhile, then stop it and try again"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{CleanupPolicy, TopicSpec};
    use crate::runtime::AppConfig;
    use crate::topology::{Topic, TopologyBuilder};

    #[test]
    fn nothing_is_destroyed_before_everything_is_copied() {
        let app = TopologyBuilder::new("a");
        app.source("in", &Topic::<String>::new("t")).keyed("same", Clone::clone);
        let other = TopologyBuilder::new("b");
        other.source("in", &Topic::<String>::new("u")).key_by("anew", Clone::clone);
        let (one, two) = (app.build().expect("valid"), other.build().expect("valid"));
        let spec = |name: &str| TopicSpec {
            name: name.to_owned(),
            partitions: 8,
            cleanup: CleanupPolicy::Delete { retention: None },
        };
        let rescale = Rescale {
            applications: vec![(&one, AppConfig::new(4)), (&two, AppConfig::new(4))],
            topics: vec![spec("t"), spec("u"), spec("missing")],
            readers: vec!["r".to_owned()],
            to: 8,
        };
        let existing = BTreeMap::from([("t".to_owned(), 4), ("u".to_owned(), 3)]);
        let steps: Vec<String> = steps(&rescale, &existing).iter().map(ToString::to_string).collect();
        assert_eq!(
            steps,
            [
                "divide the state of a",
                "divide the state of b",
                "copy t",
                "copy u",
                "replace a-changelog by its copy",
                "replace b-changelog by its copy",
                "make b-anew-repartition anew, empty",
                "replace t by its copy",
                "replace u by its copy",
                "set offsets of group a",
                "set offsets of group b",
                "set offsets of group r",
            ]
        );
    }
}
