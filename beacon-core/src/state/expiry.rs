//! Entries that end by themselves: lifetimes in processing time.
//!
//! Each entry is stored with the moment it expires at. Whether it is still there is decided by the step's time and the
//! stored bytes alone; an expired entry is never returned, whether it was removed yet or not. A step that is done again,
//! after an abort or by another owner, has a time of its own, and decides by that one. Removal is bookkeeping: an index in the order of those moments, derived and on this disk only, is swept a
//! few entries per step, inside the step, so that removals are part of its commit. What it deliberately does not do: it
//! sets no timers and wakes nobody. A task at rest keeps expired bytes until its next step.
//!
//! Invariant: each stored entry with a lifetime has an index entry at or after its end, and no later than a sixteenth
//! of its lifetime after it (`src/state/expiry.rs: an_entry_is_swept_after_its_end_and_soon`), whether it was written,
//! read (`tests/state.rs: lists_with_lifetimes_answer_like_queues`) or replayed
//! (`tests/state.rs: what_is_over_is_swept_a_little_with_each_step`).

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::layout::{self, EXPIRY_INDEX};
use super::{StateError, TaskState};
use crate::codec::Codec;
use crate::time::ProcessingTime;

/// How long an entry lives, in processing time, to the millisecond.
///
/// At exactly its end an entry is gone. Longer lifetimes keep more bytes; [`Ttl::since_use`] costs a write for each
/// read that moves the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl {
    millis: i64,
    reads_count: bool,
}

impl Ttl {
    /// From the last write. Less than a millisecond is one.
    pub fn since_write(lifetime: Duration) -> Self {
        Self { millis: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX).max(1), reads_count: false }
    }

    /// From the last write or read.
    pub fn since_use(lifetime: Duration) -> Self {
        Self { reads_count: true, ..Self::since_write(lifetime) }
    }

    /// The lifetime.
    pub fn lifetime(self) -> Duration {
        Duration::from_millis(self.millis.unsigned_abs())
    }

    /// Whether a read begins it anew.
    pub fn reads_count(self) -> bool {
        self.reads_count
    }

    /// What a lifetime counts from, as a word.
    pub(super) fn counts(self) -> &'static str {
        if self.reads_count { "use" } else { "write" }
    }

    /// The stamp of what is written now.
    fn stamp(self, now: ProcessingTime) -> Stamp {
        // The index is coarser than the stamp, so that an entry written all the time has few index entries.
        let grain = (self.millis / 16).checked_ilog2().unwrap_or(0) as u8;
        Stamp { grain, expires_ms: now.as_millis().saturating_add(self.millis) }
    }
}

/// What is stored before the bytes of an entry with a lifetime: a byte (log2 of the index's grain in milliseconds) and
/// the moment of expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    grain: u8,
    expires_ms: i64,
}

const STAMP_BYTES: usize = 9;

impl Stamp {
    fn split(stored: &[u8]) -> Result<(Self, &[u8]), StateError> {
        let wrong = || StateError::Store("an entry with a lifetime has no readable stamp".into());
        let (stamp, bytes) = stored.split_at_checked(STAMP_BYTES).ok_or_else(wrong)?;
        let expires_ms = i64::decode(&stamp[1..]).map_err(|_| wrong())?;
        Ok((Self { grain: stamp[0].min(62), expires_ms }, bytes))
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.push(self.grain);
        self.expires_ms.encode(out);
    }

    fn is_over(self, now: ProcessingTime) -> bool {
        self.expires_ms <= now.as_millis()
    }

    /// When the sweep looks at the entry: its end, rounded up.
    fn swept_at_ms(self) -> i64 {
        let grain = 1i64 << self.grain;
        self.expires_ms.div_euclid(grain).saturating_add(1).saturating_mul(grain)
    }
}

/// Stores `value` under `entry` with a lifetime that begins now.
pub(super) fn put<V: Codec>(
    state: &mut TaskState,
    due: &Expiries,
    ttl: Ttl,
    now: ProcessingTime,
    entry: &[u8],
    value: &V,
) {
    let stamp = ttl.stamp(now);
    let mut stored = Vec::with_capacity(STAMP_BYTES + 16);
    stamp.encode(&mut stored);
    value.encode(&mut stored);
    state.put(entry, &stored);
    index(state, stamp, entry);
    due.note(stamp.swept_at_ms());
}

fn index(state: &mut TaskState, stamp: Stamp, entry: &[u8]) {
    let mut key = index_start(stamp.swept_at_ms());
    key.extend_from_slice(entry);
    state.put(&key, &[]);
}

fn index_start(at_ms: i64) -> Vec<u8> {
    let mut key = vec![EXPIRY_INDEX];
    at_ms.encode(&mut key);
    key
}

/// The bytes of a stored entry that is still alive.
pub(super) fn alive(stored: &[u8], now: ProcessingTime) -> Result<Option<&[u8]>, StateError> {
    let (stamp, bytes) = Stamp::split(stored)?;
    Ok((!stamp.is_over(now)).then_some(bytes))
}

