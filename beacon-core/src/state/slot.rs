//! One entry of a task's table: what is committed of it, what is pending, and how much of that its store has been told.

use smallvec::SmallVec;

use super::Change;
use super::slots::Slots;

/// A key on its own; those of most jobs need no allocation.
pub(super) type Key = SmallVec<[u8; 32]>;
/// A value that is pending, likewise.
pub(super) type Value = SmallVec<[u8; 16]>;

/// What an entry costs, beside key and value where they are too long for it.
pub(super) const SLOT_BYTES: usize = size_of::<Slot>() + 8;

/// What is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Nobody asked the store.
    Unknown,
    Absent,
    /// [`Slot::value`].
    Present,
}

/// What the next commit will say of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Nothing new.
    Nothing,
    Delete,
    Put(Value),
}

/// Something that an entry is or is not: a bit of [`Slot`], which has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// The store does not have what is committed yet.
    Unstored = 1,
    /// The store is known to have no such entry.
    StoreLacks = 2,
    /// It is in `Table::newer`.
    Listed = 4,
    /// It was used since the last time somebody looked for entries to let go.
    Used = 8,
    /// It is there; what is not is free to take.
    Live = 16,
}

/// An entry. There are many: what only few have at a time, a pending write, is elsewhere. One is one line of the
/// processor's cache, because most of what a look costs is waiting for memory.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    /// The key, and behind it the value, which is empty unless it is [`Committed::Present`].
    bytes: SmallVec<[u8; 36]>,
    key_length: u32,
    pub(super) hash: u32,
    /// Its place in `Table::written`, plus 1; 0: not written since the last commit.
    pub(super) written: u32,
    pub(super) committed: Committed,
    marks: u8,
}

const _: () = assert!(size_of::<Slot>() == 64, "an entry is one line of the cache");

impl Slot {
    /// An entry without a value.
    pub(super) fn new(hash: u32, key: &[u8], committed: Committed) -> Self {
        let key_length = u32::try_from(key.len()).expect("a key of four thousand million bytes fits into no log");
        Self { bytes: SmallVec::from_slice(key), key_length, hash, written: 0, committed, marks: Mark::Live as u8 }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_length as usize]
    }

    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[self.key_length as usize..]
    }

    pub(super) fn set_value(&mut self, value: &[u8]) {
        self.bytes.truncate(self.key_length as usize);
        self.bytes.reserve_exact(value.len());
        self.bytes.extend_from_slice(value);
        // What a longer value needed is not kept for ever.
        if self.bytes.spilled() && self.bytes.capacity() > 2 * self.bytes.len() {
            self.bytes.shrink_to_fit();
        }
    }

    #[inline]
    pub(super) fn is(&self, mark: Mark) -> bool {
        self.marks & mark as u8 != 0
    }

    #[inline]
    pub(super) fn set(&mut self, mark: Mark, is: bool) {
        if is { self.marks |= mark as u8 } else { self.marks &= !(mark as u8) }
    }

    /// Takes a mark off; whether it was there.
    #[inline]
    pub(super) fn take(&mut self, mark: Mark) -> bool {
        let was = self.is(mark);
        self.set(mark, false);
        was
    }

    /// Nothing is left of it.
    pub(super) fn clear(&mut self) {
        self.bytes = SmallVec::new();
        self.key_length = 0;
        self.committed = Committed::Unknown;
        self.set(Mark::Live, false);
    }

    /// `None`: ask the store.
    #[inline]
    pub(super) fn committed(&self) -> Option<Option<&[u8]>> {
        match self.committed {
            Committed::Present => Some(Some(self.value())),
            Committed::Absent => Some(None),
            Committed::Unknown => None,
        }
    }

    /// What the store is to learn.
    #[inline]
    pub(super) fn unstored_change(&self) -> Option<Change<'_>> {
        match self.committed {
            Committed::Present if self.is(Mark::Unstored) => Some(Change::Put(self.key(), self.value())),
            Committed::Absent if self.is(Mark::Unstored) => Some(Change::Delete(self.key())),
            _ => None,
        }
    }

    /// Bytes it holds in memory whether or not a write is pending.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        SLOT_BYTES + if self.bytes.spilled() { self.bytes.capacity() } else { 0 }
    }

    /// Bytes of what the store does not have yet.
    #[inline]
    pub(super) fn unstored_bytes(&self) -> usize {
        if self.is(Mark::Unstored) { self.held_bytes() } else { 0 }
    }
}

/// A slot that was written since the last commit. The write may have been taken back.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) id: u32,
    pub(super) pending: Pending,
}

impl Written {
    /// What the next commit changes.
    #[inline]
    pub(super) fn change<'a>(&'a self, slots: &'a Slots) -> Option<Change<'a>> {
        let key = slots[self.id].key();
        match &self.pending {
            Pending::Nothing => None,
            Pending::Delete => Some(Change::Delete(key)),
            Pending::Put(value) => Some(Change::Put(key, value)),
        }
    }
}

/// What is pending of a slot.
#[inline]
pub(super) fn pending<'a>(written: &'a [Written], slot: &Slot) -> &'a Pending {
    slot.written.checked_sub(1).map_or(&Pending::Nothing, |place| &written[place as usize].pending)
}

/// What a slot has that is newer than the store.
#[inline]
pub(super) fn newer<'a>(slots: &'a Slots, written: &'a [Written], id: u32) -> Option<Change<'a>> {
    let slot = &slots[id];
    let pending = slot.written.checked_sub(1).and_then(|place| written[place as usize].change(slots));
    pending.or_else(|| slot.unstored_change())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_grow_out_of_its_entry_and_come_back() {
        let mut slot = Slot::new(7, b"key", Committed::Absent);
        assert_eq!((slot.key(), slot.value(), slot.held_bytes()), (&b"key"[..], &b""[..], SLOT_BYTES));
        let long = [9; 5000];
        slot.set_value(&long);
        assert_eq!((slot.key(), slot.value()), (&b"key"[..], &long[..]));
        assert_eq!(slot.held_bytes(), SLOT_BYTES + 5003);
        slot.set_value(b"short");
        assert_eq!((slot.key(), slot.value(), slot.held_bytes()), (&b"key"[..], &b"short"[..], SLOT_BYTES));
        slot.set_value(&long[..4000]);
        slot.set_value(&long[..3000]);
        assert_eq!((slot.value(), slot.held_bytes()), (&long[..3000], SLOT_BYTES + 4003), "it is not worth moving");
    }

    #[test]
    fn marks_do_not_touch_each_other() {
        let mut slot = Slot::new(0, b"", Committed::Unknown);
        assert!(slot.is(Mark::Live));
        for mark in [Mark::Unstored, Mark::StoreLacks, Mark::Listed, Mark::Used] {
            assert!(!slot.is(mark));
            slot.set(mark, true);
            assert!(slot.is(mark) && slot.is(Mark::Live));
            assert!(slot.take(mark) && !slot.take(mark));
        }
        slot.clear();
        assert!(!slot.is(Mark::Live));
    }
}
