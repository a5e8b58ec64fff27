//! How far something has come in each partition of a topic, and waiting for it from threads and from async code.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::log::Offset;

/// Why a wait did not end with the offset reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time given is over; what is waited for may still come.
    #[error("partition {partition} has not reached offset {offset} within {waited_ms} ms")]
    TimedOut {
        /// The partition waited for.
        partition: u32,
        /// The offset waited for.
        offset: Offset,
        /// How long, milliseconds.
        waited_ms: u64,
    },
    /// It will never be reached: whoever reports progress has stopped, and this is why.
    #[error("no progress any more: {0}")]
    Ended(String),
}

/// The next offset of each partition: everything before it is done.
///
/// Offsets only grow. Needs no async runtime: a waiting task leaves its waker here. Dropping a [`Reached`] future takes
/// its waker away again.
pub struct Progress {
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    next: Vec<Offset>,
    ended: Option<String>,
    sleepers: Vec<Sleeper>,
    last_id: u64,
}

struct Sleeper {
    id: u64,
    partition: u32,
    offset: Offset,
    waker: Waker,
}

impl State {
    /// `Some` when waiting is over, one way or the other. Reached counts even after the end.
    fn outcome(&self, partition: u32, offset: Offset) -> Option<Result<(), WaitError>> {
        match (self.next.get(partition as usize), &self.ended) {
            (Some(next), _) if *next > offset => Some(Ok(())),
            (_, Some(reason)) => Some(Err(WaitError::Ended(reason.clone()))),
            (None, None) => Some(Err(WaitError::Ended(format!(
                "there is no partition {partition}, only {} of them",
                self.next.len()
            )))),
            (Some(_), None) => None,
        }
    }
}

impl Progress {
    /// Nothing done yet in any of `partitions` partitions.
    pub fn new(partitions: u32) -> Self {
        Self {
            state: Mutex::new(State {
                next: vec![0; partitions as usize],
                ended: None,
                sleepers: Vec::new(),
                last_id: 0,
            }),
            moved: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics half-way through a change, so a poisoned lock still guards whole values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that everything before `next` is done, and wakes whoever waited for that. A smaller `next` than before, or
    /// a partition that does not exist, changes nothing.
    pub fn advance(&self, partition: u32, next: Offset) {
        let mut state = self.lock();
        match state.next.get_mut(partition as usize) {
            Some(position) if *position < next => *position = next,
            _ => return,
        }
        self.moved.notify_all();
        let reached: Vec<Sleeper> =
            state.sleepers.extract_if(.., |sleeper| sleeper.partition == partition && sleeper.offset < next).collect();
        drop(state);
        reached.into_iter().for_each(|sleeper| sleeper.waker.wake());
    }

    /// Says that there will be no more progress; all waits end with [`WaitError::Ended`]. The first reason stays.
    pub fn end(&self, reason: impl Into<String>) {
        let mut state = self.lock();
        state.ended.get_or_insert_with(|| reason.into());
        self.moved.notify_all();
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        sleepers.into_iter().for_each(|sleeper| sleeper.waker.wake());
    }

    /// Why there is no more progress, once [`Progress::end`] was called.
    pub fn ended(&self) -> Option<String> {
        self.lock().ended.clone()
    }

    /// The next offset of each partition, by partition number.
    pub fn positions(&self) -> Vec<Offset> {
        self.lock().next.clone()
    }

    /// Whether the record at `offset` is done; never waits.
    pub fn has_reached(&self, partition: u32, offset: Offset) -> bool {
        matches!(self.lock().outcome(partition, offset), Some(Ok(())))
    }

    /// Blocks the thread until the record at `offset` is done.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] after `timeout`: ask again, or go on with what there is. [`WaitError::Ended`]: asking
    /// again is no use.
    pub fn wait(&self, partition: u32, offset: Offset, timeout: Duration) -> Result<(), WaitError> {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome(partition, offset) {
                return outcome;
            }
            let Some(left) = timeout.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else {
                let waited_ms = timeout.as_millis().try_into().unwrap_or(u64::MAX);
                return Err(WaitError::TimedOut { partition, offset, waited_ms });
            };
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A future that ends when the record at `offset` is done, or when it never will be. It sets no time limit: put
    /// the runtime's own around it.
    pub fn reached(&self, partition: u32, offset: Offset) -> Reached<'_> {
        Reached { progress: self, partition, offset, id: None }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Progress").field("next", &state.next).field("ended", &state.ended).finish_non_exhaustive()
    }
}

/// See [`Progress::reached`].
#[must_use = "futures do nothing unless polled"]
pub struct Reached<'a> {
    progress: &'a Progress,
    partition: u32,
    offset: Offset,
    id: Option<u64>,
}

impl Future for Reached<'_> {
    type Output = Result<(), WaitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.progress.lock();
        if let Some(outcome) = state.outcome(self.partition, self.offset) {
            return Poll::Ready(outcome);
        }
        let waker = context.waker();
        match state.sleepers.iter_mut().find(|sleeper| Some(sleeper.id) == self.id) {
            Some(sleeper) => sleeper.waker.clone_from(waker),
            None => {
                state.last_id += 1;
                let id = state.last_id;
                let sleeper = Sleeper { id, partition: self.partition, offset: self.offset, waker: waker.clone() };
                state.sleepers.push(sleeper);
                drop(state);
                self.id = Some(id);
            }
        }
        Poll::Pending
    }
}

impl Drop for Reached<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.progress.lock().sleepers.retain(|sleeper| sleeper.id != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiting_thread_goes_on_when_its_offset_is_done_and_not_before() {
        let progress = Arc::new(Progress::new(2));
        let waiting = std::thread::spawn({
            let progress = Arc::clone(&progress);
            move || progress.wait(1, 5, Duration::from_secs(60))
        });
        progress.advance(0, 100);
        progress.advance(1, 5);
        assert!(!progress.has_reached(1, 5));
        assert!(!waiting.is_finished());
        progress.advance(1, 6);
        assert_eq!(waiting.join().expect("no panic"), Ok(()));
    }

    #[test]
    fn a_wait_that_takes_too_long_says_for_what() {
        let error = Progress::new(1).wait(0, 7, Duration::from_millis(1)).expect_err("nothing moves");
        assert_eq!(error.to_string(), "partition 0 has not reached offset 7 within 1 ms");
    }

    #[test]
    fn a_task_is_woken_once_and_by_its_own_partition_only() {
        let progress = Progress::new(2);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut future = std::pin::pin!(progress.reached(1, 3));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        progress.advance(0, 10);
        progress.advance(1, 3);
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        progress.advance(1, 4);
        progress.advance(1, 5);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_dropped_future_leaves_no_waker_behind() {
        let progress = Progress::new(1);
        {
            let mut future = std::pin::pin!(progress.reached(0, 3));
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(progress.lock().sleepers.len(), 1);
        }
        assert_eq!(progress.lock().sleepers.len(), 0);
    }

    #[test]
    fn the_end_ends_all_waits_but_what_was_reached_stays_reached() {
        let progress = Progress::new(1);
        progress.advance(0, 2);
        progress.end("disk gone");
        progress.end("later");
        assert_eq!(progress.wait(0, 1, Duration::ZERO), Ok(()));
        assert_eq!(progress.wait(0, 2, Duration::from_secs(60)), Err(WaitError::Ended("disk gone".to_owned())));
        assert!(matches!(progress.wait(9, 0, Duration::from_secs(60)), Err(WaitError::Ended(_))));
    }
}
