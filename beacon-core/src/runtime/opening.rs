//! How a thread takes tasks over and gives them up: open, restore, give up.

use std::sync::Arc;
use std::time::Duration;

use super::checkpointing::{Fetch, Fetched, Wanted};
use super::fault::{Fault, is_passing};
use super::link::Link;
use super::restore::{self, Plan, Restore};
use super::slot::{Backlog, Slot};
use super::standby::flush_at_end;
use super::stats::{Stats, TaskCounts};
use super::thread::StreamThread;
use crate::checkpoint::TaskObjects;
use crate::log::{Isolation, LogError, LogErrorKind, Offset, TopicPartition};
use crate::planted::{self, Planted};
use crate::state::StateError;
use crate::task::{Task, TaskError, TaskId, TaskSettings};

/// How long one task restores before the others get their turn.
const RESTORE_SLICE: Duration = Duration::from_millis(20);

/// How often a restore is asked whether its files are there.
const FETCH_LOOK: Duration = Duration::from_millis(20);

/// Whether a changelog does not begin any more where it was about to be read.
fn is_trimmed(error: &TaskError) -> bool {
    matches!(error, TaskError::Log(error) if error.kind() == LogErrorKind::Trimmed)
}

/// A task given to this thread that is not open yet. Its inputs are paused.
pub(super) struct Waiting {
    inputs: Vec<(TopicPartition, Offset)>,
    since: Duration,
    pub(super) try_at: Duration,
    /// The files of a checkpoint are under way.
    fetch: Option<Fetch>,
}

/// What came of taking a task over.
enum Taken {
    /// It is here; whether it was not before.
    Here(bool),
    /// Not before its files are.
    Fetching(Fetch),
}

/// What came of opening a task.
enum Opened {
    Slot(Box<Slot>),
    Fetching(Fetch),
}

impl StreamThread {
    pub(super) fn assigned(&mut self, partitions: Vec<(TopicPartition, Offset)>, link: &mut Link) -> Result<(), Fault> {
        let names: Vec<_> = partitions.iter().map(|(partition, _)| partition.clone()).collect();
        link.session.pause(&names).map_err(|error| self.blame.log(error).not_undone())?;
        let now = self.environment.now();
        self.gauges.own(&partitions);
        for (partition, offset) in partitions {
            let id = self.task_of(&partition.topic, partition.partition);
            let waiting = self.waiting.entry(id).or_insert_with(|| Waiting {
                inputs: Vec::new(),
                since: now,
                try_at: now,
                fetch: None,
            });
            waiting.inputs.push((partition, offset));
        }
        if link.session.revokes_all() {
            self.settle_parked();
        }
        self.count_tasks();
        Ok(())
    }

