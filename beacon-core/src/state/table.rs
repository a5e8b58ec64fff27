//! What a task has at hand of its state: pending writes, committed ones on their way to the store, and committed entries it
//! read or wrote lately.
//!
//! One hash table holds all three, so that a read costs one look and a commit moves nothing. The store learns of committed
//! writes later and many at a time: an entry written in each commit is stored once, and a timer set in one commit and
//! cancelled in a later one leaves no trace there. A store without a log of its own loses nothing by that: what it had not
//! flushed would be read from the changelog again, too (decision 0048).

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::order::Order;
use super::slot::{Committed, Key, Mark, Pending, SLOT_BYTES, Slot, Value, Written, newer, pending};
use super::slots::Slots;
use super::{Change, layout};

/// The store is told when it misses this much, however much room there is: one write is not to take long.
const MOST_UNSTORED: usize = 8 << 20;

/// Pending writes with undo of the current step, over committed ones that the store does not have yet, over a cache.
///
/// After [`Table::discard`] and [`Table::settle`] nothing is pending. What is here agrees with the store as long as all
/// its writes come through [`Table::unstored_changes`] and [`Table::stored`].
#[derive(Debug, Default)]
pub(super) struct Table {
    index: HashTable<u32>,
    hasher: FixedState,
    slots: Slots,
    free: Vec<u32>,
    /// Slots written since the last commit, each once.
    written: Vec<Written>,
    /// `written` in key order, as far as somebody asked: the first bytes of each key, and its place.
    in_order: Vec<(u128, u32)>,
    /// All slots with something newer than the store, and some that had.
    newer: Order,
    /// How many slots the store does not have as they are committed.
    unstored: usize,
    /// What the writes of the current step replaced, by place in `written`, oldest first.
    undo: Vec<(u32, Pending)>,
    pending: usize,
    pending_bytes: usize,
    held_bytes: usize,
    unstored_bytes: usize,
    room_bytes: usize,
    /// An entry was not remembered for want of room.
    crowded: bool,
    /// Where to look next for entries to let go.
    hand: u32,
}

impl Table {
    /// A table of about `room_bytes` for committed entries, up to three quarters of it and 8 MiB for what the store does not
    /// have yet.
    pub(super) fn new(room_bytes: usize) -> Self {
        Self { room_bytes, ..Self::default() }
    }

    /// Gives it more or less room. What is too much goes with the next commit.
    pub(super) fn set_room(&mut self, room_bytes: usize) {
        self.room_bytes = room_bytes;
    }

    fn hash(&self, key: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish() as u32
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        let is_it = |id: &u32| {
            let slot = &self.slots[*id];
            slot.hash == hash && slot.key() == key
        };
        self.index.find(spread(hash), is_it).copied()
    }

