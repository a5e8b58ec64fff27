//! What a running application counts.

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
    pub(super) restored_records: AtomicU64,
    pub(super) tasks: AtomicU64,
    pub(super) restoring: AtomicU64,
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
    /// Changelog records read to restore state.
    pub restored_records: u64,
    /// Tasks running now.
    pub tasks: u64,
    /// Tasks restoring now.
    pub restoring: u64,
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
            restored_records: read(&self.restored_records),
            tasks: read(&self.tasks),
            restoring: read(&self.restoring),
        }
    }
}
