//! Tasks that a thread keeps open without owning them: those just asked back, and copies kept warm.
//!
//! *Parked*: a protocol that asks everything back at each rebalance gives most of it back a moment later. A parked task
//! waits for that with its store open, so that tasks which stay are not closed and opened again. *Standby*: a copy of
//! somebody else's task follows its changelog, so that a takeover reads a tail instead of everything.
//!
//! What it deliberately does not do: it agrees on nothing with other processes. Each chooses its copies for itself: see
//! [`copies`](super::copies).
//!
//! Invariant: a copy holds committed records only, and whoever takes it over plans its restore as from a disk
//! (`tests/simulation/checkpoints.rs: standby_copies_begin_from_checkpoints_and_change_nothing_that_comes_out`, and a program that
//! trusts a parked task is found: `src/testing/simulation/planted_tests.rs: a_parked_task_that_was_anothers_in_between_is_found`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::checkpointing::{Fetch, Fetched};
use super::copies::chosen;
use super::restore::{self, Stand};
use super::slot::Slot;
use super::stats::Stats;
use super::thread::StreamThread;
use crate::log::{Event, Isolation, LogError, Reader};
use crate::planted::{self, Planted};
use crate::state::StateError;
use crate::task::{Task, TaskError, TaskId, TaskSettings};

/// The group's first assignment is waited for so long: what it brings need not be opened as a copy first.
const AFTER_JOIN: Duration = Duration::from_secs(1);
/// How long copies are read on before owned tasks get their turn.
const SLICE: Duration = Duration::from_millis(5);
/// How often it is looked which copies to keep.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a failure copies are let be for so long: a full disk, a log that is away.
const RETRY: Duration = Duration::from_secs(5);

struct Kept {
    task: Task,
    /// Was asked back and may be given again; not followed.
    parked: bool,
    /// Has been read up to its changelog's end at least once.
    warm: bool,
    last_flush: Duration,
}

/// The tasks one thread keeps open without owning them.
#[derive(Default)]
pub(super) struct Standbys {
    kept: BTreeMap<TaskId, Kept>,
    /// Reads the changelogs of the copies in `followed`, and of others that are not listened to any more.
    reader: Option<Box<dyn Reader>>,
    followed: BTreeSet<TaskId>,
    /// Copies to be whose checkpoints are under way: their changelogs do not begin at the start, or begin too far back.
    fetching: BTreeMap<TaskId, Fetch>,
    /// Copies that cannot be made, and when to try again.
    put_off: BTreeMap<TaskId, Duration>,
    look_at: Duration,
    /// The last reading found more than it had time for.
    behind: bool,
}

impl Standbys {
    /// A new session: see [`AFTER_JOIN`].
    pub(super) fn joined(&mut self, now: Duration) {
        self.look_at = now + AFTER_JOIN;
    }

    /// Hands over a task that is kept, if it is.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Task> {
        self.followed.remove(&id);
        // What has arrived of its checkpoint stays on the disk, for whoever goes on with it.
        self.fetching.remove(&id);
        self.kept.remove(&id).map(|kept| kept.task)
    }

    /// Closes everything, what is committed flushed.
    pub(super) fn close(&mut self) {
        self.close_these(self.kept.keys().copied().collect());
        self.fetching.clear();
        self.put_off.clear();
        self.stop_following();
    }

    fn stop_following(&mut self) {
        self.reader = None;
        self.followed.clear();
        self.behind = false;
    }

    fn close_these(&mut self, ids: BTreeSet<TaskId>) {
        for id in ids {
            if let Some(mut kept) = self.kept.remove(&id) {
                flush_at_end(id, &mut kept.task);
            }
        }
    }

    /// How many are kept open.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn tasks(&mut self) -> impl Iterator<Item = (TaskId, &mut Task)> {
        self.kept.iter_mut().map(|(id, kept)| (*id, &mut kept.task))
    }

    /// Copies that have seen the end of their changelog.
    pub(super) fn warm(&self) -> u64 {
        self.kept.values().filter(|kept| kept.warm && !kept.parked).count() as u64
    }

    /// Tasks that are open, parked or as copies.
    pub(super) fn kept(&self) -> BTreeSet<TaskId> {
        self.kept.keys().copied().collect()
    }

    fn copies(&self) -> BTreeSet<TaskId> {
        self.kept.iter().filter(|(_, kept)| !kept.parked).map(|(id, _)| *id).collect()
    }

    /// Whether there is more to read at once.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }
}

