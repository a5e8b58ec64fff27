//! One entry of a task's table: what is committed of it, what is pending, and how much of that its store has been told.

use smallvec::SmallVec;

use super::Change;

/// A key; those of most jobs need no allocation.
pub(super) type Key = SmallVec<[u8; 32]>;
/// A value, likewise.
pub(super) type Value = SmallVec<[u8; 16]>;

/// What an entry costs, beside key and value where they are too long for it.
pub(super) const SLOT_BYTES: usize = std::mem::size_of::<Slot>() + 8;

/// What is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Nobody asked the store.
    Unknown,
    Absent,
    /// `Slot::value`.
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

/// An entry. There are many: what only few have at a time, a pending write, is elsewhere.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Key,
    /// Empty unless it is [`Committed::Present`].
    pub(super) value: Value,
    pub(super) hash: u32,
    /// Its place in `Table::written`, plus 1; 0: not written since the last commit.
    pub(super) written: u32,
    pub(super) committed: Committed,
    /// The store does not have what is committed yet.
    pub(super) unstored: bool,
    /// The store is known to have no such entry.
    pub(super) store_lacks: bool,
    /// It is in `Table::newer`.
    pub(super) listed: bool,
    /// It was used since the last time somebody looked for entries to let go.
    pub(super) used: bool,
    /// `false`: free to take.
    pub(super) live: bool,
}

impl Slot {
    /// `None`: ask the store.
    #[inline]
    pub(super) fn committed(&self) -> Option<Option<&[u8]>> {
        match self.committed {
            Committed::Present => Some(Some(&self.value)),
            Committed::Absent => Some(None),
            Committed::Unknown => None,
        }
    }

    /// What the store is to learn.
    #[inline]
    pub(super) fn unstored_change(&self) -> Option<Change<'_>> {
        match self.committed {
            Committed::Present if self.unstored => Some(Change::Put(&self.key, &self.value)),
            Committed::Absent if self.unstored => Some(Change::Delete(&self.key)),
            _ => None,
        }
    }

    /// Bytes it holds in memory whether or not a write is pending.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let spilled = |of: usize, is: bool| if is { of } else { 0 };
        SLOT_BYTES + spilled(self.value.len(), self.value.spilled()) + spilled(self.key.len(), self.key.spilled())
    }

    /// Bytes of what the store does not have yet.
    #[inline]
    pub(super) fn unstored_bytes(&self) -> usize {
        if self.unstored { self.held_bytes() } else { 0 }
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
    pub(super) fn change<'a>(&'a self, slots: &'a [Slot]) -> Option<Change<'a>> {
        let key = &slots[self.id as usize].key;
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
pub(super) fn newer<'a>(slots: &'a [Slot], written: &'a [Written], id: u32) -> Option<Change<'a>> {
    let slot = &slots[id as usize];
    let pending = slot.written.checked_sub(1).and_then(|place| written[place as usize].change(slots));
    pending.or_else(|| slot.unstored_change())
}
