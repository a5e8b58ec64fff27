//! How far restores are, for metrics and progress bars.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::environment::Environment;
use crate::task::TaskId;

/// What a restore is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePhase {
    /// Bringing the files of a checkpoint; counted in bytes.
    Files,
    /// Reading the changelog; counted in offsets.
    Changelog,
}

impl RestorePhase {
    /// About how many bytes one unit of this phase stands for, so that both come to one sum: a record of a changelog has
    /// about a hundred.
    pub fn bytes_each(self) -> u64 {
        match self {
            Self::Files => 1,
            Self::Changelog => 100,
        }
    }
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
    /// Of what is done, what was there before: files that an earlier try had brought.
    pub found: u64,
    /// Since when this phase goes on.
    pub elapsed: Duration,
}

impl RestoreProgress {
    /// What is left of this phase.
    pub fn left(&self) -> u64 {
        self.total.saturating_sub(self.done)
    }

    fn in_bytes(&self, amount: u64) -> f64 {
        amount as f64 * self.phase.bytes_each() as f64
    }

    /// Bytes a second that this phase has come to so far.
    fn pace(&self) -> f64 {
        let done = self.in_bytes(self.done.saturating_sub(self.found));
        if self.elapsed.is_zero() { 0.0 } else { done / self.elapsed.as_secs_f64() }
    }
}

/// How long these restores will go on: what is left of their present phases at the pace at which all of them together have
/// gone so far. Zero when there are none; `None` while one does not know yet how much it has to do, or none has done
/// anything.
pub fn time_left(restores: &[RestoreProgress]) -> Option<Duration> {
    if restores.iter().any(|restore| restore.total == 0) {
        return None;
    }
    let left: f64 = restores.iter().map(|restore| restore.in_bytes(restore.left())).sum();
    if left <= 0.0 {
        return Some(Duration::ZERO);
    }
    let pace: f64 = restores.iter().map(RestoreProgress::pace).sum();
    (pace > 0.0).then(|| Duration::try_from_secs_f64(left / pace).unwrap_or(Duration::MAX))
}

/// Written by a restore, read by others.
#[derive(Default)]
pub(super) struct Progress {
    /// Tells how long it takes; `None`: nobody will ask.
    clock: Option<Arc<dyn Environment>>,
    replays: AtomicBool,
    ended: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    found: AtomicU64,
    /// When the phase began, in milliseconds of the clock.
    began: AtomicU64,
}

impl Progress {
    pub(super) fn begin(&self, phase: RestorePhase, done: u64, total: u64) {
        self.replays.store(phase == RestorePhase::Changelog, Relaxed);
        self.began.store(self.now(), Relaxed);
        self.found.store(done, Relaxed);
        self.done.store(done, Relaxed);
        self.total.store(total, Relaxed);
    }

    fn now(&self) -> u64 {
        let now = self.clock.as_ref().map_or(Duration::ZERO, |clock| clock.now());
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn add(&self, amount: u64) {
        self.done.fetch_add(amount, Relaxed);
    }

    /// So much of it need not be done: it is there.
    pub(super) fn add_found(&self, amount: u64) {
        self.found.fetch_add(amount, Relaxed);
        self.add(amount);
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
#[derive(Default)]
pub(super) struct Restores(Mutex<BTreeMap<TaskId, Weak<Progress>>>);

impl Restores {
    /// One more, whose pace is measured by this clock.
    pub(super) fn begin(&self, task: TaskId, clock: &Arc<dyn Environment>) -> Arc<Progress> {
        let progress = Arc::new(Progress { clock: Some(Arc::clone(clock)), ..Progress::default() });
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
            let elapsed = Duration::from_millis(progress.now().saturating_sub(progress.began.load(Relaxed)));
            let found = progress.found.load(Relaxed);
            Some(RestoreProgress { task: *task, phase, done, total, found, elapsed })
        };
        all.iter().filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Background;
    use crate::time::ProcessingTime;

    /// A clock that is set by hand, in milliseconds.
    #[derive(Default)]
    struct Clock(AtomicU64);

    impl Environment for Clock {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Relaxed))
        }

        fn wall_clock(&self) -> ProcessingTime {
            ProcessingTime::default()
        }

        fn wait(&self, _: Duration) {}

        fn start(&self, _: String, _: Box<dyn Background>) -> std::io::Result<()> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }

    fn restore(phase: RestorePhase, done: u64, total: u64, seconds: u64) -> RestoreProgress {
        let elapsed = Duration::from_secs(seconds);
        RestoreProgress { task: TaskId::Keyed(3), phase, done, total, found: 0, elapsed }
    }

    #[test]
    fn a_restore_is_listed_until_it_ends() {
        let (restores, clock) = (Restores::default(), Arc::new(Clock::default()));
        let environment = Arc::clone(&clock) as Arc<dyn Environment>;
        let progress = restores.begin(TaskId::Keyed(3), &environment);
        clock.0.store(5000, Relaxed);
        progress.begin(RestorePhase::Files, 0, 10);
        progress.add(5);
        progress.take_back(3);
        progress.add_found(2);
        clock.0.store(7000, Relaxed);
        let read = restores.read();
        assert_eq!(read, [RestoreProgress { found: 2, ..restore(RestorePhase::Files, 4, 10, 2) }]);
        assert_eq!(read[0].left(), 6);
        // Two in two seconds; what was found is nobody's work.
        assert_eq!(time_left(&read), Some(Duration::from_secs(6)));
        progress.begin(RestorePhase::Changelog, 0, 5);
        progress.set(5);
        let read = restores.read();
        assert_eq!((read[0].phase, read[0].left(), read[0].elapsed), (RestorePhase::Changelog, 0, Duration::ZERO));
        drop(progress);
        assert_eq!(restores.read(), []);
        let held = restores.begin(TaskId::Keyed(3), &environment);
        held.end();
        assert_eq!(restores.read(), [], "though somebody holds it");
    }

    #[test]
    fn what_is_left_takes_as_long_as_the_pace_of_all_says() {
        let files = restore(RestorePhase::Files, 1000, 4000, 10);
        assert_eq!(time_left(&[files]), Some(Duration::from_secs(30)));
        // Two at a time go twice as fast through twice as much.
        assert_eq!(time_left(&[files, files]), Some(Duration::from_secs(30)));
        // Ten records are a thousand bytes.
        let records = restore(RestorePhase::Changelog, 10, 40, 10);
        assert_eq!(time_left(&[files, records]), Some(Duration::from_secs(30)));
    }

    #[test]
    fn nobody_can_tell_before_there_is_a_pace() {
        let (begun, going) = (restore(RestorePhase::Files, 0, 40, 3), restore(RestorePhase::Files, 10, 40, 3));
        assert_eq!(time_left(&[begun]), None);
        assert_eq!(time_left(&[restore(RestorePhase::Files, 4, 40, 0)]), None, "no time has passed");
        assert_eq!(time_left(&[going, restore(RestorePhase::Files, 0, 0, 3)]), None, "one does not know its size");
        assert_eq!(time_left(&[going, begun]), Some(Duration::from_secs(21)));
    }

    #[test]
    fn nothing_to_restore_takes_no_time() {
        assert_eq!(time_left(&[]), Some(Duration::ZERO));
        assert_eq!(time_left(&[restore(RestorePhase::Changelog, 7, 7, 0)]), Some(Duration::ZERO));
        let endless = restore(RestorePhase::Changelog, 1, u64::MAX, u64::MAX / 1_000_000_000);
        assert!(time_left(&[endless]).is_some_and(|left| left > Duration::from_secs(1 << 40)));
    }
}