/// Flushes a task that is about to be closed. What cannot be flushed is in the changelog.
pub(super) fn flush_at_end(id: TaskId, task: &mut Task) {
    if let Err(error) = task.flush() {
        tracing::warn!(task = %id, %error, "could not flush a task that is closed; its tail will be read again");
    }
}

impl StreamThread {
    /// Keeps a task that was asked back and may come again.
    ///
    /// # Errors
    /// The store's; the task is gone then, and opened again when it comes.
    pub(super) fn park(&mut self, id: TaskId, mut slot: Slot) -> Result<(), StateError> {
        if slot.restore.is_some() {
            // Half of a restore is as good on disk.
            return slot.task.flush();
        }
        if !planted::is_in(Planted::ParkedWithItsWork) {
            slot.task.dropped();
        }
        let kept = Kept { task: slot.task, parked: true, warm: true, last_flush: slot.last_flush };
        self.standbys.kept.insert(id, kept);
        Ok(())
    }

    /// A whole assignment was told: parked tasks that are not in it will not come again. Their stores make good copies.
    pub(super) fn settle_parked(&mut self) {
        let kept = std::mem::take(&mut self.standbys.kept);
        for (id, mut kept) in kept {
            if kept.parked && !self.waiting.contains_key(&id) {
                if self.config.standbys == 0 || matches!(id, TaskId::Stateless(_)) {
                    flush_at_end(id, &mut kept.task);
                    continue;
                }
                kept.parked = false;
            }
            self.standbys.kept.insert(id, kept);
        }
    }

    /// Brings the copies up to date for a moment. They are a help, not a duty: what fails is told and tried later.
    pub(super) fn follow_standbys(&mut self) {
        self.yield_parked();
        if self.config.standbys == 0 {
            return;
        }
        let now = self.environment.now();
        if now < self.standbys.look_at && self.standbys.reader.is_none() {
            return;
        }
        if let Err(error) = self.choose_standbys(now).and_then(|()| self.read_standbys(now)) {
            tracing::warn!(%error, application = self.blame.application, "standby copies are closed for now");
            self.standbys.close_these(self.standbys.copies());
            self.standbys.stop_following();
            self.standbys.look_at = now + RETRY;
        }
        self.count_tasks();
    }

    /// Another thread of this process was given what is parked here.
    fn yield_parked(&mut self) {
        if self.standbys.kept.is_empty() || self.config.threads <= 1 {
            return;
        }
        let claimed = self.shared.claims.all();
        let kept = std::mem::take(&mut self.standbys.kept);
        for (id, mut kept) in kept {
            if claimed.contains(&id) && !self.waiting.contains_key(&id) {
                self.standbys.followed.remove(&id);
                flush_at_end(id, &mut kept.task);
            } else {
                self.standbys.kept.insert(id, kept);
            }
        }
    }

    fn choose_standbys(&mut self, now: Duration) -> Result<(), TaskError> {
        if now < self.standbys.look_at {
            return Ok(());
        }
        self.standbys.look_at = now + LOOK_EVERY;
        let claimed = self.shared.claims.all();
        let threads = self.config.threads.max(1);
        let mut wanted = chosen(&self.config.instance, self.config.partitions, &claimed, self.config.standbys);
        wanted.retain(|id| matches!(id, TaskId::Keyed(partition) if partition % threads == self.number));
        self.standbys.close_these(&self.standbys.copies() - &wanted);
        self.standbys.fetching.retain(|id, _| wanted.contains(id));
        self.standbys.put_off.retain(|id, until| wanted.contains(id) && *until > now);
        for id in wanted {
            if !self.standbys.kept.contains_key(&id) && !self.standbys.put_off.contains_key(&id) {
                self.shared.claims.begin_to_keep(self.number, id);
                self.open_standby(id, now)?;
            }
        }
        if self.standbys.copies() != self.standbys.followed {
            self.follow()?;
        }
        Ok(())
    }

