//! The state of a task against plain maps, and what its store hears of.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::state::{MemoryStore, StoreFile};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys are of operators' state and of a derived index.
const SPACES: [u8; 2] = [layout::KEYED, layout::TIMER_INDEX];

#[derive(Clone, Debug)]
enum Action {
    Put(Vec<u8>, u8),
    /// An entry that the store has not, by what the others say.
    PutNew(Vec<u8>, u8),
    Delete(Vec<u8>),
    Get(Vec<u8>),
    Scan(Vec<u8>, Vec<u8>, usize),
    Last(Vec<u8>, Vec<u8>),
    Keep,
    Undo,
    Apply,
    Flush,
    Snapshot,
    Drop,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    (0..SPACES.len(), 0u8..12, 0usize..3).prop_map(|(space, key, zeros)| {
        let mut bytes = vec![SPACES[space], key];
        bytes.resize(2 + zeros, 0);
        bytes
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (key(), 0u8..3).prop_map(|(key, value)| Action::Put(key, value)),
        2 => (key(), 0u8..3).prop_map(|(key, value)| Action::PutNew(key, value)),
        4 => key().prop_map(Action::Delete),
        3 => key().prop_map(Action::Get),
        2 => (key(), key(), 0usize..6).prop_map(|(from, to, limit)| Action::Scan(from, to, limit)),
        2 => (key(), key()).prop_map(|(from, to)| Action::Last(from, to)),
        2 => Just(Action::Keep),
        2 => Just(Action::Undo),
        3 => Just(Action::Apply),
        1 => Just(Action::Flush),
        1 => Just(Action::Snapshot),
        1 => Just(Action::Drop),
    ]
}

fn all(scan: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StateError>) -> Model {
    let mut found = Model::new();
    scan(&mut |key, value| found.insert(key.to_vec(), value.to_vec()).is_none()).expect("memory");
    found
}

/// Of a store with these entries.
fn files_of(entries: &Model) -> Vec<StoreFile> {
    let mut store = MemoryStore::default();
    store.write(&mut entries.iter().map(|(key, value)| Change::Put(key, value))).expect("memory");
    store.snapshot().and_then(|mut snapshot| snapshot.files()).expect("memory")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Three plain maps say what committed, kept and stepping state must look like, however little room there is; and the
    /// store holds at any time what was committed once.
    #[test]
    fn pending_and_unstored_writes_and_cache_behave_like_a_map(
        actions in proptest::collection::vec(action(), 0..120),
        room in prop_oneof![Just(0usize), Just(500), Just(1500), Just(ROOM_BYTES)],
    ) {
        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        state.set_room(room);
        let mut once_committed = vec![Model::new()];
        let (mut committed, mut kept, mut now) = (Model::new(), Model::new(), Model::new());
        for action in actions {
            match action {
                Action::Put(key, value) => { state.put(&key, &[value]); now.insert(key, vec![value]); }
                Action::PutNew(key, value) if !committed.contains_key(&key) => {
                    state.put_new(&key, &[value]);
                    now.insert(key, vec![value]);
                }
                Action::PutNew(..) => {}
                Action::Delete(key) => { state.delete(&key); now.remove(&key); }
                Action::Get(key) => prop_assert_eq!(state.get(&key).expect("memory"), now.get(&key).cloned()),
                Action::Scan(from, to, limit) => {
                    let mut seen = Vec::new();
                    state.scan(&from, Some(&to), &mut |key, value| {
                        // A visitor may read.
                        assert_eq!(state.get(key).expect("memory").as_deref(), Some(value));
                        seen.push((key.to_vec(), value.to_vec()));
                        seen.len() < limit
                    }).expect("memory");
                    let range = now.iter().filter(|(key, _)| (&from..&to).contains(key));
                    let expected: Vec<_> = range.take(limit.max(1)).map(|(k, v)| (k.clone(), v.clone())).collect();
                    prop_assert_eq!(seen, expected);
                }
                Action::Last(from, to) => {
                    let expected = now.iter().rfind(|(key, _)| (&from..&to).contains(key));
                    let expected = expected.map(|(key, value)| (key.clone(), value.clone()));
                    prop_assert_eq!(state.last(&from, Some(&to)).expect("memory"), expected);
                }
                Action::Keep => { state.keep_step(); kept = now.clone(); }
                Action::Undo => { state.undo_step(); now = kept.clone(); }
                Action::Apply => {
                    state.keep_step();
                    let mut replayed = committed.clone();
                    let mut last = Vec::new();
                    for change in state.logged_changes() {
                        let (Change::Put(key, _) | Change::Delete(key)) = change;
                        prop_assert!(last.as_slice() < key, "in order, each once");
                        last = key.to_vec();
                        match change {
                            Change::Put(key, value) => { replayed.insert(key.to_vec(), value.to_vec()); }
                            Change::Delete(key) => { replayed.remove(key); }
                        }
                    }
                    prop_assert!(replayed.iter().eq(now.iter())
                        || replayed.iter().filter(|(key, _)| layout::is_logged(key))
                            .eq(now.iter().filter(|(key, _)| layout::is_logged(key))));
                    state.apply().expect("memory");
                    prop_assert!(!state.is_dirty() && state.pending_bytes() == 0);
                    if room == 0 {
                        prop_assert_eq!(&all(|visitor| state.store.scan(&[], None, visitor)), &now);
                    }
                    once_committed.push(now.clone());
                    committed = now.clone();
                    kept = now.clone();
                }
                Action::Flush => {
                    state.flush().expect("memory");
                    prop_assert_eq!(&all(|visitor| state.store.scan(&[], None, visitor)), &committed);
                }
                Action::Snapshot => {
                    let files = state.snapshot().and_then(|mut snapshot| snapshot.files()).expect("memory");
                    prop_assert_eq!(files, files_of(&committed));
                }
                Action::Drop => { state.drop_pending(); now = committed.clone(); kept = committed.clone(); }
            }
            prop_assert_eq!(&all(|visitor| state.scan(&[], None, visitor)), &now);
            prop_assert!(once_committed.contains(&all(|visitor| state.store.scan(&[], None, visitor))));
        }
        for space in SPACES {
            for number in 0..12u8 {
                let key = [space, number];
                prop_assert_eq!(state.get(&key).expect("memory"), now.get(key.as_slice()).cloned());
            }
        }
    }
}

#[test]
fn what_a_commit_undoes_itself_is_neither_logged_nor_stored() {
    let mut state = TaskState::new(Box::new(MemoryStore::default()));
    assert_eq!(state.get(b"\x10key").expect("memory"), None);
    state.put(b"\x10key", &[1]);
    state.put_new(b"\xf1index", &[]);
    state.keep_step();
    assert!(state.is_dirty());
    state.delete(b"\x10key");
    state.delete(b"\xf1index");
    state.keep_step();
    assert!(!state.is_dirty());
    assert_eq!(state.logged_changes().count(), 0);
}

#[test]
fn the_store_hears_once_of_what_many_commits_wrote_and_never_of_what_they_took_back() {
    let mut state = TaskState::new(Box::new(MemoryStore::default()));
    for number in 0..100u8 {
        state.put(b"\x10counter", &[number]);
        state.get(&[layout::TIMERS, number]).expect("memory");
        state.put(&[layout::TIMERS, number], &[1]);
        state.put_new(&[layout::TIMER_INDEX, number], &[]);
        state.keep_step();
        state.apply().expect("memory");
        state.delete(&[layout::TIMERS, number]);
        state.delete(&[layout::TIMER_INDEX, number]);
        state.keep_step();
        state.apply().expect("memory");
    }
    assert_eq!(all(|visitor| state.store.scan(&[], None, visitor)).len(), 0);
    let told: Vec<_> = state.table.get_mut().unstored_changes().collect();
    assert_eq!(told, [Change::Put(b"\x10counter", &[99])]);
    state.flush().expect("memory");
    let stored = all(|visitor| state.store.scan(&[], None, visitor));
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), [(b"\x10counter".to_vec(), vec![99])]);
}

#[test]
fn the_cache_keeps_what_is_used_and_stays_within_its_bytes() {
    let mut state = TaskState::new(Box::new(MemoryStore::default()));
    state.set_room(20_000);
    let key = |number: u32| [&[layout::KEYED], number.to_be_bytes().as_slice()].concat();
    for number in 0..1_000 {
        state.put(&key(number), &[7; 20]);
        state.get(&key(3)).expect("memory");
        if number % 10 == 9 {
            state.keep_step();
            state.apply().expect("memory");
        }
    }
    let table = state.table.get_mut();
    assert!((10_000..=20_000).contains(&table.held_bytes()), "{}", table.held_bytes());
    assert!(table.get(&key(3)).is_some(), "used all the time");
    assert!(table.get(&key(100)).is_none(), "used once, long ago");
}
