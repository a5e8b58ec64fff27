//! What a running application counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::log::{Offset, TopicPartition};
use crate::metrics::{Histogram, Sample, SampleValue, catalogue};
use crate::task::TaskId;
use crate::time::ProcessingTime;

/// Counters of one application in this process; shared by its threads.
#[derive(Debug)]
pub struct Stats {
    pub(super) records: AtomicU64,
    pub(super) timers: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) commit_micros: AtomicU64,
    pub(super) aborts: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) rejoined: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) restored_records: AtomicU64,
    pub(super) restored_bytes: AtomicU64,
    /// Commits whose outcome had to be asked for again.
    pub(super) unknown: AtomicU64,
    pub(super) commit_latency: Histogram,
    pub(super) timer_lateness: Histogram,
    rebalance_latency: Histogram,
    overlay_bytes: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) standby_records: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) checkpoint_bytes: AtomicU64,
    pub(super) checkpoint_failures: AtomicU64,
    pub(super) checkpoint_trimmed: AtomicU64,
    pub(super) checkpoint_restores: AtomicU64,
    tasks: AtomicU64,
    restoring: AtomicU64,
    waiting: AtomicU64,
    standbys: AtomicU64,
    /// Input partitions of this process with their committed offsets.
    owned: Mutex<BTreeMap<TopicPartition, Offset>>,
    /// When the newest checkpoint of each task of this process was durable, or else since when the task is here.
    checkpointed: Mutex<BTreeMap<TaskId, ProcessingTime>>,
}

impl Default for Stats {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            records: zero(),
            timers: zero(),
            late: zero(),
            dead_letters: zero(),
            commits: zero(),
            commit_micros: zero(),
            aborts: zero(),
            fenced: zero(),
            rejoined: zero(),
            restored_records: zero(),
            restored_bytes: zero(),
            checkpoints: zero(),
            checkpoint_bytes: zero(),
            checkpoint_failures: zero(),
            checkpoint_trimmed: zero(),
            checkpoint_restores: zero(),
            unknown: zero(),
            lost: zero(),
            commit_latency: Histogram::of_latencies(),
            timer_lateness: Histogram::of_long_times(),
            rebalance_latency: Histogram::of_long_times(),
            overlay_bytes: zero(),
            opened: zero(),
            standby_records: zero(),
            tasks: zero(),
            restoring: zero(),
            waiting: zero(),
            standbys: zero(),
            owned: Mutex::default(),
            checkpointed: Mutex::default(),
        }
    }
}

/// One reading of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsSnapshot {
    /// Records processed, those done again after an abort included.
    pub records: u64,
    /// Processing-time timers fired, those done again included.
    pub timers: u64,
    /// Records of commits that went through that came when all their windows were gone.
    pub late: u64,
    /// Records and timers of commits that went through that went to the dead letters.
    pub dead_letters: u64,
    /// Commits that went through.
    pub commits: u64,
    /// Time spent in them.
    pub commit_time: Duration,
    /// Commits dropped and done again.
    pub aborts: u64,
    /// Times the outcome of a commit was unknown and had to be asked for again.
    pub unknown: u64,
    /// Times a thread was fenced and rejoined.
    pub fenced: u64,
    /// Times a thread rejoined because it could not go on otherwise: a full disk, a log that was away at a bad moment.
    pub rejoined: u64,
    /// Times a thread heard that tasks of its own were another member's already: its session had expired.
    pub lost: u64,
    /// Changelog records read to restore state.
    pub restored_records: u64,
    /// Bytes of checkpoints' files that tasks were restored from.
    pub restored_bytes: u64,
    /// Tasks opened over their store. One that stays through a rebalance is not opened again.
    pub opened: u64,
    /// Changelog records read to keep standby copies warm.
    pub standby_records: u64,
    /// Checkpoints that are durable in object storage.
    pub checkpoints: u64,
    /// Bytes uploaded for them: what the one before did not have.
    pub checkpoint_bytes: u64,
    /// Calls of object storage that failed on the way to a checkpoint, those that were tried again included.
    pub checkpoint_failures: u64,
    /// The furthest offset that a changelog was trimmed to; zero: never.
    pub checkpoint_trimmed: u64,
    /// Tasks whose files came from a checkpoint.
    pub checkpoint_restores: u64,
    /// Tasks running now.
    pub tasks: u64,
    /// Tasks restoring now.
    pub restoring: u64,
    /// Tasks that cannot be opened yet: the log does not answer, or their directory is still in use.
    pub waiting: u64,
    /// Standby copies that have been brought up to the end of their changelog.
    pub standbys: u64,
}