    /// What the entry is now, if that is known here.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<&[u8]>> {
        let id = self.find(self.hash(key), key)?;
        let slot = &mut self.slots[id];
        slot.set(Mark::Used, true);
        match pending(&self.written, slot) {
            Pending::Nothing => slot.committed(),
            Pending::Delete => Some(None),
            Pending::Put(value) => Some(Some(value)),
        }
    }

    /// Remembers what the store said of an entry that was not known, if there is room.
    pub(super) fn learn(&mut self, key: &[u8], value: Option<&[u8]>) {
        let hash = self.hash(key);
        let known = self.find(hash, key);
        let bytes = value.map_or(0, <[u8]>::len) + if known.is_some() { 0 } else { SLOT_BYTES };
        if self.held_bytes + bytes > self.room_bytes {
            // Room is made at the end of the commit. One giant is no reason to send everybody else away.
            self.crowded |= bytes <= self.room_bytes / 8;
            return;
        }
        let id = known.unwrap_or_else(|| self.insert(hash, key, Committed::Unknown));
        let slot = &mut self.slots[id];
        self.held_bytes -= slot.held_bytes();
        slot.set(Mark::StoreLacks, value.is_none());
        slot.committed = if value.is_some() { Committed::Present } else { Committed::Absent };
        slot.set_value(value.unwrap_or_default());
        self.held_bytes += slot.held_bytes();
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        let id = self.slot(key, || Committed::Unknown);
        self.write(id, Pending::Put(Value::from_slice(value)));
    }

    /// As [`Table::put`], of an entry that the caller knows not to be there unless this table knows better.
    pub(super) fn put_new(&mut self, key: &[u8], value: &[u8]) {
        let id = self.slot(key, || Committed::Absent);
        self.write(id, Pending::Put(Value::from_slice(value)));
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        let id = self.slot(key, || Committed::Unknown);
        self.write(id, Pending::Delete);
    }

    fn slot(&mut self, key: &[u8], committed: impl FnOnce() -> Committed) -> u32 {
        let hash = self.hash(key);
        match self.find(hash, key) {
            Some(id) => id,
            None => self.insert(hash, key, committed()),
        }
    }

    fn insert(&mut self, hash: u32, key: &[u8], committed: Committed) -> u32 {
        let mut slot = Slot::new(hash, key, committed);
        // Nothing is known here of an entry that is not in the table but what its caller says of the store.
        slot.set(Mark::StoreLacks, committed == Committed::Absent);
        self.held_bytes += slot.held_bytes();
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id] = slot;
                id
            }
            None => self.slots.push(slot),
        };
        let slots = &self.slots;
        self.index.insert_unique(spread(hash), id, |id| spread(slots[*id].hash));
        id
    }

    fn write(&mut self, id: u32, pending: Pending) {
        let slot = &mut self.slots[id];
        slot.set(Mark::Used, true);
        // What changes nothing need not be written: a timer set and cancelled between two commits leaves no trace.
        let pending = match (pending, slot.committed) {
            (Pending::Delete, Committed::Absent) => Pending::Nothing,
            (Pending::Put(value), Committed::Present) if *value == *slot.value() => Pending::Nothing,
            (pending, _) => pending,
        };
        if slot.written == 0 {
            if pending == Pending::Nothing {
                return;
            }
            self.written.push(Written { id, pending: Pending::Nothing });
            slot.written = self.written.len() as u32;
            if !slot.is(Mark::Listed) {
                slot.set(Mark::Listed, true);
                self.newer.add(slot.key(), id);
            }
        }
        let place = slot.written - 1;
        let before = self.replace(place, pending);
        self.undo.push((place, before));
    }

    fn replace(&mut self, place: u32, pending: Pending) -> Pending {
        let written = &mut self.written[place as usize];
        let key_bytes = self.slots[written.id].key().len();
        let bytes = |pending: &Pending| match pending {
            Pending::Nothing => 0,
            Pending::Delete => key_bytes,
            Pending::Put(value) => key_bytes + value.len(),
        };
        self.pending_bytes -= bytes(&written.pending);
        self.pending -= usize::from(written.pending != Pending::Nothing);
        self.pending_bytes += bytes(&pending);
        self.pending += usize::from(pending != Pending::Nothing);
        std::mem::replace(&mut written.pending, pending)
    }

    /// The writes since the last call become part of the next commit.
    pub(super) fn keep_step(&mut self) {
        self.undo.clear();
    }

    /// Takes the writes since the last `keep_step` back.
    pub(super) fn undo_step(&mut self) {
        while let Some((place, before)) = self.undo.pop() {
            self.replace(place, before);
        }
    }

    /// Whether nothing is pending.
    pub(super) fn is_clean(&self) -> bool {
        self.pending == 0
    }

    /// Bytes of keys and values pending.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Bytes of memory in use, pending values aside.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Pending writes, each key once, in key order.
    pub(super) fn changes(&mut self) -> impl Iterator<Item = Change<'_>> {
        let key = |place: u32| self.slots[self.written[place as usize].id].key();
        let new = self.in_order.len()..self.written.len();
        if !new.is_empty() {
            self.in_order.extend(new.map(|place| (leading(key(place as u32)), place as u32)));
            sort_by_key(&mut self.in_order, key);
        }
        self.in_order.iter().filter_map(|(_, place)| self.written[*place as usize].change(&self.slots))
    }

    /// Pending writes became committed.
    pub(super) fn settle(&mut self) {
        self.end_commit(|slot, pending| {
            let (committed, value) = match pending {
                Pending::Nothing => return,
                Pending::Delete => (Committed::Absent, Value::new()),
                Pending::Put(value) => (Committed::Present, value),
            };
            slot.committed = committed;
            slot.set_value(&value);
            slot.set(Mark::Unstored, committed == Committed::Present || !slot.is(Mark::StoreLacks));
        });
    }

    /// Pending writes are forgotten.
    pub(super) fn discard(&mut self) {
        self.end_commit(|_, _| {});
    }

    fn end_commit(&mut self, end: impl Fn(&mut Slot, Pending)) {
        for Written { id, pending } in self.written.drain(..) {
            let slot = &mut self.slots[id];
            self.held_bytes -= slot.held_bytes();
            self.unstored_bytes -= slot.unstored_bytes();
            self.unstored -= usize::from(slot.is(Mark::Unstored));
            end(slot, pending);
            slot.written = 0;
            self.held_bytes += slot.held_bytes();
            self.unstored_bytes += slot.unstored_bytes();
            self.unstored += usize::from(slot.is(Mark::Unstored));
        }
        self.in_order.clear();
        self.undo.clear();
        self.pending = 0;
        self.pending_bytes = 0;
        if self.listed_for_nothing() > self.newer.len() / 4 {
            self.unlist();
        }
        self.let_go();
    }

    /// Slots that were newer than the store and are not any more. Only while nothing is pending.
    fn listed_for_nothing(&self) -> usize {
        self.newer.len() - self.unstored
    }

    /// Whether the store is to be told what it does not have yet.
    pub(super) fn is_store_due(&self) -> bool {
        self.unstored_bytes > (self.room_bytes / 4 * 3).min(MOST_UNSTORED)
    }

    /// Committed writes that the store does not have yet, each key once, in key order.
    pub(super) fn unstored_changes(&self) -> impl Iterator<Item = Change<'_>> {
        let key = |id: u32| self.slots[id].key();
        let unstored = self.newer.ids().filter(|id| self.slots[*id].is(Mark::Unstored));
        let mut ids: Vec<_> = unstored.map(|id| (leading(key(id)), id)).collect();
        sort_by_key(&mut ids, key);
        ids.into_iter().filter_map(|(_, id)| self.slots[id].unstored_change())
    }

    /// Whether the store has all that is committed.
    pub(super) fn is_stored(&self) -> bool {
        self.unstored == 0
    }

    /// The store has all of [`Table::unstored_changes`].
    pub(super) fn stored(&mut self) {
        for id in self.newer.ids() {
            let slot = &mut self.slots[id];
            if slot.take(Mark::Unstored) {
                slot.set(Mark::StoreLacks, slot.committed == Committed::Absent);
            }
        }
        self.unstored = 0;
        self.unstored_bytes = 0;
        self.unlist();
    }

    /// Takes off the list what is no newer than the store.
    fn unlist(&mut self) {
        let mut gone = Vec::new();
        let slots = &mut self.slots;
        self.newer.retain(|id| {
            let slot = &mut slots[id];
            let listed = slot.written > 0 || slot.is(Mark::Unstored);
            slot.set(Mark::Listed, listed);
            // Derived entries are found by scans, never by key: no use in keeping them.
            if !listed && (slot.committed == Committed::Unknown || !layout::is_logged(slot.key())) {
                gone.push(id);
            }
            listed
        });
        for id in gone {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u32) {
        let slot = &mut self.slots[id];
        self.held_bytes -= slot.held_bytes();
        slot.clear();
        let hash = slot.hash;
        if let Ok(entry) = self.index.find_entry(spread(hash), |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// Makes room when there is too little: entries that were not used since the last round go (the "clock"). Not those
    /// that the store does not have.
    fn let_go(&mut self) {
        if self.held_bytes <= self.room_bytes && !std::mem::replace(&mut self.crowded, false) {
            return;
        }
        // Some more than needed, so that reads until the next commit find room to be remembered.
        let wanted = self.room_bytes - self.room_bytes / 8;
        if self.listed_for_nothing() > 0 {
            self.unlist();
        }
        // The first round may only find that all were used.
        for _ in 0..2 * self.slots.len() {
            if self.held_bytes <= wanted {
                break;
            }
            self.hand = if self.hand as usize + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let slot = &mut self.slots[self.hand];
            if slot.is(Mark::Live) && !slot.is(Mark::Listed) && !slot.take(Mark::Used) {
                self.remove(self.hand);
            }
        }
    }

    /// Up to `limit` writes that are newer than the store, from `from` to `to` in key order, without the one at `from` if
    /// `after`; a value of `None` is a delete.
    pub(super) fn newer_page(&mut self, from: &[u8], after: bool, to: Option<&[u8]>, limit: usize) -> Vec<Write> {
        self.newer_range(from, after, to).take(limit).collect()
    }

    /// The last write from `from` to `to` that is newer than the store.
    pub(super) fn last_newer(&mut self, from: &[u8], to: Option<&[u8]>) -> Option<Write> {
        self.newer_range(from, false, to).next_back()
    }

    fn newer_range(&mut self, from: &[u8], after: bool, to: Option<&[u8]>) -> impl DoubleEndedIterator<Item = Write> {
        let (slots, written) = (&self.slots, &self.written);
        let found = self.newer.range(from, after, to, |id| Key::from_slice(slots[id].key()));
        found.filter_map(|(key, id)| match newer(slots, written, id)? {
            Change::Put(_, value) => Some((key.clone(), Some(value.into()))),
            Change::Delete(_) => Some((key.clone(), None)),
        })
    }

    /// Whether the store alone says what is there.
    pub(super) fn is_no_newer(&self) -> bool {
        self.newer.len() == 0
    }
}

/// A write taken out: key, and value unless it is a delete.
pub(super) type Write = (Key, Option<Box<[u8]>>);

/// The index looks at high bits, too.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Sorts what stands for entries, with the first bytes of their keys, by key.
fn sort_by_key<'a>(entries: &mut [(u128, u32)], key: impl Fn(u32) -> &'a [u8]) {
    entries.sort_unstable_by(|(a, a_entry), (b, b_entry)| a.cmp(b).then_with(|| key(*a_entry).cmp(key(*b_entry))));
}

/// The first bytes of a key as a number that sorts like them: most comparisons end here.
fn leading(key: &[u8]) -> u128 {
    match key.first_chunk::<16>() {
        Some(bytes) => u128::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 16];
            bytes[..key.len()].copy_from_slice(key);
            u128::from_be_bytes(bytes)
        }
    }
}