    /// Opens what can be opened; what cannot yet is tried again.
    pub(super) fn open_waiting(&mut self, link: &mut Link) -> Result<(), Fault> {
        let now = self.environment.now();
        let due: Vec<_> = self.waiting.iter().filter(|(_, waiting)| waiting.try_at <= now).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return Ok(());
        }
        for id in due {
            let Some(waiting) = self.waiting.get_mut(&id) else { continue };
            let (inputs, fetch) = (waiting.inputs.clone(), waiting.fetch.take());
            match self.take_over(id, &inputs, fetch) {
                Ok(Taken::Fetching(fetch)) => {
                    if let Some(waiting) = self.waiting.get_mut(&id) {
                        waiting.fetch = Some(fetch);
                        // Files take their time; from the first on, a lock held by another owner is news again.
                        (waiting.since, waiting.try_at) = (now, now + FETCH_LOOK);
                    }
                }
                Ok(Taken::Here(is_new)) => {
                    self.waiting.remove(&id);
                    // Not to be tried again: the task is here already, and would be for ever without its input.
                    self.begin(id, is_new, link).map_err(|source| self.blame.task(id, source).not_undone())?;
                }
                Err(error) => self.put_off(id, error)?,
            }
        }
        self.count_tasks();
        Ok(())
    }

    /// A task could not be opened: later, if that can help.
    fn put_off(&mut self, id: TaskId, error: TaskError) -> Result<(), Fault> {
        let now = self.environment.now();
        let Some(waiting) = self.waiting.get_mut(&id) else { return Ok(()) };
        let passing = match &error {
            TaskError::Log(error) => is_passing(error),
            TaskError::State(StateError::Full(_) | StateError::Restoring(_)) => true,
            // Another thread or process that has lost the task may not have noticed yet. A thread of our own will, however long it
            // stands still; of another process that is not known, and two may have been given one directory.
            TaskError::State(StateError::Locked(_)) => {
                self.shared.claims.others_have(self.number, id)
                    || now.saturating_sub(waiting.since) < self.config.session_timeout
            }
            _ => false,
        };
        if !passing {
            return Err(self.blame.task(id, error));
        }
        tracing::warn!(task = %id, %error, application = self.blame.application, "cannot open the task yet; trying again");
        waiting.try_at = now + self.config.retry_backoff;
        Ok(())
    }

    /// Opens the task unless it is here already and only gets another input; whether it did.
    fn take_over(
        &mut self,
        id: TaskId,
        inputs: &[(TopicPartition, Offset)],
        fetch: Option<Fetch>,
    ) -> Result<Taken, TaskError> {
        let fetched = match fetch.map(|fetch| (fetch.outcome(), fetch)) {
            None => None,
            Some((Ok(Fetched::Pending), fetch)) => return Ok(Taken::Fetching(fetch)),
            Some((outcome, _)) => Some(outcome?),
        };
        let (mut ends, mut from_the_start) = (Vec::new(), true);
        for (partition, offset) in inputs {
            let range = self.log.offsets(partition, Isolation::Committed)?;
            if *offset < range.end {
                ends.push((partition.clone(), range.end));
            }
            from_the_start &= *offset <= range.start;
        }
        let is_new = !self.slots.contains_key(&id);
        if is_new {
            match self.open(id, fetched, from_the_start)? {
                Opened::Slot(slot) => drop(self.slots.insert(id, *slot)),
                Opened::Fetching(fetch) => return Ok(Taken::Fetching(fetch)),
            }
            // Begins anew, with the ends of now.
            self.upstream = None;
        }
        let slot = self.slots.get_mut(&id).expect("it was there or has been inserted");
        for (partition, end) in ends {
            slot.backlog.add(partition, end);
        }
        for (partition, offset) in inputs {
            slot.task.positions.assign(partition.clone(), *offset);
        }
        Ok(Taken::Here(is_new))
    }

    fn begin(&mut self, id: TaskId, is_new: bool, link: &mut Link) -> Result<(), TaskError> {
        match self.slots.get(&id) {
            Some(slot) if slot.restore.is_none() && is_new => self.whole(id, link),
            Some(slot) if slot.restore.is_none() => Ok(self.resume(id, link)?),
            _ => Ok(()),
        }
    }

    /// Opens a task over what its store holds, unless it is kept open, or over what was fetched, and plans its restore.
    fn open(&mut self, id: TaskId, fetched: Option<Fetched>, from_the_start: bool) -> Result<Opened, TaskError> {
        let from_checkpoint = matches!(fetched, Some(Fetched::Store { .. }));
        let settings = TaskSettings { id, partitions: self.config.partitions };
        let kept = self.standbys.take(id);
        let trusted = planted::is_in(Planted::ParkedTaskTrusted) && kept.is_some();
        let mut begun = None;
        let (mut task, mut passed_over) = match fetched {
            Some(Fetched::Store { store, offset, bytes }) => {
                match restore::over_checkpoint(&self.topology, &settings, store, offset) {
                    Ok(task) => {
                        Stats::add(&self.shared.stats.checkpoint_restores, 1);
                        Stats::add(&self.shared.stats.restored_bytes, bytes);
                        (task, None)
                    }
                    // Its files are as they were uploaded: asked for again, the same would come.
                    Err(TaskError::State(StateError::Damaged(reason))) => {
                        let reason = format!("the newest one was made of a damaged store: {reason}");
                        (self.open_local(&settings)?, Some(vec![reason]))
                    }
                    Err(error) => return Err(error),
                }
            }
            Some(Fetched::Nothing { begins, reasons }) => {
                begun = Some(begins);
                (self.open_local(&settings)?, Some(reasons))
            }
            Some(Fetched::Pending) | None => match kept {
                Some(task) => (task, None),
                None => (self.open_local(&settings)?, None),
            },
        };
        let (mut restore, mut awaits_upstream) = (None, false);
        if let TaskId::Keyed(number) = id {
            awaits_upstream = self.topology.hops() > 0;
            let planned = match trusted {
                true => Ok(Plan::Current(task.changelog_end().unwrap_or(0))),
                false => restore::plan(&mut task, self.log.as_ref()),
            };
            if planned.is_err() {
                // It is opened again from the disk.
                flush_at_end(id, &mut task);
            }
            let mut plan = planned?;
            if let Plan::Unusable(why) = &plan {
                if from_checkpoint {
                    // Asked for again, the same would come.
                    passed_over = Some(vec![format!("the newest one cannot be used: {why}")]);
                }
                drop(task);
                self.removals.remove(id, why, self.stores.as_ref())?;
                task = self.open_local(&settings)?;
                plan = restore::plan(&mut task, self.log.as_ref())?;
            }
            let wants_checkpoint = match &plan {
                Plan::Lacking(lack) => {
                    if begun.is_some_and(|begins| lack.begins_after(begins)) {
                        // Trimmed since the storage was looked at: there are checkpoints now.
                        passed_over = None;
                    }
                    true
                }
                Plan::Replay(replay) => task.changelog_end().is_none() && replay.is_from_the_start(),
                _ => false,
            };
            match (&self.config.checkpoints, passed_over) {
                (Some(_), None) if wants_checkpoint => {
                    // Its directory is about to be replaced.
                    let changelog = task.changelog().clone();
                    drop(task);
                    return Ok(Opened::Fetching(self.fetch(number, changelog)?));
                }
                (_, passed_over) => match plan {
                    Plan::Current(end) => task.finish_replay(end)?,
                    Plan::Replay(replay) => restore = Some(self.told(id, replay)),
                    Plan::Unusable(_) => return Err(StateError::Store("local state cannot be removed".into()).into()),
                    Plan::Lacking(lack) => {
                        let none = || vec!["the application has no checkpoints".to_owned()];
                        return Err(lack.refuse(&passed_over.unwrap_or_else(none)).into());
                    }
                },
            }
        }
        let last_flush = self.environment.now();
        let slot = Slot { task, restore, backlog: Backlog::default(), awaits_upstream, from_the_start, last_flush };
        Ok(Opened::Slot(Box::new(slot)))
    }

    /// Opens a task over what the disk holds of it.
    fn open_local(&mut self, settings: &TaskSettings) -> Result<Task, TaskError> {
        Stats::add(&self.shared.stats.opened, 1);
        self.removals.open(&self.topology, settings, self.stores.as_ref())
    }

    fn told(&self, id: TaskId, mut replay: Restore) -> Restore {
        replay.tell(self.shared.restores.begin(id, &self.environment));
        replay
    }

    /// Starts to bring a checkpoint's files.
    pub(super) fn fetch(&self, task: u32, changelog: TopicPartition) -> Result<Fetch, TaskError> {
        let config = self.config.checkpoints.as_ref().expect("asked for with checkpoints only");
        let id = TaskId::Keyed(task);
        let history = self.log.topic_id(&changelog.topic)?;
        let wanted = Wanted {
            config: config.clone(),
            log: Arc::clone(&self.log),
            objects: TaskObjects { application: self.blame.application.clone(), task, history },
            partitions: self.config.partitions,
            changelog,
            intake: self.stores.intake(id)?,
            progress: self.shared.restores.begin(id, &self.environment),
        };
        Fetch::start(wanted, self.environment.as_ref())
    }

    /// A task's state is complete: its inputs flow, its open calls are made again.
    fn whole(&mut self, id: TaskId, link: &mut Link) -> Result<(), TaskError> {
        self.refuse_a_forgotten_past(id)?;
        let slot = self.slots.get_mut(&id).expect("asked for a task that is there");
        let open = slot.task.open_calls()?;
        if let Some(calls) = &mut self.calls {
            calls.adopt(id, open);
        }
        Ok(self.resume(id, link)?)
    }

    fn resume(&self, id: TaskId, link: &mut Link) -> Result<(), LogError> {
        let inputs = self.slots.get(&id).map(|slot| slot.task.positions.partitions().cloned().collect::<Vec<_>>());
        link.session.resume(&inputs.unwrap_or_default())
    }

    pub(super) fn restore(&mut self, link: &mut Link) -> Result<(), Fault> {
        let ids: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.restore.is_some()).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let Some(restore) = &mut slot.restore else { continue };
            let whole = restore.go_on(&mut slot.task, RESTORE_SLICE, self.environment.as_ref()).map_err(|source| {
                if is_trimmed(&source) {
                    // Another owner's checkpoint let go of it meanwhile; opened anew, the task begins from that one.
                    return Fault::Rejoin(format!("task {id}: {source}"));
                }
                self.blame.task(id, source)
            })?;
            if whole {
                let records = restore.records;
                slot.restore = None;
                Stats::add(&self.shared.stats.restored_records, records);
                tracing::info!(task = %id, records, application = self.blame.application, "state restored");
                self.whole(id, link).map_err(|source| self.blame.task(id, source).not_undone())?;
            }
        }
        self.count_tasks();
        Ok(())
    }

    /// Gives up inputs. Tasks without any are closed; with `may_return`, they are kept open, their uncommitted work gone.
    pub(super) fn give_up(&mut self, partitions: &[TopicPartition], may_return: bool) {
        self.gauges.disown(partitions);
        for partition in partitions {
            let id = self.task_of(&partition.topic, partition.partition);
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.inputs.retain(|(input, _)| input != partition);
                if waiting.inputs.is_empty() {
                    self.waiting.remove(&id);
                }
            }
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.task.positions.remove(partition);
            slot.backlog.remove(partition);
            if slot.task.positions.is_empty() && !planted::is_in(Planted::OverlayKept) {
                self.close(id, may_return);
            }
        }
        self.count_tasks();
    }

    fn close(&mut self, id: TaskId, may_return: bool) {
        if let Some(mut slot) = self.slots.remove(&id)
            && let Err(error) = if may_return { self.park(id, slot) } else { slot.task.flush() }
        {
            tracing::warn!(task = %id, %error, "could not flush a task that was given up; its tail will be read again");
        }
        if let Some(calls) = &mut self.calls {
            calls.forget(id);
        }
        if let Some(checkpointing) = &mut self.checkpointing {
            checkpointing.forget(id);
        }
    }

    /// Gives each task its part of the memory for entries at hand.
    pub(super) fn divide_tables(&mut self) {
        let tasks = self.slots.keys().filter(|id| matches!(id, TaskId::Keyed(_))).count() + self.standbys.len();
        let room = self.tables.divide(tasks);
        let keyed = self.slots.iter_mut().filter(|(id, _)| matches!(id, TaskId::Keyed(_)));
        for task in keyed.map(|(_, slot)| &mut slot.task).chain(self.standbys.tasks().map(|(_, task)| task)) {
            task.set_room(room);
        }
    }

    pub(super) fn count_tasks(&mut self) {
        let replaying = self.slots.values().filter(|slot| slot.restore.is_some()).count();
        let fetching = self.waiting.values().filter(|waiting| waiting.fetch.is_some()).count();
        let waiting = self.waiting.keys().filter(|id| !self.slots.contains_key(id)).count() - fetching;
        let counts = TaskCounts {
            running: (self.slots.len() - replaying) as u64,
            restoring: (replaying + fetching) as u64,
            waiting: waiting as u64,
            standbys: self.standbys.warm(),
        };
        self.gauges.set(counts, self.environment.now());
        self.divide_tables();
        let claimed = self.slots.keys().chain(self.waiting.keys()).copied().collect();
        self.shared.claims.set(self.number, claimed, self.standbys.kept());
    }
}
