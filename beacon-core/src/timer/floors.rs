//! Where reading of a task's timers begins after a restart.
//!
//! A store keeps traces of entries that are gone until it compacts: after a million timers set and cancelled the first
//! look at a queue took 25 times as long as ever after. So the floors of a task's queues are stored, in the same write as
//! the timers they are of.
//!
//! Invariant: floors are believed only beside the changelog offset they were stored with. A program that does not know
//! them moves that offset on without them
//! (`src/timer/floors.rs: floors_are_believed_beside_their_own_changelog_offset_only`).

use super::TimerQueue;
use crate::codec::Codec;
use crate::log::Offset;
use crate::state::layout::META;
use crate::state::{StateError, TaskState};

/// Where they are stored: `offset u64`, then for each queue `domain u8, length u32, index key`; big-endian.
const FLOORS: [u8; 2] = [META, 2];

/// Stores the floors of these queues beside the changelog offset that the same write stores.
pub fn store<'a>(state: &mut TaskState, end: Offset, queues: impl Iterator<Item = &'a TimerQueue>) {
    let mut bytes = end.to_bytes();
    for queue in queues {
        bytes.push(queue.domain());
        (queue.floor().len() as u32).encode(&mut bytes);
        bytes.extend_from_slice(queue.floor());
    }
    state.put(&FLOORS, &bytes);
}

/// Has these queues begin where state of this changelog offset says, or at the start of the index.
///
/// # Errors
/// The store's.
pub fn begin<'a>(
    state: &TaskState,
    end: Option<Offset>,
    queues: impl Iterator<Item = &'a mut TimerQueue>,
) -> Result<(), StateError> {
    let stored = state.get(&FLOORS)?.unwrap_or_default();
    let floors = end.and_then(|end| read(&stored, end)).unwrap_or_default();
    for queue in queues {
        let floor = floors.iter().find(|(domain, _)| *domain == queue.domain());
        queue.begin(floor.map(|(_, floor)| floor.to_vec()));
    }
    Ok(())
}

/// Floors by domain. `None`: of another offset, or of another program's making; without them only time is lost.
fn read(stored: &[u8], end: Offset) -> Option<Vec<(u8, &[u8])>> {
    let (offset, mut rest) = stored.split_at_checked(8)?;
    if Offset::decode(offset).ok()? != end {
        return None;
    }
    let mut floors = Vec::new();
    while let Some((domain, after)) = rest.split_first() {
        let (length, after) = after.split_first_chunk::<4>()?;
        let (floor, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        floors.push((*domain, floor));
        rest = after;
    }
    Some(floors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;
    use crate::time::TimeDomain;

    fn floor_after(offset: Option<Offset>, change: impl FnOnce(&mut TaskState)) -> Vec<u8> {
        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        let mut queue = TimerQueue::new(TimeDomain::Processing);
        queue.set(&mut state, 7, b"key", 1, 5_000).expect("memory");
        queue.next_deadline(&state).expect("memory");
        queue.committed();
        store(&mut state, 9, std::iter::once(&queue));
        change(&mut state);
        state.apply().expect("memory");
        let mut restarted = TimerQueue::new(TimeDomain::Processing);
        begin(&state, offset, std::iter::once(&mut restarted)).expect("memory");
        assert_eq!(restarted.next_deadline(&state).expect("memory"), Some(5_000));
        restarted.floor().to_vec()
    }

    #[test]
    fn floors_are_believed_beside_their_own_changelog_offset_only() {
        let start = TimerQueue::new(TimeDomain::Processing).floor().to_vec();
        let stored = floor_after(Some(9), |_| ());
        assert!(stored > start);
        assert_eq!(floor_after(Some(10), |_| ()), start, "an older program went on");
        assert_eq!(floor_after(None, |_| ()), start);
        assert_eq!(floor_after(Some(9), |state| state.put(&FLOORS, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0])), start);
        assert_eq!(floor_after(Some(9), |state| state.delete(&FLOORS)), start);
    }

    #[test]
    fn stored_floors_stay_readable() {
        let bytes = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 2, 0xf1, 0, 1, 0, 0, 0, 1, 0xf2];
        assert_eq!(read(&bytes, 9), Some(vec![(0, &[0xf1, 0][..]), (1, &[0xf2][..])]));
    }
}
