//! The state of one task: store below; pending writes, committed ones it does not have yet, and a cache above.

use std::cell::RefCell;

use super::slot::Key;
use super::table::{Table, Write};
use super::{Change, Entry, Snapshot, StateError, Store, layout};
use crate::codec::Codec;

/// Keys with their values, in key order.
pub type Entries = Vec<Entry>;

/// What a task keeps in memory of its committed state unless it is told, in bytes: see [`TaskState::set_room`].
pub const ROOM_BYTES: usize = 1 << 20;

/// Room kept for the bytes of the next value.
const MOST_ENCODED: usize = 4 << 10;

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
    /// Of the value being put.
    encoded: Vec<u8>,
}

impl TaskState {
    /// State over a store of committed bytes.
    pub fn new(store: Box<dyn Store>) -> Self {
        Self { store, table: RefCell::new(Table::new(ROOM_BYTES)), encoded: Vec::new() }
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

    /// Sets the value at `key` to the bytes of `value`.
    pub(crate) fn put_encoded<V: Codec>(&mut self, key: &[u8], value: &V) {
        let Self { table, encoded, .. } = self;
        encoded.clear();
        value.encode(encoded);
        table.get_mut().put(key, encoded);
        // One large value is no reason to keep its room for the small ones.
        encoded.shrink_to(MOST_ENCODED);
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
#[path = "task_state_tests.rs"]
mod tests;
