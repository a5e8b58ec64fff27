//! The queue: by-key entries, deadline index, cache of the earliest.

use std::collections::BTreeSet;

use crate::codec::Codec;
use crate::state::layout::{self, TIMER_INDEX, TIMERS};
use crate::state::{StateError, TaskState};
use crate::time::TimeDomain;

/// A timer that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The operator it belongs to.
    pub operator: u32,
    /// The key it was set for.
    pub key: Vec<u8>,
    /// The operator's number for it.
    pub tag: u8,
    /// Milliseconds since the epoch.
    pub deadline_ms: i64,
}

/// How many timers of each domain are kept in memory.
const CACHE: usize = 4096;

/// The timers of one task and one time domain.
#[derive(Debug)]
pub struct TimerQueue {
    /// What timers of this queue are stored under: 0 for processing time, then one number per stage of event time.
    domain: u8,
    /// Index keys of the earliest timers.
    cache: BTreeSet<Vec<u8>>,
    /// Index keys below this are all in the cache; at and above it they are only in the index. `None`: all are in the
    /// cache.
    horizon: Option<Vec<u8>>,
    /// No timer that was committed, or set since, is below this. Where reading begins after [`TimerQueue::forget`] and after
    /// a restart: below it lie the traces of the timers that were, and nobody reads through them again.
    floor: Vec<u8>,
    capacity: usize,
}

impl TimerQueue {
    /// A queue over the timers in `state`; of event time, the first stage.
    pub fn new(domain: TimeDomain) -> Self {
        match domain {
            TimeDomain::Processing => Self::numbered(0),
            TimeDomain::Event => Self::of_stage(0),
        }
    }

    /// The queue of event-time timers of operators at this stage: behind so many re-keyed topics, which are behind in
    /// time.
    pub fn of_stage(stage: u8) -> Self {
        Self::numbered(1 + stage)
    }

    /// The queue of timers that are stored under this number.
    pub(crate) fn numbered(domain: u8) -> Self {
        let floor = index_start(domain);
        Self { domain, cache: BTreeSet::new(), horizon: Some(floor.clone()), floor, capacity: CACHE }
    }

    /// Forgets what is cached: writes were taken back.
    pub fn forget(&mut self) {
        self.cache.clear();
        self.horizon = Some(self.floor.clone());
    }

    /// What its timers are stored under.
    pub(crate) fn domain(&self) -> u8 {
        self.domain
    }

    /// An index key that no committed timer is below, after [`TimerQueue::committed`].
    pub(super) fn floor(&self) -> &[u8] {
        &self.floor
    }

    /// Begins over state in which no timer is below `floor`; `None`: that is not known.
    pub(super) fn begin(&mut self, floor: Option<Vec<u8>>) {
        self.floor = floor.unwrap_or_else(|| index_start(self.domain));
        self.forget();
    }

    /// The timers as they are became committed: no older state will come back.
    pub fn committed(&mut self) {
        if let Some(floor) = self.cache.first().or(self.horizon.as_ref()) {
            self.floor.clone_from(floor);
        } else if let Some(end) = layout::prefix_end(&index_start(self.domain)) {
            self.floor = end;
        }
    }

    fn by_key(&self, operator: u32, key: &[u8], tag: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(key.len() + 13);
        layout::keyed_prefix(&mut bytes, TIMERS, operator, layout::key_group(key), key);
        bytes.extend_from_slice(&[self.domain, tag]);
        bytes
    }

    fn index_key(&self, deadline_ms: i64, by_key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(by_key.len() + 10);
        bytes.extend_from_slice(&[TIMER_INDEX, self.domain]);
        deadline_ms.encode(&mut bytes);
        bytes.extend_from_slice(by_key);
        bytes
    }

    /// Whether there is no timer at all, as far as that is known without reading.
    fn is_empty(&self) -> bool {
        self.cache.is_empty() && self.horizon.is_none()
    }

    /// When the timer is set to fire.
    fn read(&self, state: &TaskState, by_key: &[u8]) -> Result<Option<i64>, StateError> {
        if self.is_empty() { Ok(None) } else { read_deadline(state, by_key) }
    }

    /// When this timer is set to fire.
    pub fn deadline(&self, state: &TaskState, operator: u32, key: &[u8], tag: u8) -> Result<Option<i64>, StateError> {
        self.read(state, &self.by_key(operator, key, tag))
    }