    /// Opens a copy over what the disk holds, or over a checkpoint when the changelog alone does not lead there.
    fn open_standby(&mut self, id: TaskId, now: Duration) -> Result<(), TaskError> {
        let TaskId::Keyed(number) = id else { return Ok(()) };
        let settings = TaskSettings { id, partitions: self.config.partitions };
        let (mut task, arrived) = match self.standbys.fetching.remove(&id) {
            None => {
                match self.removals.open(&self.topology, &settings, self.stores.as_ref()) {
                    // Another thread has just lost it and not noticed yet.
                    Err(TaskError::State(StateError::Locked(_))) => return Ok(()),
                    task => (task?, false),
                }
            }
            Some(fetch) => match fetch.outcome()? {
                Fetched::Pending => {
                    self.standbys.fetching.insert(id, fetch);
                    return Ok(());
                }
                Fetched::Nothing { reasons, .. } => {
                    let reasons = reasons.join("; ");
                    tracing::warn!(task = %id, reasons, "no standby copy for now: there is no checkpoint to begin from");
                    self.standbys.put_off.insert(id, now + RETRY);
                    return Ok(());
                }
                Fetched::Store { store, bytes, .. } => {
                    Stats::add(&self.shared.stats.checkpoint_restores, 1);
                    Stats::add(&self.shared.stats.restored_bytes, bytes);
                    (Task::new(&self.topology, &settings, store)?, true)
                }
            },
        };
        let mut stand = restore::stand(&mut task, self.log.as_ref())?;
        if let Stand::Unusable(why) = &stand {
            drop(task);
            self.removals.remove(id, why, self.stores.as_ref())?;
            if arrived {
                // Asked for again, the same would come.
                self.standbys.put_off.insert(id, now + RETRY);
                return Ok(());
            }
            task = self.removals.open(&self.topology, &settings, self.stores.as_ref())?;
            stand = restore::stand(&mut task, self.log.as_ref())?;
        }
        match stand {
            Stand::Lacking(_) if self.config.checkpoints.is_some() => {
                let changelog = task.changelog().clone();
                // Its directory is about to be replaced.
                drop(task);
                let fetch = match self.fetch(number, changelog) {
                    Err(TaskError::State(StateError::Restoring(_))) => return Ok(()),
                    fetch => fetch?,
                };
                self.standbys.fetching.insert(id, fetch);
            }
            Stand::Lacking(lack) => return Err(lack.refuse(&[]).into()),
            Stand::Unusable(_) => return Err(StateError::Store("local state cannot be removed".into()).into()),
            Stand::Current(_) | Stand::Behind { .. } => {
                self.standbys.kept.insert(id, Kept { task, parked: false, warm: false, last_flush: now });
            }
        }
        Ok(())
    }

    /// Begins to read the changelogs of all copies from where each stands.
    fn follow(&mut self) -> Result<(), LogError> {
        let (mut places, mut trimmed) = (Vec::new(), BTreeSet::new());
        for (id, kept) in self.standbys.kept.iter().filter(|(_, kept)| !kept.parked) {
            let changelog = kept.task.changelog().clone();
            let start = self.log.offsets(&changelog, Isolation::Uncommitted)?.start;
            let from = kept.task.changelog_end().unwrap_or(0);
            if from < start {
                trimmed.insert(*id);
            } else {
                places.push((changelog, from));
            }
        }
        // Trimmed past them since they were opened; opened anew, they begin from a checkpoint.
        self.standbys.close_these(trimmed);
        if places.is_empty() {
            self.standbys.stop_following();
            return Ok(());
        }
        let mut reader = match self.standbys.reader.take() {
            Some(reader) => reader,
            None => self.log.reader(Isolation::Committed)?,
        };
        reader.assign(&places)?;
        self.standbys.reader = Some(reader);
        self.standbys.followed = self.standbys.copies();
        Ok(())
    }

    fn read_standbys(&mut self, now: Duration) -> Result<(), TaskError> {
        let Standbys { reader: Some(reader), kept, followed, behind, .. } = &mut self.standbys else { return Ok(()) };
        let until = now + SLICE;
        *behind = true;
        while self.environment.now() < until {
            match reader.poll(Duration::ZERO)? {
                Event::Records(batch) => {
                    for index in 0..batch.len() {
                        let record = batch.get(index);
                        let id = TaskId::Keyed(record.partition);
                        let copy = kept.get_mut(&id).filter(|_| followed.contains(&id));
                        if let (Some(copy), Some(value)) = (copy, record.value) {
                            copy.task.replay(record.offset, value)?;
                            Stats::add(&self.shared.stats.standby_records, 1);
                        }
                    }
                }
                Event::EndOfPartition(at, end) => {
                    let id = TaskId::Keyed(at.partition);
                    if let Some(copy) = kept.get_mut(&id).filter(|_| followed.contains(&id)) {
                        copy.task.finish_replay(end)?;
                        copy.warm = true;
                    }
                }
                _ => {
                    *behind = false;
                    break;
                }
            }
        }
        if !self.stores.outlive_the_process() {
            return Ok(());
        }
        for copy in kept.values_mut() {
            let unflushed = copy.task.unflushed_bytes();
            let is_old = now.saturating_sub(copy.last_flush) >= self.config.flush_interval;
            if unflushed >= self.config.flush_bytes || (unflushed > 0 && is_old) {
                copy.task.flush()?;
                copy.last_flush = now;
            }
        }
        Ok(())
    }
}
