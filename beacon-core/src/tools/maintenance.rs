//! The journal of a tool at work on an application: a topic of one partition, which is there as long as it is.
//!
//! While it is there the application does not start: it would meet topics that are half made. Each finished step is a
//! record, so that a tool that was killed goes on where it was when it is called again with the same plan.

use std::ops::ControlFlow;

use super::{ToolError, reading};
use crate::log::{CleanupPolicy, Log, Record, TopicPartition, TopicSpec};
use crate::topology::Topology;

/// The journal's topic of each application at work on; the first one's holds the steps.
pub(super) struct Journal<'a> {
    log: &'a dyn Log,
    topics: Vec<String>,
    done: Vec<String>,
}

impl<'a> Journal<'a> {
    /// Begins a journal for this plan, or takes up the one that is there.
    ///
    /// # Errors
    /// [`ToolError::Refused`] when another plan was begun and not finished.
    pub(super) fn open(log: &'a dyn Log, applications: &[&Topology], plan: &str) -> Result<Self, ToolError> {
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
        let mut journal = Self { log, done: read_all(log, &topics[0])?, topics };
        match journal.done.first() {
            None => journal.note(plan)?,
            Some(begun) if begun == plan => {}
            Some(begun) => {
                return Err(ToolError::Refused(format!(
                    "`{begun}` was begun and not finished (topic {}); call it again to finish it before `{plan}`",
                    journal.topics[0]
                )));
            }
        }
        Ok(journal)
    }

    pub(super) fn is_done(&self, step: &str) -> bool {
        self.done.iter().any(|done| done == step)
    }

    /// The step is finished, for good.
    pub(super) fn note(&mut self, step: &str) -> Result<(), ToolError> {
        let record = Record::new(self.topics[0].as_str(), "step", step).to_partition(0);
        self.log.append_one(record)?;
        self.done.push(step.to_owned());
        Ok(())
    }

    /// Everything is done: applications may start. The topic with the steps goes last.
    pub(super) fn close(self) -> Result<(), ToolError> {
        for topic in self.topics.iter().rev() {
            self.log.delete_topics(&[topic])?;
        }
        Ok(())
    }
}

/// The plan of an unfinished journal of this application, if there is one.
pub(super) fn begun(log: &dyn Log, topology: &Topology) -> Result<Option<String>, ToolError> {
    Ok(read_all(log, &topology.maintenance_topic())?.into_iter().next())
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

trait AppendOne {
    fn append_one(&self, record: Record) -> Result<(), ToolError>;
}

impl AppendOne for dyn Log + '_ {
    fn append_one(&self, record: Record) -> Result<(), ToolError> {
        self.appender()?.append_blocking(vec![record])?;
        Ok(())
    }
}
