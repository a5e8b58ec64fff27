//! What a task has at hand of its state: pending writes, and the committed entries it read or wrote lately.
//!
//! One hash table holds both, so that a read costs one look and a commit moves nothing. Pending writes are ordered by key
//! only when somebody asks for the order: a commit does once, a scan for what it did not see before.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::rc::Rc;

use foldhash::fast::FixedState;

use super::{Change, layout};

/// What an entry costs beside the bytes of its key and its committed value.
const SLOT_BYTES: usize = 128;

/// What the store says of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Committed {
    /// Nobody asked.
    Unknown,
    Absent,
    Present(Box<[u8]>),
}

/// What the next commit will say of it.
#[derive(Debug, PartialEq, Eq)]
enum Pending {
    /// Nothing new.
    Nothing,
    Delete,
    Put(Box<[u8]>),
}

#[derive(Debug)]
struct Slot {
    key: Rc<[u8]>,
    committed: Committed,
    pending: Pending,
    /// It is in `Table::written`.
    written: bool,
    /// It was used since the last time somebody looked for entries to let go.
    used: bool,
    /// `false`: free to take.
    live: bool,
}

impl Slot {
    /// `None`: ask the store.
    fn current(&self) -> Option<Option<&[u8]>> {
        match (&self.pending, &self.committed) {
            (Pending::Put(value), _) | (Pending::Nothing, Committed::Present(value)) => Some(Some(value)),
            (Pending::Delete, _) | (Pending::Nothing, Committed::Absent) => Some(None),
            (Pending::Nothing, Committed::Unknown) => None,
        }
    }

    fn change(&self) -> Option<Change<'_>> {
        match &self.pending {
            Pending::Nothing => None,
            Pending::Delete => Some(Change::Delete(&self.key)),
            Pending::Put(value) => Some(Change::Put(&self.key, value)),
        }
    }

    /// Bytes of the pending write.
    fn pending_bytes(&self) -> usize {
        match &self.pending {
            Pending::Nothing => 0,
            Pending::Delete => self.key.len(),
            Pending::Put(value) => self.key.len() + value.len(),
        }
    }

    /// Bytes it holds in memory whether or not a write is pending.
    fn held_bytes(&self) -> usize {
        let value = if let Committed::Present(value) = &self.committed { value.len() } else { 0 };
        SLOT_BYTES + self.key.len() + value
    }
}

/// Pending writes with undo of the current step, over a bounded cache of committed entries.
///
/// After [`Table::discard`] and [`Table::settle`] nothing is pending. What is cached agrees with the store as long as
/// all its writes come through [`Table::changes`] and [`Table::settle`].
#[derive(Debug)]
pub(super) struct Table {
    index: HashMap<Rc<[u8]>, u32, FixedState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots written since the last commit, each once. Some of the writes may have been taken back.
    written: Vec<u32>,
    /// `written` in key order, as far as somebody asked: the first bytes of each key, and its slot.
    in_order: Vec<(u128, u32)>,
    /// Those of `written` that are not in `ordered` yet.
    unordered: Vec<u32>,
    ordered: BTreeMap<Rc<[u8]>, u32>,
    /// What the writes of the current step replaced, oldest first.
    undo: Vec<(u32, Pending)>,
    pending: usize,
    pending_bytes: usize,
    held_bytes: usize,
    cache_bytes: usize,
    /// An entry was not remembered for want of room.
    crowded: bool,
    /// Where to look next for entries to let go.
    hand: usize,
}

