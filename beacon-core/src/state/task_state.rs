//! The state of one task: store below; pending writes, committed ones it does not have yet, and a cache above.

use std::cell::RefCell;

use super::table::{Key, Table, Write};
use super::{Change, Entry, Snapshot, StateError, Store, layout};

/// Keys with their values, in key order.
pub type Entries = Vec<Entry>;

/// What a task keeps in memory of its committed state unless it is told, in bytes: see [`TaskState::set_room`].
pub const ROOM_BYTES: usize = 1 << 20;

/// Writes of the table that a scan looks at in one go.
const PAGE: usize = 64;

/// Reads merge pending writes over committed ones; writes stay pending until [`TaskState::apply`].
///
/// All writes to the store go through here, so that what is cached is what is stored. The store is told of committed writes
/// when there are many of them and at each [`TaskState::flush`]; they are in the changelog, and whoever drops the state before
/// finds in the store what it was at an earlier commit.
pub struct TaskState {
    store: Box<dyn Store>,
    /// Borrowed for single looks only, never while a visitor runs: a visitor may read.
    table: RefCell<Table>,
}

impl TaskState {
    /// State over a store of committed bytes.
    pub fn new(store: Box<dyn Store>) -> Self {
        Self { store, table: RefCell::new(Table::new(ROOM_BYTES)) }
    }

    /// What it may keep in memory of its committed state, in bytes: entries it read or wrote lately, three quarters of
    /// it at most writes that the store does not have yet. More saves reads and writes of the store; 0: every commit is
    /// written at once.
    pub fn set_room(&mut self, bytes: usize) {
        self.table.get_mut().set_room(bytes);
    }

