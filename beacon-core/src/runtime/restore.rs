//! Brings a task's store up to the end of its changelog, in slices, so that other tasks go on meanwhile.

use std::time::Duration;

use super::environment::Environment;
use crate::log::{Event, Isolation, Log, LogError, LogErrorKind, Offset, Reader, TopicPartition};
use crate::planted::{self, Planted};
use crate::task::{Task, TaskError};

/// A restore under way.
pub(super) struct Restore {
    reader: Box<dyn Reader>,
    changelog: TopicPartition,
    /// Everything before this must be decided (committed or aborted) and read.
    end: Offset,
    pub(super) records: u64,
}

/// How to begin.
pub(super) enum Plan {
    /// Nothing is missing up to this end.
    Current(Offset),
    /// The changelog's tail has to be read.
    Replay(Restore),
    /// The store is ahead of the log: it belongs to another history and must be removed.
    Foreign,
}

/// Looks at store and changelog. To be called after the log has said where the task's inputs stand: from then on no
/// older owner can commit to this changelog.
///
/// A topic that was deleted and made again (a reset, a rescale) is another history though offsets may fit.
pub(super) fn plan(task: &mut Task, log: &dyn Log) -> Result<Plan, TaskError> {
    let changelog = task.changelog().clone();
    if let Some(id) = log.topic_id(&changelog.topic)? {
        match task.history()? {
            Some(known) if known == id => {}
            Some(_) if task.changelog_end().is_some() => return Ok(Plan::Foreign),
            _ => task.note_history(&id)?,
        }
    }
    // The true end: of a commit that was decided a moment ago, the markers may still be on their way.
    let isolation =
        if planted::is_in(Planted::StableOffsetRestore) { Isolation::Committed } else { Isolation::Uncommitted };
    let range = log.offsets(&changelog, isolation)?;
    let from = match task.changelog_end() {
        Some(end) if end > range.end => return Ok(Plan::Foreign),
        Some(end) if end >= range.start => end,
        None if range.start == 0 => 0,
        local => {
            let have = local.map_or("nothing".to_owned(), |end| format!("everything before offset {end}"));
            let error = LogError::new(
                LogErrorKind::Trimmed,
                format!(
                    "changelog {changelog} begins at offset {}, but this disk holds {have}: restore the task from a \
                     checkpoint, or reset the application",
                    range.start
                ),
            );
            return Err(error.into());
        }
    };
    if from >= range.end {
        return Ok(Plan::Current(range.end));
    }
    let mut reader = log.reader(Isolation::Committed)?;
    reader.assign(&[(changelog.clone(), from)])?;
    Ok(Plan::Replay(Restore { reader, changelog, end: range.end, records: 0 }))
}

impl Restore {
    /// Reads on for about `slice`. `true`: the task is whole.
    pub(super) fn go_on(
        &mut self,
        task: &mut Task,
        slice: Duration,
        environment: &dyn Environment,
    ) -> Result<bool, TaskError> {
        let until = environment.now() + slice;
        loop {
            match self.reader.poll(until.saturating_sub(environment.now()))? {
                Event::Records(batch) => {
                    for index in 0..batch.len() {
                        let record = batch.get(index);
                        if let Some(value) = record.value {
                            task.replay(record.offset, value)?;
                            self.records += 1;
                        }
                    }
                }
                Event::EndOfPartition(partition, end) if partition == self.changelog && end >= self.end => {
                    task.finish_replay(end)?;
                    return Ok(true);
                }
                Event::Idle => return Ok(false),
                _ => {}
            }
            if environment.now() >= until {
                return Ok(false);
            }
        }
    }
}