impl Table {
    /// A table that keeps about `cache_bytes` of committed entries.
    pub(super) fn new(cache_bytes: usize) -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            written: Vec::new(),
            in_order: Vec::new(),
            unordered: Vec::new(),
            ordered: BTreeMap::new(),
            undo: Vec::new(),
            pending: 0,
            pending_bytes: 0,
            held_bytes: 0,
            cache_bytes,
            crowded: false,
            hand: 0,
        }
    }

    /// What the entry is now, if that is known here.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<&[u8]>> {
        let slot = &mut self.slots[*self.index.get(key)? as usize];
        slot.used = true;
        slot.current()
    }

    /// Remembers what the store said of an entry that was not known, if there is room.
    pub(super) fn learn(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        let known = self.index.get(key).copied();
        let bytes = value.as_ref().map_or(0, Vec::len) + if known.is_some() { 0 } else { SLOT_BYTES + key.len() };
        if self.held_bytes + bytes > self.cache_bytes {
            // Room is made at the end of the commit. One giant is no reason to send everybody else away.
            self.crowded |= bytes <= self.cache_bytes / 8;
            return;
        }
        let id = known.unwrap_or_else(|| self.insert(key, Committed::Unknown));
        let slot = &mut self.slots[id as usize];
        self.held_bytes -= slot.held_bytes();
        slot.committed = value.map_or(Committed::Absent, |value| Committed::Present(value.into()));
        self.held_bytes += slot.held_bytes();
    }

    pub(super) fn put(&mut self, key: &[u8], value: Box<[u8]>) {
        let id = self.slot(key, || Committed::Unknown);
        self.write(id, Pending::Put(value));
    }

    /// As [`Table::put`], of an entry that the caller knows not to be in the store unless this table knows better.
    pub(super) fn put_new(&mut self, key: &[u8], value: Box<[u8]>) {
        let id = self.slot(key, || Committed::Absent);
        self.write(id, Pending::Put(value));
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        let id = self.slot(key, || Committed::Unknown);
        self.write(id, Pending::Delete);
    }

    fn slot(&mut self, key: &[u8], committed: impl FnOnce() -> Committed) -> u32 {
        match self.index.get(key) {
            Some(id) => *id,
            None => self.insert(key, committed()),
        }
    }

    fn insert(&mut self, key: &[u8], committed: Committed) -> u32 {
        let key: Rc<[u8]> = key.into();
        let slot = Slot {
            key: Rc::clone(&key),
            committed,
            pending: Pending::Nothing,
            written: false,
            used: false,
            live: true,
        };
        self.held_bytes += slot.held_bytes();
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("memory ends before four thousand million entries")
            }
        };
        self.index.insert(key, id);
        id
    }

    fn write(&mut self, id: u32, pending: Pending) {
        let slot = &mut self.slots[id as usize];
        slot.used = true;
        // What changes nothing need not be written: a timer set and cancelled between two commits leaves no trace.
        let pending = match (pending, &slot.committed) {
            (Pending::Delete, Committed::Absent) => Pending::Nothing,
            (Pending::Put(value), Committed::Present(before)) if value == *before => Pending::Nothing,
            (pending, _) => pending,
        };
        if pending == Pending::Nothing && slot.pending == Pending::Nothing {
            return;
        }
        if !slot.written {
            slot.written = true;
            self.written.push(id);
            self.unordered.push(id);
        }
        let before = self.replace(id, pending);
        self.undo.push((id, before));
    }

    fn replace(&mut self, id: u32, pending: Pending) -> Pending {
        let slot = &mut self.slots[id as usize];
        self.pending_bytes -= slot.pending_bytes();
        self.pending -= usize::from(slot.pending != Pending::Nothing);
        let before = std::mem::replace(&mut slot.pending, pending);
        self.pending_bytes += slot.pending_bytes();
        self.pending += usize::from(slot.pending != Pending::Nothing);
        before
    }

    /// The writes since the last call become part of the next commit.
    pub(super) fn keep_step(&mut self) {
        self.undo.clear();
    }

    /// Takes the writes since the last `keep_step` back.
    pub(super) fn undo_step(&mut self) {
        while let Some((id, before)) = self.undo.pop() {
            self.replace(id, before);
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
        let new = &self.written[self.in_order.len()..];
        if !new.is_empty() {
            self.in_order.extend(new.iter().map(|id| (leading(&self.slots[*id as usize].key), *id)));
            // A commit asks twice, for the log and for the store: a sort that takes what is in order as it is.
            self.in_order.sort_by(|(a, a_id), (b, b_id)| {
                a.cmp(b).then_with(|| self.slots[*a_id as usize].key.cmp(&self.slots[*b_id as usize].key))
            });
        }
        self.in_order.iter().filter_map(|(_, id)| self.slots[*id as usize].change())
    }

    /// Pending writes became committed.
    pub(super) fn settle(&mut self) {
        self.end_commit(|slot| match std::mem::replace(&mut slot.pending, Pending::Nothing) {
            Pending::Nothing => {}
            Pending::Delete => slot.committed = Committed::Absent,
            Pending::Put(value) => slot.committed = Committed::Present(value),
        });
    }

    /// Pending writes are forgotten.
    pub(super) fn discard(&mut self) {
        self.end_commit(|slot| slot.pending = Pending::Nothing);
    }

    fn end_commit(&mut self, end: impl Fn(&mut Slot)) {
        for id in std::mem::take(&mut self.written) {
            let slot = &mut self.slots[id as usize];
            self.held_bytes -= slot.held_bytes();
            end(slot);
            slot.written = false;
            self.held_bytes += slot.held_bytes();
            // Derived entries are found by scans, never by key: no use in keeping them.
            if slot.committed == Committed::Unknown || !layout::is_logged(&slot.key) {
                self.remove(id);
            }
        }
        self.in_order.clear();
        self.unordered.clear();
        self.ordered.clear();
        self.undo.clear();
        self.pending = 0;
        self.pending_bytes = 0;
        self.let_go();
    }

    fn remove(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        self.held_bytes -= slot.held_bytes();
        slot.live = false;
        slot.committed = Committed::Unknown;
        let key = std::mem::replace(&mut slot.key, Rc::from([]));
        self.index.remove(&key);
        self.free.push(id);
    }

    /// Makes room when there is too little: entries that were not used since the last round go (the "clock").
    fn let_go(&mut self) {
        if self.held_bytes <= self.cache_bytes && !std::mem::replace(&mut self.crowded, false) {
            return;
        }
        // Some more than needed, so that reads until the next commit find room to be remembered.
        let wanted = self.cache_bytes - self.cache_bytes / 8;
        while self.held_bytes > wanted {
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let slot = &mut self.slots[self.hand];
            if slot.live && !std::mem::replace(&mut slot.used, false) {
                self.remove(self.hand as u32);
            }
        }
    }

    /// Up to `limit` pending writes from `from` to `to` in key order, without the one at `from` if `after`; a value of
    /// `None` is a delete.
    pub(super) fn pending_page(&mut self, from: &[u8], after: bool, to: Option<&[u8]>, limit: usize) -> Vec<Write> {
        self.pending_range(from, after, to).take(limit).collect()
    }

    /// The last pending write from `from` to `to`.
    pub(super) fn last_pending(&mut self, from: &[u8], to: Option<&[u8]>) -> Option<Write> {
        self.pending_range(from, false, to).next_back()
    }

    fn pending_range(&mut self, from: &[u8], after: bool, to: Option<&[u8]>) -> impl DoubleEndedIterator<Item = Write> {
        for id in self.unordered.drain(..) {
            self.ordered.insert(Rc::clone(&self.slots[id as usize].key), id);
        }
        let empty = to.is_some_and(|to| to <= from);
        let from = if after { Bound::Excluded(from) } else { Bound::Included(from) };
        let range = (!empty)
            .then(|| self.ordered.range::<[u8], _>((from, to.map_or(Bound::Unbounded, Bound::Excluded))))
            .into_iter()
            .flatten();
        range.filter_map(|(key, id)| match &self.slots[*id as usize].pending {
            Pending::Nothing => None,
            Pending::Delete => Some((Rc::clone(key), None)),
            Pending::Put(value) => Some((Rc::clone(key), Some(value.clone()))),
        })
    }
}

/// A pending write taken out: key, and value unless it is a delete.
pub(super) type Write = (Rc<[u8]>, Option<Box<[u8]>>);

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
