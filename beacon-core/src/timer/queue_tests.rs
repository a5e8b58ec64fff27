//! The queue against a sorted map, and what it reads of timers that are gone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::state::MemoryStore;
use crate::timer::floors;

#[derive(Clone, Debug)]
enum Action {
    Set(u8, i64),
    Cancel(u8),
    Pop(i64),
    Keep,
    Undo,
    Commit,
    Drop,
    /// The process ends; state that was committed is on the disk.
    Restart,
    /// The same, and then a changelog sets this timer.
    Replay(u8, i64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0u8..20, 0i64..50).prop_map(|(key, at)| Action::Set(key, at)),
        3 => (0u8..20).prop_map(Action::Cancel),
        4 => (0i64..50).prop_map(Action::Pop),
        2 => Just(Action::Keep),
        1 => Just(Action::Undo),
        1 => Just(Action::Commit),
        1 => Just(Action::Drop),
        1 => Just(Action::Restart),
        1 => (0u8..20, 0i64..50).prop_map(|(key, at)| Action::Replay(key, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A tiny cache over the store fires what a plain map says, in the order of deadlines, whatever is taken back.
    #[test]
    fn fires_like_a_sorted_map(actions in proptest::collection::vec(action(), 0..150), ask in any::<bool>()) {
        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        let small = || TimerQueue { capacity: 3, ..TimerQueue::new(TimeDomain::Processing) };
        let (mut queue, mut end) = (small(), 0);
        let mut model: BTreeMap<u8, i64> = BTreeMap::new();
        let (mut kept, mut committed) = (model.clone(), model.clone());
        for action in actions {
            match action {
                Action::Set(key, at) => {
                    queue.set(&mut state, 7, &[key], 1, at).expect("memory");
                    model.insert(key, at);
                }
                Action::Cancel(key) => {
                    queue.cancel(&mut state, 7, &[key], 1).expect("memory");
                    model.remove(&key);
                }
                Action::Pop(now) => {
                    let fired = queue.pop_due(&mut state, now).expect("memory");
                    let earliest = model.values().min().copied().filter(|at| *at <= now);
                    prop_assert_eq!(fired.as_ref().map(|timer| timer.deadline_ms), earliest);
                    if let Some(timer) = fired {
                        prop_assert_eq!(model.remove(&timer.key[0]), earliest);
                    }
                }
                Action::Keep => { state.keep_step(); kept = model.clone(); }
                Action::Undo => { state.undo_step(); queue.forget(); model = kept.clone(); }
                Action::Commit => {
                    state.keep_step();
                    queue.committed();
                    end += 1;
                    floors::store(&mut state, end, std::iter::once(&queue));
                    state.apply().expect("memory");
                    kept = model.clone();
                    committed = model.clone();
                }
                Action::Drop => {
                    state.drop_pending();
                    queue.forget();
                    model = committed.clone();
                    kept = committed.clone();
                }
                Action::Restart => {
                    state.drop_pending();
                    queue = small();
                    floors::begin(&state, Some(end), std::iter::once(&mut queue)).expect("memory");
                    model = committed.clone();
                    kept = committed.clone();
                }
                Action::Replay(key, at) => {
                    state.drop_pending();
                    queue = small();
                    floors::begin(&state, Some(end), std::iter::once(&mut queue)).expect("memory");
                    let by_key = queue.by_key(7, &[key], 1);
                    queue.replay(&mut state, &by_key, Some(at)).expect("memory");
                    state.put(&by_key, &at.to_bytes());
                    end += 1;
                    floors::store(&mut state, end, std::iter::once(&queue));
                    state.apply().expect("memory");
                    queue.forget();
                    committed.insert(key, at);
                    model = committed.clone();
                    kept = committed.clone();
                }
            }
            for key in 0..20 {
                prop_assert_eq!(queue.deadline(&state, 7, &[key], 1).expect("memory"), model.get(&key).copied());
            }
            if ask {
                let next = queue.next_deadline(&state).expect("memory");
                prop_assert_eq!(next, model.values().min().copied());
            }
            let entries = state.entries(&[TIMER_INDEX]).expect("memory");
            prop_assert_eq!(entries.len(), model.len(), "the index has what there is, and nothing else");
            let below = entries.into_iter().map(|(rest, _)| [&[TIMER_INDEX], &*rest].concat());
            let below: BTreeSet<_> =
                below.filter(|key| queue.horizon.as_ref().is_none_or(|horizon| key < horizon)).collect();
            prop_assert_eq!(&queue.cache, &below, "the cache has what the index has below the horizon");
        }
    }
}

/// What the entries of the index are that a task reads through, of those that were.
#[test]
fn after_a_step_is_taken_back_and_after_a_restart_the_traces_of_old_timers_are_not_read_again() {
    use std::cell::Cell;
    use std::rc::Rc;

    use crate::state::{Change, Snapshot, Store};

    /// Keeps deleted index entries in place, as a store does until it compacts, and counts those read through.
    struct Traces(BTreeMap<Vec<u8>, Option<Vec<u8>>>, Rc<Cell<usize>>);

    impl Store for Traces {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            Ok(self.0.get(key).cloned().flatten())
        }
        fn scan(
            &self,
            from: &[u8],
            to: Option<&[u8]>,
            visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
        ) -> Result<(), StateError> {
            for (key, value) in
                self.0.range(from.to_vec()..).take_while(|(key, _)| to.is_none_or(|to| key.as_slice() < to))
            {
                match value {
                    None => self.1.set(self.1.get() + 1),
                    Some(value) if !visitor(key, value) => break,
                    Some(_) => {}
                }
            }
            Ok(())
        }
        fn write(&mut self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StateError> {
            for change in changes {
                match change {
                    Change::Put(key, value) => self.0.insert(key.to_vec(), Some(value.to_vec())),
                    Change::Delete(key) => self.0.insert(key.to_vec(), None),
                };
            }
            Ok(())
        }
        fn flush(&mut self) -> Result<(), StateError> {
            Ok(())
        }
        fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError> {
            Err(StateError::Store("traces are no checkpoint".into()))
        }
    }

    let read = Rc::new(Cell::new(0));
    let mut state = TaskState::new(Box::new(Traces(BTreeMap::new(), Rc::clone(&read))));
    let mut queue = TimerQueue::new(TimeDomain::Processing);
    let commit = |state: &mut TaskState, queue: &mut TimerQueue| {
        state.keep_step();
        state.apply().expect("memory");
        queue.committed();
    };
    queue.set(&mut state, 7, b"last", 1, 1_000_000).expect("memory");
    for number in 0..10_000u32 {
        queue.set(&mut state, 7, &number.to_be_bytes(), 1, i64::from(number)).expect("memory");
        if number % 100 == 99 {
            commit(&mut state, &mut queue);
        }
    }
    for number in 0..10_000u32 {
        queue.cancel(&mut state, 7, &number.to_be_bytes(), 1).expect("memory");
    }
    assert_eq!(queue.next_deadline(&state).expect("memory"), Some(1_000_000));
    commit(&mut state, &mut queue);
    read.set(0);
    for _ in 0..100 {
        state.undo_step();
        queue.forget();
        assert_eq!(queue.next_deadline(&state).expect("memory"), Some(1_000_000));
    }
    assert_eq!(read.get(), 0);

    floors::store(&mut state, 1, std::iter::once(&queue));
    state.apply().expect("memory");
    let mut restarted = TimerQueue::new(TimeDomain::Processing);
    floors::begin(&state, Some(1), std::iter::once(&mut restarted)).expect("memory");
    assert_eq!(restarted.next_deadline(&state).expect("memory"), Some(1_000_000));
    assert_eq!(read.get(), 0, "nor after a restart");
}

/// A timer of operator 7 for `foobar` with tag 1, due at 5000 ms, on the clock or event time of the first stage.
const STORED: [(&[u8], &[u8]); 2] = [
    (b"\x20\x7d\xde\x00\x00\x00\x07\x00\x00\x00\x06foobar\x00\x01", b"\x80\x00\x00\x00\x00\x00\x13\x88"),
    (b"\x20\x7d\xde\x00\x00\x00\x07\x00\x00\x00\x06foobar\x01\x01", b"\x80\x00\x00\x00\x00\x00\x13\x88"),
];

#[test]
fn stored_timers_stay_readable() {
    for (domain, (key, deadline)) in [TimeDomain::Processing, TimeDomain::Event].into_iter().zip(STORED) {
        // Index: space, domain, deadline, and the entry by key.
        let index = [&[0xf1, key[17]], deadline, key].concat();
        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        TimerQueue::new(domain).set(&mut state, 7, b"foobar", 1, 5000).expect("memory");
        assert_eq!(
            state.entries(&[]).expect("memory"),
            [(key.to_vec(), deadline.to_vec()), (index.clone(), Vec::new())]
        );

        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        state.put(key, deadline);
        state.put(&index, &[]);
        let mut queue = TimerQueue::new(domain);
        assert_eq!(queue.deadline(&state, 7, b"foobar", 1).expect("memory"), Some(5000));
        assert_eq!(queue.pop_due(&mut state, 4999).expect("memory"), None);
        let timer = Timer { operator: 7, key: b"foobar".to_vec(), tag: 1, deadline_ms: 5000 };
        assert_eq!(queue.pop_due(&mut state, 5000).expect("memory"), Some(timer));
        assert_eq!(state.entries(&[]).expect("memory"), []);
    }
}