impl Stats {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    /// Input partitions of this process with their committed offsets. Held for map operations only.
    fn owned(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Offset>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Input partitions that this process reads now, each with its committed offset.
    pub fn inputs(&self) -> Vec<(TopicPartition, Offset)> {
        self.owned().iter().map(|(partition, offset)| (partition.clone(), *offset)).collect()
    }

    fn checkpointed(&self) -> MutexGuard<'_, BTreeMap<TaskId, ProcessingTime>> {
        self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task's state is in object storage as it was at about this time, or it is here since then.
    pub(super) fn checkpointed_at(&self, task: TaskId, at: ProcessingTime) {
        self.checkpointed().insert(task, at);
    }

    /// A task is checkpointed elsewhere from now on.
    pub(super) fn not_checkpointed_here(&self, task: TaskId) {
        self.checkpointed().remove(&task);
    }

    /// What the engine measured, as samples with these labels.
    pub fn samples(&self, labels: &[(&'static str, String)]) -> Vec<Sample> {
        let read = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        let with = |more: Option<(&'static str, &str)>| {
            let more = more.map(|(name, value)| (name, value.to_owned()));
            labels.iter().cloned().chain(more).collect::<Vec<_>>()
        };
        let number = |metric, counter| Sample::number(metric, with(None), read(counter));
        let outcome = |word, counter| Sample::number(&catalogue::COMMITS, with(Some(("outcome", word))), read(counter));
        let tasks = |word, counter| Sample::number(&catalogue::TASKS, with(Some(("condition", word))), read(counter));
        let histogram = |metric, histogram: &Histogram| Sample {
            metric,
            labels: with(None),
            value: SampleValue::Histogram(histogram.read()),
        };
        vec![
            number(&catalogue::PROCESSED, &self.records),
            number(&catalogue::TIMERS_FIRED, &self.timers),
            histogram(&catalogue::TIMER_LATENESS, &self.timer_lateness),
            number(&catalogue::LATE, &self.late),
            number(&catalogue::DEAD_LETTERS, &self.dead_letters),
            outcome("committed", &self.commits),
            outcome("aborted", &self.aborts),
            outcome("unknown", &self.unknown),
            histogram(&catalogue::COMMIT_LATENCY, &self.commit_latency),
            number(&catalogue::OVERLAY_BYTES, &self.overlay_bytes),
            tasks("running", &self.tasks),
            tasks("restoring", &self.restoring),
            tasks("waiting", &self.waiting),
            histogram(&catalogue::REBALANCE_LATENCY, &self.rebalance_latency),
            number(&catalogue::FENCED, &self.fenced),
            number(&catalogue::REJOINED, &self.rejoined),
            number(&catalogue::LOST, &self.lost),
            number(&catalogue::RESTORED_RECORDS, &self.restored_records),
            number(&catalogue::RESTORED_BYTES, &self.restored_bytes),
            number(&catalogue::STANDBYS, &self.standbys),
            number(&catalogue::STANDBY_RECORDS, &self.standby_records),
        ]
    }

    /// What was measured of checkpoints; for an application that has some.
    pub fn checkpoint_samples(&self, labels: &[(&'static str, String)]) -> Vec<Sample> {
        let number =
            |metric, counter: &AtomicU64| Sample::number(metric, labels.to_vec(), counter.load(Relaxed) as f64);
        let mut samples = vec![
            number(&catalogue::CHECKPOINTS, &self.checkpoints),
            number(&catalogue::CHECKPOINT_BYTES, &self.checkpoint_bytes),
            number(&catalogue::CHECKPOINT_FAILURES, &self.checkpoint_failures),
            number(&catalogue::CHECKPOINT_RESTORES, &self.checkpoint_restores),
        ];
        samples.extend(self.checkpointed().iter().map(|(task, at)| {
            let labels = labels.iter().cloned().chain([("task", task.to_string())]).collect();
            Sample::number(&catalogue::CHECKPOINT_TIME, labels, at.as_millis() as f64 / 1000.0)
        }));
        samples
    }

    /// Reads all counters.
    pub fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        StatsSnapshot {
            records: read(&self.records),
            timers: read(&self.timers),
            late: read(&self.late),
            dead_letters: read(&self.dead_letters),
            commits: read(&self.commits),
            commit_time: Duration::from_micros(read(&self.commit_micros)),
            aborts: read(&self.aborts),
            unknown: read(&self.unknown),
            fenced: read(&self.fenced),
            rejoined: read(&self.rejoined),
            lost: read(&self.lost),
            restored_records: read(&self.restored_records),
            restored_bytes: read(&self.restored_bytes),
            opened: read(&self.opened),
            standby_records: read(&self.standby_records),
            checkpoints: read(&self.checkpoints),
            checkpoint_bytes: read(&self.checkpoint_bytes),
            checkpoint_failures: read(&self.checkpoint_failures),
            checkpoint_trimmed: read(&self.checkpoint_trimmed),
            checkpoint_restores: read(&self.checkpoint_restores),
            tasks: read(&self.tasks),
            restoring: read(&self.restoring),
            waiting: read(&self.waiting),
            standbys: read(&self.standbys),
        }
    }
}

impl Stats {
    /// Whether a task of this process is on its way.
    pub(super) fn is_restoring(&self) -> bool {
        self.restoring.load(Relaxed) + self.waiting.load(Relaxed) > 0
    }
}

/// How many tasks of one thread are in which condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskCounts {
    pub(super) running: u64,
    pub(super) restoring: u64,
    pub(super) waiting: u64,
    pub(super) standbys: u64,
}

/// One thread's part of the gauges, taken out again when the thread goes.
pub(super) struct Gauges {
    stats: Arc<Stats>,
    counted: TaskCounts,
    overlay_bytes: u64,
    owned: Vec<TopicPartition>,
    /// Since when some task of this thread is not running yet, by the thread's clock.
    rebalancing_since: Option<Duration>,
}

impl Gauges {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self { stats, counted: TaskCounts::default(), overlay_bytes: 0, owned: Vec::new(), rebalancing_since: None }
    }

    /// Takes note of the tasks there are at `now`, by a clock that never goes back.
    pub(super) fn set(&mut self, counts: TaskCounts, now: Duration) {
        if counts.restoring + counts.waiting > 0 {
            self.rebalancing_since.get_or_insert(now);
        } else if let Some(since) = self.rebalancing_since.take() {
            self.stats.rebalance_latency.observe(now.saturating_sub(since));
        }
        self.count(counts);
    }

    fn count(&mut self, counts: TaskCounts) {
        let old = std::mem::replace(&mut self.counted, counts);
        change(&self.stats.tasks, old.running, counts.running);
        change(&self.stats.restoring, old.restoring, counts.restoring);
        change(&self.stats.waiting, old.waiting, counts.waiting);
        change(&self.stats.standbys, old.standbys, counts.standbys);
    }

    pub(super) fn set_overlay(&mut self, bytes: u64) {
        if bytes != self.overlay_bytes {
            change(&self.stats.overlay_bytes, self.overlay_bytes, bytes);
            self.overlay_bytes = bytes;
        }
    }

    /// These inputs are this thread's, read from these offsets.
    pub(super) fn own(&mut self, inputs: &[(TopicPartition, Offset)]) {
        self.owned.extend(inputs.iter().map(|(partition, _)| partition.clone()));
        self.stats.owned().extend(inputs.iter().cloned());
    }

    /// These offsets were committed.
    pub(super) fn committed(&self, offsets: &[(TopicPartition, Offset)]) {
        let mut owned = self.stats.owned();
        for (partition, offset) in offsets {
            if let Some(known) = owned.get_mut(partition) {
                *known = *offset;
            }
        }
    }

    pub(super) fn disown(&mut self, inputs: &[TopicPartition]) {
        self.owned.retain(|partition| !inputs.contains(partition));
        self.stats.owned().retain(|partition, _| !inputs.contains(partition));
    }

    /// Nothing is this thread's any more; what it was bringing up is not finished.
    pub(super) fn forget_all(&mut self) {
        let owned = std::mem::take(&mut self.owned);
        self.disown(&owned);
        self.set_overlay(0);
        self.rebalancing_since = None;
        self.count(TaskCounts::default());
    }
}

/// Applies a difference, so that threads add up; wrapping, so that it may be negative.
fn change(gauge: &AtomicU64, old: u64, new: u64) {
    gauge.fetch_add(new.wrapping_sub(old), Relaxed);
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(running: u64, restoring: u64) -> TaskCounts {
        TaskCounts { running, restoring, waiting: 0, standbys: 0 }
    }

    #[test]
    fn a_rebalance_lasts_until_the_last_task_of_the_thread_runs() {
        let stats = Arc::new(Stats::default());
        let mut gauges = Gauges::new(Arc::clone(&stats));
        gauges.set(tasks(0, 2), Duration::from_secs(10));
        gauges.set(tasks(1, 1), Duration::from_secs(11));
        gauges.set(tasks(2, 0), Duration::from_secs(13));
        gauges.set(tasks(2, 0), Duration::from_secs(20));
        let reading = stats.rebalance_latency.read();
        assert_eq!((reading.count(), reading.sum), (1, 3.0));
    }

    #[test]
    fn threads_add_up_and_take_out_only_their_own() {
        let stats = Arc::new(Stats::default());
        let (mut one, mut other) = (Gauges::new(Arc::clone(&stats)), Gauges::new(Arc::clone(&stats)));
        let at = |partition| TopicPartition::new("t", partition);
        one.set(tasks(2, 0), Duration::ZERO);
        other.set(tasks(1, 1), Duration::ZERO);
        one.set_overlay(100);
        other.set_overlay(7);
        one.own(&[(at(0), 5)]);
        other.own(&[(at(1), 6)]);
        one.committed(&[(at(0), 9), (at(3), 1)]);
        assert_eq!(stats.inputs(), [(at(0), 9), (at(1), 6)]);
        drop(one);
        assert_eq!(stats.inputs(), [(at(1), 6)]);
        let snapshot = stats.snapshot();
        assert_eq!((snapshot.tasks, snapshot.restoring), (1, 1));
        assert_eq!(stats.overlay_bytes.load(Relaxed), 7);
    }
}
