//! How far restores are, for metrics and progress bars.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::task::TaskId;

/// What a restore is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePhase {
    /// Bringing the files of a checkpoint; counted in bytes.
    Files,
    /// Reading the changelog; counted in offsets.
    Changelog,
}

/// How far the restore of one task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreProgress {
    /// The task.
    pub task: TaskId,
    /// What it is doing, and so the unit of the other two.
    pub phase: RestorePhase,
    /// Done of this phase.
    pub done: u64,
    /// All of this phase; zero before it is known.
    pub total: u64,
}

impl RestoreProgress {
    /// What is left of this phase.
    pub fn left(&self) -> u64 {
        self.total.saturating_sub(self.done)
    }
}

/// Written by a restore, read by others.
#[derive(Debug, Default)]
pub(super) struct Progress {
    replays: AtomicBool,
    ended: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    pub(super) fn begin(&self, phase: RestorePhase, done: u64, total: u64) {
        self.replays.store(phase == RestorePhase::Changelog, Relaxed);
        self.done.store(done, Relaxed);
        self.total.store(total, Relaxed);
    }

    pub(super) fn add(&self, amount: u64) {
        self.done.fetch_add(amount, Relaxed);
    }

    pub(super) fn take_back(&self, amount: u64) {
        self.done.fetch_sub(amount, Relaxed);
    }

    pub(super) fn set(&self, done: u64) {
        self.done.store(done, Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Not to be listed any more, whoever still holds it.
    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }
}

/// All restores of a process. One ends when its progress is told so, or dropped.
#[derive(Debug, Default)]
pub(super) struct Restores(Mutex<BTreeMap<TaskId, Weak<Progress>>>);

impl Restores {
    pub(super) fn begin(&self, task: TaskId) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, progress| progress.strong_count() > 0);
        all.insert(task, Arc::downgrade(&progress));
        progress
    }

    pub(super) fn read(&self) -> Vec<RestoreProgress> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |(task, progress): (&TaskId, &Weak<Progress>)| {
            let progress = progress.upgrade().filter(|progress| !progress.ended.load(Relaxed))?;
            let phase = if progress.replays.load(Relaxed) { RestorePhase::Changelog } else { RestorePhase::Files };
            let (done, total) = (progress.done.load(Relaxed), progress.total.load(Relaxed));
            Some(RestoreProgress { task: *task, phase, done, total })
        };
        all.iter().filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_listed_until_it_ends() {
        let restores = Restores::default();
        let progress = restores.begin(TaskId::Keyed(3));
        progress.begin(RestorePhase::Files, 0, 10);
        progress.add(7);
        progress.take_back(3);
        let read = restores.read();
        assert_eq!(read, [RestoreProgress { task: TaskId::Keyed(3), phase: RestorePhase::Files, done: 4, total: 10 }]);
        assert_eq!(read[0].left(), 6);
        progress.begin(RestorePhase::Changelog, 0, 5);
        progress.set(5);
        assert_eq!((restores.read()[0].phase, restores.read()[0].left()), (RestorePhase::Changelog, 0));
        drop(progress);
        assert_eq!(restores.read(), []);
        let held = restores.begin(TaskId::Keyed(3));
        held.end();
        assert_eq!(restores.read(), [], "though somebody holds it");
    }
}