/// Brings the index in line with an entry that a changelog changes.
///
/// # Errors
/// When the entry has no stamp; the store's.
pub(crate) fn replay(state: &mut TaskState, entry: &[u8], stored: Option<&[u8]>) -> Result<(), StateError> {
    if let Some(stored) = stored {
        let (stamp, _) = Stamp::split(stored)?;
        index(state, stamp, entry);
    }
    Ok(())
}

/// What steps of a task remember of lifetimes: entries that reads keep alive, and when the next sweep is due.
#[derive(Debug)]
pub struct Expiries {
    /// Entries read in this step whose end moves for it.
    used: RefCell<Vec<(Vec<u8>, Ttl)>>,
    /// Nothing in the index is due before this.
    next_ms: Cell<i64>,
    /// Index entries written in this step.
    indexed: Cell<usize>,
}

impl Default for Expiries {
    fn default() -> Self {
        Self { used: RefCell::default(), next_ms: Cell::new(i64::MIN), indexed: Cell::default() }
    }
}

/// Index entries looked at per step at least; twice as many as it writes itself, if that is more, so that the sweep
/// keeps up with whatever steps write.
const SWEEP: usize = 16;

impl Expiries {
    fn note(&self, at_ms: i64) {
        self.next_ms.set(self.next_ms.get().min(at_ms));
        self.indexed.set(self.indexed.get() + 1);
    }

    /// An entry was read and lives on for it.
    pub(super) fn used(&self, entry: &[u8], ttl: Ttl) {
        self.used.borrow_mut().push((entry.to_vec(), ttl));
    }

    /// Ends a step: entries that were read live on, and a few that are over are removed.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn settle(&self, state: &mut TaskState, now: ProcessingTime) -> Result<(), StateError> {
        for (entry, ttl) in self.used.take() {
            // Written or removed by the step since: that counts.
            let Some(stored) = state.get(&entry)? else { continue };
            let (old, bytes) = Stamp::split(&stored)?;
            let stamp = ttl.stamp(now);
            if stamp.expires_ms > old.expires_ms {
                let mut renewed = Vec::with_capacity(stored.len());
                stamp.encode(&mut renewed);
                renewed.extend_from_slice(bytes);
                state.put(&entry, &renewed);
                index(state, stamp, &entry);
                self.note(stamp.swept_at_ms());
            }
        }
        self.sweep(state, now)
    }

    fn sweep(&self, state: &mut TaskState, now: ProcessingTime) -> Result<(), StateError> {
        let limit = SWEEP.max(2 * self.indexed.take());
        if self.next_ms.get() > now.as_millis() {
            return Ok(());
        }
        // What is before the last known moment is gone; beginning there spares the walk over its tombstones.
        let from = index_start(self.next_ms.get());
        let mut due = Vec::new();
        let mut next_ms = i64::MAX;
        state.scan(&from, layout::prefix_end(&[EXPIRY_INDEX]).as_deref(), &mut |key, _| {
            let at_ms = key.get(1..9).and_then(|bytes| i64::decode(bytes).ok()).unwrap_or(i64::MIN);
            if at_ms > now.as_millis() || due.len() == limit {
                next_ms = at_ms;
                return false;
            }
            due.push(key.to_vec());
            true
        })?;
        for key in due {
            let entry = key.get(9..).unwrap_or_default();
            if let Some(stored) = state.get(entry)?
                && Stamp::split(&stored)?.0.is_over(now)
            {
                state.delete(entry);
            }
            state.delete(&key);
        }
        self.next_ms.set(next_ms);
        Ok(())
    }

    /// Steps were taken back: what was known of the index may be wrong.
    pub(crate) fn forget(&self) {
        self.used.take();
        self.indexed.take();
        self.next_ms.set(i64::MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_an_entry_written_all_the_time_stays_small() {
        let ttl = Ttl::since_write(Duration::from_secs(3600));
        let mut moments: Vec<_> =
            (0..3_600_000).step_by(100).map(|at| ttl.stamp(ProcessingTime::from_millis(at)).swept_at_ms()).collect();
        moments.dedup();
        assert!(moments.len() <= 34, "{}", moments.len());
    }

    #[test]
    fn an_entry_is_swept_after_its_end_and_soon() {
        for millis in [1, 15, 16, 1000, 86_400_000] {
            for now in [-5000, 0, 7, 123_456_789] {
                let stamp = Ttl::since_write(Duration::from_millis(millis)).stamp(ProcessingTime::from_millis(now));
                let late = stamp.swept_at_ms() - stamp.expires_ms;
                assert!(late > 0 && late <= (millis as i64 / 16).max(1), "{millis} {now} {late}");
            }
        }
    }

    #[test]
    fn format_of_a_stamp_stays_readable() {
        // Grain 2^6 ms, expiry at 1000 ms.
        let stored = [6, 0x80, 0, 0, 0, 0, 0, 0x03, 0xe8, b'v'];
        let at = |now| alive(&stored, ProcessingTime::from_millis(now)).expect("readable").map(<[u8]>::to_vec);
        assert_eq!(at(999), Some(b"v".to_vec()));
        assert_eq!(at(1000), None);
        assert!(alive(&stored[..8], ProcessingTime::default()).is_err());
    }
}
