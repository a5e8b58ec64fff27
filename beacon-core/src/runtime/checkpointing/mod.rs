//! Checkpoints while the application runs: when, and the work that has to leave the stream thread.
//!
//! On the stream thread a checkpoint is a flush and some hard links. `upload` does the rest in steps that may block,
//! on the environment's background; `fetch` brings a checkpoint to an empty disk. Neither ever fails a commit: an
//! upload that goes wrong is tried again, then left to the next checkpoint, and what it left behind are orphans.

mod fetch;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub(super) use fetch::{Fetch, Fetched, Wanted};
use upload::Upload;

use super::app::Shared;
use super::fault::Fault;
use super::stats::Stats;
use super::thread::StreamThread;
use crate::checkpoint::{CheckpointConfig, StateName, TaskObjects};
use crate::log::Offset;
use crate::task::TaskId;
use crate::topology::Topology;

/// When the tasks of one thread are checkpointed.
pub(super) struct Checkpointing {
    config: CheckpointConfig,
    states: Vec<StateName>,
    /// Uploads under way in this process.
    uploads: Arc<AtomicUsize>,
    stats: Arc<Stats>,
    tasks: BTreeMap<TaskId, Watched>,
}

struct Watched {
    due: Duration,
    /// The changelog offset of the last one that was begun.
    last: Option<Offset>,
    /// Cleared by whoever ends first: the upload, or this task's time here.
    under_way: Option<Arc<UnderWay>>,
    /// Whether the one under way, or the last, was told of as durable.
    told: bool,
}

impl Watched {
    /// Whether a checkpoint has become durable since this was asked last.
    fn is_newly_durable(&mut self) -> bool {
        let durable = self.under_way.as_ref().is_some_and(|work| work.durable.load(Ordering::Acquire));
        durable && !std::mem::replace(&mut self.told, true)
    }

    /// Whether a checkpoint is due: nothing is under way, and the last one is of another state or came to nothing.
    fn wants(&mut self, changelog: Offset, now: Duration) -> bool {
        match &self.under_way {
            Some(work) if !work.ended.load(Ordering::Acquire) => return false,
            // Given up: to be made again though nothing may have changed since.
            Some(work) if !work.durable.load(Ordering::Acquire) => self.last = None,
            _ => {}
        }
        now >= self.due && self.last != Some(changelog)
    }
}

/// What a stream thread and its work in the background tell each other.
#[derive(Default)]
pub(super) struct UnderWay {
    /// The thread does not want it any more.
    abandoned: AtomicBool,
    /// It has ended.
    ended: AtomicBool,
    /// There is a manifest of it.
    durable: AtomicBool,
}

impl UnderWay {
    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

/// One of the uploads that a process does at a time; the next one may begin when it is dropped.
struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(uploads: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let taken =
            uploads.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < most.max(1)).then_some(now + 1));
        taken.is_ok().then(|| Self(Arc::clone(uploads)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Checkpointing {
    pub(super) fn new(config: CheckpointConfig, topology: &Topology, shared: &Shared) -> Self {
        let state = |store: &crate::state::StoreSpec| StateName {
            name: store.name().to_owned(),
            codec: store.codec().to_owned(),
        };
        Self {
            config,
            states: topology.stores().iter().map(state).collect(),
            uploads: Arc::clone(&shared.uploads),
            stats: Arc::clone(&shared.stats),
            tasks: BTreeMap::new(),
        }
    }

    /// Begins to watch a task; its first checkpoint comes at its place among all tasks, so that not all upload at once.
    fn watch(&mut self, id: TaskId, partitions: u32, now: Duration) -> &mut Watched {
        let (TaskId::Keyed(number) | TaskId::Stateless(number)) = id;
        let first = self.config.interval * (number % partitions.max(1) + 1) / partitions.max(1);
        self.tasks.entry(id).or_insert_with(|| Watched { due: now + first, last: None, under_way: None, told: false })
    }

    /// A task is not here any more.
    pub(super) fn forget(&mut self, id: TaskId) {
        let Some(watched) = self.tasks.remove(&id) else { return };
        self.stats.not_checkpointed_here(id);
        if let Some(under_way) = watched.under_way {
            under_way.abandon();
        }
    }

    pub(super) fn forget_all(&mut self) {
        let ids: Vec<_> = self.tasks.keys().copied().collect();
        ids.into_iter().for_each(|id| self.forget(id));
    }
}

impl Drop for Checkpointing {
    fn drop(&mut self) {
        self.forget_all();
    }
}

impl StreamThread {
    /// Begins the checkpoints that are due.
    pub(super) fn checkpoint(&mut self) -> Result<(), Fault> {
        let wall = self.now();
        let Some(checkpointing) = &mut self.checkpointing else { return Ok(()) };
        let now = self.environment.now();
        let (interval, most) = (checkpointing.config.interval, checkpointing.config.uploads);
        let mut due = Vec::new();
        for (id, slot) in &self.slots {
            let Some(changelog) = slot.task.changelog_end().filter(|_| slot.restore.is_none()) else { continue };
            let is_new = !checkpointing.tasks.contains_key(id);
            let watched = checkpointing.watch(*id, self.config.partitions, now);
            if is_new || watched.is_newly_durable() {
                self.shared.stats.checkpointed_at(*id, wall);
            }
            if watched.wants(changelog, now) {
                due.push((watched.due, *id, changelog));
            }
        }
        // Who has waited longest first: there may be fewer uploads at a time than tasks that always want one.
        due.sort();
        for (_, id, changelog) in due {
            let (TaskId::Keyed(number), Some(slot)) = (id, self.slots.get_mut(&id)) else { continue };
            let uploads = Arc::clone(&checkpointing.uploads);
            let watched = checkpointing.watch(id, self.config.partitions, now);
            let Some(permit) = Permit::take(&uploads, most) else { return Ok(()) };
            slot.task.flush().map_err(|source| self.blame.state(id, source))?;
            slot.last_flush = now;
            watched.due = now + interval;
            let snapshot = match slot.task.snapshot() {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    tracing::warn!(task = %id, %error, "no checkpoint: its files cannot be linked; trying again later");
                    continue;
                }
            };
            let under_way = Arc::new(UnderWay::default());
            watched.last = Some(changelog);
            watched.under_way = Some(Arc::clone(&under_way));
            watched.told = false;
            let history = slot.task.history().map_err(|source| self.blame.state(id, source))?;
            let objects = TaskObjects { application: self.blame.application.clone(), task: number, history };
            let name = format!("{}-checkpoint-{number}", self.blame.application);
            let upload = Upload::new(
                upload::Parts {
                    config: checkpointing.config.clone(),
                    log: Arc::clone(&self.log),
                    stats: Arc::clone(&self.shared.stats),
                    objects,
                    partitions: self.config.partitions,
                    changelog: (slot.task.changelog().clone(), changelog),
                    sources: slot.task.positions.committed_offsets(),
                    states: checkpointing.states.clone(),
                    snapshot,
                },
                under_way,
                permit,
            );
            if let Err(error) = self.environment.start(name, Box::new(upload)) {
                tracing::warn!(task = %id, %error, "no checkpoint: no thread for its upload; trying again later");
            }
        }
        Ok(())
    }
}

/// How long to wait before the try after the `attempt`th: doubling from a fifth of a second to a minute.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << attempt.saturating_sub(1).min(9)).min(Duration::from_secs(60))
}
