//! Brings a task's store up to the end of its changelog, in slices, so that other tasks go on meanwhile.

use std::time::Duration;

use std::sync::Arc;

use super::environment::Environment;
use super::progress::{Progress, RestorePhase};
use super::removal::Unusable;
use crate::log::{Event, Isolation, Log, LogError, LogErrorKind, Offset, Reader, TopicPartition};
use crate::planted::{self, Planted};
use crate::state::{StateError, Store};
use crate::task::{Task, TaskError, TaskSettings};
use crate::topology::Topology;

/// A task over a store that a checkpoint of this changelog offset brought.
///
/// # Errors
/// A store of another offset than its manifest says.
pub(super) fn over_checkpoint(
    topology: &Topology,
    settings: &TaskSettings,
    store: Box<dyn Store>,
    offset: Offset,
) -> Result<Task, TaskError> {
    let task = Task::new(topology, settings, store)?;
    if task.changelog_end() == Some(offset) {
        return Ok(task);
    }
    let found = task.changelog_end().map_or("none".to_owned(), |end| end.to_string());
    let reason = format!("the checkpoint of changelog offset {offset} holds a store of offset {found}");
    Err(StateError::Store(reason).into())
}

/// A restore under way.
pub(super) struct Restore {
    reader: Box<dyn Reader>,
    changelog: TopicPartition,
    /// Everything before this must be decided (committed or aborted) and read.
    end: Offset,
    pub(super) records: u64,
    from: Offset,
    progress: Option<Arc<Progress>>,
}

/// How to begin.
pub(super) enum Plan {
    /// Nothing is missing up to this end.
    Current(Offset),
    /// The changelog's tail has to be read.
    Replay(Restore),
    /// The store must be removed.
    Unusable(Unusable),
    /// The store cannot be brought up to date from the changelog alone.
    Lacking(Lack),
}

/// What a store and its changelog do not have between them.
pub(super) struct Lack {
    changelog: TopicPartition,
    /// What the disk reflects. `None`: nothing, which is not the same as an offset of zero.
    local: Option<Offset>,
    /// Where the changelog begins.
    start: Offset,
}

impl Lack {
    /// Whether the changelog was trimmed since it began at this offset.
    pub(super) fn begins_after(&self, offset: Offset) -> bool {
        self.start > offset
    }

    /// The way out, when no checkpoint helps; `passed_over` says why each one does not.
    pub(super) fn refuse(&self, passed_over: &[String]) -> LogError {
        let have = self.local.map_or("nothing".to_owned(), |end| format!("everything before offset {end}"));
        let why = if passed_over.is_empty() { "there is none".to_owned() } else { passed_over.join("; ") };
        LogError::new(
            LogErrorKind::Trimmed,
            format!(
                "changelog {} begins at offset {}, but this disk holds {have}, and no checkpoint bridges the gap ({why}): \
                 bring back the object storage or the state directory, or reset the application and let it read its \
                 inputs again",
                self.changelog, self.start
            ),
        )
    }
}

/// Where a store stands beside its changelog.
pub(super) enum Stand {
    /// Nothing is missing up to this end.
    Current(Offset),
    /// What lies between these offsets has to be read.
    Behind { from: Offset, end: Offset },
    /// See [`Plan::Unusable`].
    Unusable(Unusable),
    /// See [`Plan::Lacking`].
    Lacking(Lack),
}

/// Looks at store and changelog, and plans what to read. To be called after the log has said where the task's inputs stand: from then on no
/// older owner can commit to this changelog.
pub(super) fn plan(task: &mut Task, log: &dyn Log) -> Result<Plan, TaskError> {
    let (from, end) = match stand(task, log)? {
        Stand::Current(end) => return Ok(Plan::Current(end)),
        Stand::Unusable(why) => return Ok(Plan::Unusable(why)),
        Stand::Lacking(lack) => return Ok(Plan::Lacking(lack)),
        Stand::Behind { from, end } => (from, end),
    };
    let changelog = task.changelog().clone();
    let mut reader = log.reader(Isolation::Committed)?;
    reader.assign(&[(changelog.clone(), from)])?;
    Ok(Plan::Replay(Restore { reader, changelog, end, records: 0, from, progress: None }))
}

/// Looks at store and changelog.
///
/// A topic that was deleted and made again (a reset, a rescale) is another history though offsets may fit.
pub(super) fn stand(task: &mut Task, log: &dyn Log) -> Result<Stand, TaskError> {
    match compare(task, log) {
        Err(TaskError::State(StateError::Damaged(reason))) => Ok(Stand::Unusable(Unusable::Damaged(reason))),
        stand => stand,
    }
}

fn compare(task: &mut Task, log: &dyn Log) -> Result<Stand, TaskError> {
    let changelog = task.changelog().clone();
    if let Some(id) = log.topic_id(&changelog.topic)? {
        match task.history()? {
            Some(known) if known == id => {}
            // Of another making, or of nobody knows which: all the same offsets may fit.
            _ if task.changelog_end().is_some() => return Ok(Stand::Unusable(Unusable::Foreign)),
            _ => task.note_history(&id)?,
        }
    }
    // The true end: of a commit that was decided a moment ago, the markers may still be on their way.
    let isolation =
        if planted::is_in(Planted::StableOffsetRestore) { Isolation::Committed } else { Isolation::Uncommitted };
    let range = log.offsets(&changelog, isolation)?;
    let from = match task.changelog_end() {
        Some(end) if end > range.end => return Ok(Stand::Unusable(Unusable::Foreign)),
        Some(end) if end >= range.start => end,
        // State without the offset it is of: half of a store.
        None if !task.is_blank()? => return Ok(Stand::Unusable(Unusable::Foreign)),
        None if range.start == 0 => 0,
        local => return Ok(Stand::Lacking(Lack { changelog, local, start: range.start })),
    };
    Ok(if from >= range.end { Stand::Current(range.end) } else { Stand::Behind { from, end: range.end } })
}

impl Restore {
    /// Whether this is all of the changelog, over an empty store.
    pub(super) fn is_from_the_start(&self) -> bool {
        self.from == 0
    }

    /// Tells how far it is from now on.
    pub(super) fn tell(&mut self, progress: Arc<Progress>) {
        progress.begin(RestorePhase::Changelog, 0, self.end - self.from);
        self.progress = Some(progress);
    }

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
                        if let Some(progress) = &self.progress {
                            progress.set(record.offset + 1 - self.from);
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
