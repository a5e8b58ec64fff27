//! The journal of a tool at work on an application: a topic of one partition, which is there as long as it is.
//!
//! While it is there the application does not start: it would meet topics that are half made. Each finished step is a
//! record, so that a tool that was killed goes on where it was when it is called again with the same plan. A tool that
//! works on several applications writes all of it to the topic of each: whichever of them is asked knows what was begun.

use std::ops::ControlFlow;

use super::{ToolError, reading};
use crate::log::{CleanupPolicy, Log, Offset, Record, TopicPartition, TopicSpec};
use crate::topology::Topology;

/// The journal's topic of each application at work on, and what is in them.
pub(super) struct Journal<'a> {
    log: &'a dyn Log,
    topics: Vec<String>,
    lines: Vec<String>,
}

impl<'a> Journal<'a> {
    /// Begins a journal for this plan, or takes up the one that is there.
    ///
    /// # Errors
    /// [`ToolError::Refused`] when another plan was begun and not finished, for any of the applications.
    pub(super) fn open(log: &'a dyn Log, applications: &[&Topology], plan: &str) -> Result<Self, ToolError> {
        if let Some(begun) = begun(log, applications)?
            && begun != plan
        {
            return Err(unfinished(&begun, plan));
        }
        let topics: Vec<String> = applications.iter().map(|topology| topology.maintenance_topic()).collect();
        let specs: Vec<_> = topics
            .iter()
            .map(|name| TopicSpec {
                name: name.clone(),
                partitions: 1,
                cleanup: CleanupPolicy::Delete { retention: None },
            })
            .collect();
        log.create_topics(&specs)?;
        let (mut lines, mut unheaded): (Vec<String>, Vec<&String>) = Default::default();
        for topic in &topics {
            let found = read_all(log, topic)?;
            if found.is_empty() {
                unheaded.push(topic);
            }
            // Killed while it noted a line, a tool has left it in some of the topics: the longest knows all.
            if found.len() > lines.len() {
                lines = found;
            }
        }
        append(log, &unheaded, plan)?;
        if lines.is_empty() {
            lines.push(plan.to_owned());
        }
        Ok(Self { log, lines, topics })
    }

    pub(super) fn is_done(&self, step: &str) -> bool {
        self.lines.iter().any(|line| line == step)
    }

    /// The step is finished, for good.
    pub(super) fn note(&mut self, step: &str) -> Result<(), ToolError> {
        append(self.log, &self.topics.iter().collect::<Vec<_>>(), step)?;
        self.lines.push(step.to_owned());
        Ok(())
    }

    /// Notes numbers, of which the ones noted last under a name count.
    pub(super) fn note_numbers(&mut self, name: &str, numbers: &[Offset]) -> Result<(), ToolError> {
        self.note(&format!("{name} {numbers:?}"))
    }

    /// The numbers noted last under this name.
    pub(super) fn numbers(&self, name: &str) -> Option<Vec<Offset>> {
        let noted = |line: &String| {
            let list = line.strip_prefix(name)?.strip_prefix(" [")?.strip_suffix(']')?;
            list.split(", ").filter(|number| !number.is_empty()).map(|number| number.parse().ok()).collect()
        };
        self.lines.iter().rev().find_map(noted)
    }

    /// Everything is done: applications may start. The topic with the steps goes last.
    pub(super) fn close(self) -> Result<(), ToolError> {
        for topic in self.topics.iter().rev() {
            self.log.delete_topics(&[topic])?;
        }
        Ok(())
    }
}

/// The plan of an unfinished journal of one of these applications, if there is one.
pub(super) fn begun(log: &dyn Log, applications: &[&Topology]) -> Result<Option<String>, ToolError> {
    for topology in applications {
        if let Some(begun) = read_all(log, &topology.maintenance_topic())?.into_iter().next() {
            return Ok(Some(begun));
        }
    }
    Ok(None)
}

/// Another plan has to be finished first.
pub(super) fn unfinished(begun: &str, plan: &str) -> ToolError {
    ToolError::Refused(format!("`{begun}` was begun and not finished; call it again to finish it before `{plan}`"))
}

fn read_all(log: &dyn Log, topic: &str) -> Result<Vec<String>, ToolError> {
    let mut steps = Vec::new();
    if log.describe_topic(topic)?.is_some() {
        reading::read(log, &TopicPartition::new(topic, 0), 0, &mut |record| {
            steps.push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(steps)
}

/// One line in each of these topics.
fn append(log: &dyn Log, topics: &[&String], line: &str) -> Result<(), ToolError> {
    let records = topics.iter().map(|topic| Record::new(topic.as_str(), "step", line).to_partition(0)).collect();
    log.appender()?.append_blocking(records)?;
    Ok(())
}
