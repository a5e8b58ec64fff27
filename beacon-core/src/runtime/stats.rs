//! What a running application counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of one application in this process; shared by its threads.
#[derive(Debug, Default)]
pub struct Stats {
    pub(super) records: AtomicU64,
    pub(super) timers: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) commit_micros: AtomicU64,
    pub(super) aborts: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) rejoined: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) restored_records: AtomicU64,
    tasks: AtomicU64,
    restoring: AtomicU64,
    waiting: AtomicU64,
}

/// One reading of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Records processed, those done again after an abort included.
    pub records: u64,
    /// Processing-time timers fired, those done again included.
    pub timers: u64,
    /// Commits that went through.
    pub commits: u64,
    /// Time spent in them.
    pub commit_time: Duration,
    /// Commits dropped and done again.
    pub aborts: u64,
    /// Times a thread was fenced and rejoined.
    pub fenced: u64,
    /// Times a thread rejoined because it could not go on otherwise: a full disk, a log that was away at a bad moment.
    pub rejoined: u64,
    /// Times a thread heard that tasks of its own were another member's already: its session had expired.
    pub lost: u64,
    /// Changelog records read to restore state.
    pub restored_records: u64,
    /// Tasks running now.
    pub tasks: u64,
    /// Tasks restoring now.
    pub restoring: u64,
    /// Tasks that cannot be opened yet: the log does not answer, or their directory is still in use.
    pub waiting: u64,
}

impl Stats {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    /// Reads all counters.
    pub fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        StatsSnapshot {
            records: read(&self.records),
            timers: read(&self.timers),
            commits: read(&self.commits),
            commit_time: Duration::from_micros(read(&self.commit_micros)),
            aborts: read(&self.aborts),
            fenced: read(&self.fenced),
            rejoined: read(&self.rejoined),
            lost: read(&self.lost),
            restored_records: read(&self.restored_records),
            tasks: read(&self.tasks),
            restoring: read(&self.restoring),
            waiting: read(&self.waiting),
        }
    }
}

/// How many tasks of one thread are in which condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskCounts {
    pub(super) running: u64,
    pub(super) restoring: u64,
    pub(super) waiting: u64,
}

/// One thread's part of the gauges, taken out again when the thread goes.
pub(super) struct Gauges {
    stats: Arc<Stats>,
    counted: TaskCounts,
}

impl Gauges {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self { stats, counted: TaskCounts::default() }
    }

    pub(super) fn set(&mut self, counts: TaskCounts) {
        let old = std::mem::replace(&mut self.counted, counts);
        // Differences, so that threads add up; wrapping, so that they may be negative.
        let change = |gauge: &AtomicU64, old: u64, new: u64| {
            gauge.fetch_add(new.wrapping_sub(old), Relaxed);
        };
        change(&self.stats.tasks, old.running, counts.running);
        change(&self.stats.restoring, old.restoring, counts.restoring);
        change(&self.stats.waiting, old.waiting, counts.waiting);
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.set(TaskCounts::default());
    }
}