    /// Sets the timer, or moves it.
    pub fn set(
        &mut self,
        state: &mut TaskState,
        operator: u32,
        key: &[u8],
        tag: u8,
        deadline_ms: i64,
    ) -> Result<(), StateError> {
        let by_key = self.by_key(operator, key, tag);
        match self.read(state, &by_key)? {
            Some(old) if old == deadline_ms => return Ok(()),
            Some(old) => self.remove_index(state, old, &by_key),
            None => {}
        }
        state.put(&by_key, &deadline_ms.to_bytes());
        let index_key = self.index_key(deadline_ms, &by_key);
        // The index has what the entries by key have; that one was not so, and is now.
        state.put_new(&index_key, &[]);
        if index_key < self.floor {
            self.floor.clone_from(&index_key);
        }
        if self.horizon.as_ref().is_none_or(|horizon| index_key < *horizon) {
            self.cache.insert(index_key);
            if self.cache.len() > self.capacity {
                self.horizon = self.cache.pop_last();
            }
        }
        Ok(())
    }

    /// Cancels the timer; nothing happens when it is not set.
    pub fn cancel(&mut self, state: &mut TaskState, operator: u32, key: &[u8], tag: u8) -> Result<(), StateError> {
        if self.is_empty() {
            return Ok(());
        }
        let by_key = self.by_key(operator, key, tag);
        if let Some(deadline_ms) = read_deadline(state, &by_key)? {
            state.delete(&by_key);
            self.remove_index(state, deadline_ms, &by_key);
        }
        Ok(())
    }

    fn remove_index(&mut self, state: &mut TaskState, deadline_ms: i64, by_key: &[u8]) {
        let index_key = self.index_key(deadline_ms, by_key);
        state.delete(&index_key);
        self.cache.remove(&index_key);
    }

    /// The earliest deadline, if there is any timer.
    pub fn next_deadline(&mut self, state: &TaskState) -> Result<Option<i64>, StateError> {
        self.refill(state)?;
        Ok(self.cache.first().and_then(|index_key| split_index(index_key)).map(|(deadline_ms, _)| deadline_ms))
    }

    /// Takes the earliest timer whose deadline is at or before `now_ms`; it is no longer set.
    pub fn pop_due(&mut self, state: &mut TaskState, now_ms: i64) -> Result<Option<Timer>, StateError> {
        self.refill(state)?;
        let Some(index_key) = self.cache.first() else { return Ok(None) };
        let Some((deadline_ms, by_key)) = split_index(index_key) else {
            return Err(StateError::Store("an entry of the timer index is too short".into()));
        };
        if deadline_ms > now_ms {
            return Ok(None);
        }
        let by_key = by_key.to_vec();
        let Some((operator, key, [_, tag])) = layout::split_keyed(&by_key) else {
            return Err(StateError::Store("an entry of the timer index is not a timer".into()));
        };
        let timer = Timer { operator, key: key.to_vec(), tag: *tag, deadline_ms };
        state.delete(&by_key);
        self.remove_index(state, deadline_ms, &by_key);
        Ok(Some(timer))
    }

    /// Reads the next stretch of the index when the cache is empty but the index need not be.
    fn refill(&mut self, state: &TaskState) -> Result<(), StateError> {
        if !self.cache.is_empty() {
            return Ok(());
        }
        let Some(horizon) = self.horizon.take() else { return Ok(()) };
        let end = layout::prefix_end(&index_start(self.domain));
        let mut rest = None;
        state.scan(&horizon, end.as_deref(), &mut |index_key, _| {
            if self.cache.len() < self.capacity {
                self.cache.insert(index_key.to_vec());
                true
            } else {
                rest = Some(index_key.to_vec());
                false
            }
        })?;
        self.horizon = rest;
        Ok(())
    }

    /// Brings the index in line with a by-key entry of this queue that a changelog changes: call it before the change is
    /// written, and [`TimerQueue::forget`] after the last one.
    ///
    /// `key` is the entry's whole key, `deadline_ms` what it becomes.
    pub(crate) fn replay(
        &mut self,
        state: &mut TaskState,
        key: &[u8],
        deadline_ms: Option<i64>,
    ) -> Result<(), StateError> {
        if let Some(old) = read_deadline(state, key)? {
            state.delete(&self.index_key(old, key));
        }
        if let Some(deadline_ms) = deadline_ms {
            let index_key = self.index_key(deadline_ms, key);
            state.put(&index_key, &[]);
            if index_key < self.floor {
                self.floor = index_key;
            }
        }
        Ok(())
    }
}

fn index_start(domain: u8) -> Vec<u8> {
    vec![TIMER_INDEX, domain]
}

fn read_deadline(state: &TaskState, by_key: &[u8]) -> Result<Option<i64>, StateError> {
    state
        .read(by_key, |bytes| bytes.map(i64::decode).transpose())?
        .map_err(|source| StateError::Codec { store: "timers".into(), source })
}

/// Deadline and by-key entry of an index key.
fn split_index(index_key: &[u8]) -> Option<(i64, &[u8])> {
    let deadline = index_key.get(2..10)?;
    Some((i64::decode(deadline).ok()?, &index_key[10..]))
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