    /// The value at `key`, pending writes included.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.read(key, |value| value.map(<[u8]>::to_vec))
    }

    /// Hands the value at `key`, pending writes included, to `look`, without a copy.
    ///
    /// `look` must not read state itself: it is for decoding.
    pub(crate) fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, StateError> {
        if let Some(current) = self.table.borrow_mut().get(key) {
            return Ok(look(current));
        }
        let value = self.store.get(key)?;
        let seen = look(value.as_deref());
        self.table.borrow_mut().learn(key, value.as_deref());
        Ok(seen)
    }

    /// Sets the value at `key`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.table.get_mut().put(key, value);
    }

    /// Sets the value at `key`, where there is none: a delete before the store hears of it then leaves no trace.
    ///
    /// The caller knows it from an entry that this one is derived from.
    pub(crate) fn put_new(&mut self, key: &[u8], value: &[u8]) {
        self.table.get_mut().put_new(key, value);
    }

    /// Removes the value at `key`.
    pub fn delete(&mut self, key: &[u8]) {
        self.table.get_mut().delete(key);
    }

    /// Visits entries from `from` (inclusive) to `to` (exclusive) in key order, pending writes included, until the
    /// visitor answers `false`.
    pub fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut newer = NewerWrites::new(&self.table, from, to).peekable();
        let mut go_on = true;
        self.store.scan(from, to, &mut |key, value| {
            while let Some((newer_key, newer_value)) = newer.next_if(|(newer_key, _)| **newer_key < *key) {
                if let Some(newer_value) = newer_value {
                    go_on = visitor(&newer_key, &newer_value);
                    if !go_on {
                        return false;
                    }
                }
            }
            go_on = match newer.next_if(|(newer_key, _)| **newer_key == *key) {
                Some((_, Some(newer_value))) => visitor(key, &newer_value),
                Some((_, None)) => true,
                None => visitor(key, value),
            };
            go_on
        })?;
        if go_on {
            for (key, value) in newer {
                if let Some(value) = value
                    && !visitor(&key, &value)
                {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The last entry from `from` (inclusive) to `to` (exclusive), pending writes included.
    pub fn last(&self, from: &[u8], to: Option<&[u8]>) -> Result<Option<Entry>, StateError> {
        let mut stored = self.store.last(from, to)?;
        // What is newer than the store is looked through from behind, deletes too; an end of its own saves asking the store
        // again for each of them.
        let mut to = to.map(<[u8]>::to_vec);
        loop {
            match (stored, self.table.borrow_mut().last_newer(from, to.as_deref())) {
                (found, None) => return Ok(found),
                (Some(found), Some((key, _))) if *found.0 > *key => return Ok(Some(found)),
                (_, Some((key, Some(value)))) => return Ok(Some((key.to_vec(), value.into_vec()))),
                (found, Some((key, None))) => {
                    // Deleted: here, and in the store if it is the same entry.
                    stored = match found {
                        Some(found) if *found.0 == *key => self.store.last(from, Some(&key))?,
                        other => other,
                    };
                    to = Some(key.to_vec());
                }
            }
        }
    }

    /// Entries whose keys begin with `prefix`, as owned pairs in key order; the keys without the prefix.
    pub fn entries(&self, prefix: &[u8]) -> Result<Entries, StateError> {
        let mut found = Vec::new();
        self.scan(prefix, layout::prefix_end(prefix).as_deref(), &mut |key, value| {
            found.push((key[prefix.len()..].to_vec(), value.to_vec()));
            true
        })?;
        Ok(found)
    }

    /// The writes of the current step become part of the next commit.
    pub fn keep_step(&mut self) {
        self.table.get_mut().keep_step();
    }

    /// Takes back the writes of the current step.
    pub fn undo_step(&mut self) {
        self.table.get_mut().undo_step();
    }

    /// Whether anything is pending.
    pub fn is_dirty(&self) -> bool {
        !self.table.borrow().is_clean()
    }

    /// Bytes of pending keys and values.
    pub fn pending_bytes(&self) -> usize {
        self.table.borrow().pending_bytes()
    }

    /// Pending writes that belong into the changelog, each key once, in key order.
    pub fn logged_changes(&mut self) -> impl Iterator<Item = Change<'_>> {
        self.table.get_mut().changes().filter(|change| {
            let (Change::Put(key, _) | Change::Delete(key)) = change;
            layout::is_logged(key)
        })
    }

    /// Makes pending writes committed, all at once.
    ///
    /// # Errors
    /// The store's, when it was its turn. The writes are committed all the same and safe in the log: drop the task and
    /// restore it.
    pub fn apply(&mut self) -> Result<(), StateError> {
        let table = self.table.get_mut();
        table.settle();
        if table.is_store_due() { self.store_committed() } else { Ok(()) }
    }

    /// The store, with all that is committed.
    ///
    /// # Errors
    /// The store's.
    pub fn store(&mut self) -> Result<&dyn Store, StateError> {
        self.store_committed()?;
        Ok(self.store.as_ref())
    }

    /// Tells the store of committed writes that it does not have yet, as one write.
    fn store_committed(&mut self) -> Result<(), StateError> {
        let table = self.table.get_mut();
        if !table.is_stored() {
            self.store.write(&mut table.unstored_changes())?;
            table.stored();
        }
        Ok(())
    }

    /// Forgets pending writes.
    pub fn drop_pending(&mut self) {
        self.table.get_mut().discard();
    }

    /// Makes committed state survive a crash of the machine.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.store_committed()?;
        self.store.flush()
    }

    /// The store may do its upkeep from now on: see [`Store::begin_upkeep`].
    pub fn begin_upkeep(&mut self) -> Result<bool, StateError> {
        self.store.begin_upkeep()
    }

    /// Holds on to committed state as files; pending writes are not in it.
    pub fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError> {
        self.store_committed()?;
        self.store.snapshot()
    }
}

/// What is newer than the store in a range, a page at a time, so that the table is free between two looks.
struct NewerWrites<'a> {
    table: &'a RefCell<Table>,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    page: std::vec::IntoIter<Write>,
    /// The last key of the page: the next one goes on behind it.
    last: Option<Key>,
    /// There may be a next page.
    more: bool,
}

impl<'a> NewerWrites<'a> {
    fn new(table: &'a RefCell<Table>, from: &[u8], to: Option<&[u8]>) -> Self {
        let more = !table.borrow().is_no_newer();
        let page = Vec::new().into_iter();
        Self { table, from: from.to_vec(), to: to.map(<[u8]>::to_vec), page, last: None, more }
    }
}

impl Iterator for NewerWrites<'_> {
    type Item = Write;

    fn next(&mut self) -> Option<Write> {
        if self.page.as_slice().is_empty() && self.more {
            let (from, after) = (self.last.as_deref().unwrap_or(&self.from), self.last.is_some());
            let page = self.table.borrow_mut().newer_page(from, after, self.to.as_deref(), PAGE);
            self.more = page.len() == PAGE;
            self.last = page.last().map(|(key, _)| key.clone());
            self.page = page.into_iter();
        }
        self.page.next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::state::MemoryStore;

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
            1 => Just(Action::Drop),
        ]
    }

    fn all(scan: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StateError>) -> Model {
        let mut found = Model::new();
        scan(&mut |key, value| found.insert(key.to_vec(), value.to_vec()).is_none()).expect("memory");
        found
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
}
