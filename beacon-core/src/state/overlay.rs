//! Pending writes of the steps since the last commit, with undo of a single step.

use std::collections::BTreeMap;
use std::ops::Bound;

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Key, value.
    Put(&'a [u8], &'a [u8]),
    /// Key.
    Delete(&'a [u8]),
}

type Pending = Option<Vec<u8>>;

/// An ordered map of pending writes; `None` as value is a pending delete.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    writes: BTreeMap<Vec<u8>, Pending>,
    bytes: usize,
    /// What the writes of the current step replaced, oldest first. The outer `None`: there was no pending write.
    undo: Vec<(Vec<u8>, Option<Pending>)>,
}

impl Overlay {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Pending> {
        self.writes.get(key)
    }

    pub(super) fn set(&mut self, key: &[u8], value: Pending) {
        let added = value.as_ref().map_or(0, Vec::len);
        if let Some(slot) = self.writes.get_mut(key) {
            self.bytes = self.bytes + added - slot.as_ref().map_or(0, Vec::len);
            let replaced = std::mem::replace(slot, value);
            self.undo.push((key.to_vec(), Some(replaced)));
        } else {
            self.bytes += key.len() + added;
            self.writes.insert(key.to_vec(), value);
            self.undo.push((key.to_vec(), None));
        }
    }

    /// The writes since the last call become part of the next commit.
    pub(super) fn keep_step(&mut self) {
        self.undo.clear();
    }

    /// Takes the writes since the last `keep_step` back.
    pub(super) fn undo_step(&mut self) {
        while let Some((key, replaced)) = self.undo.pop() {
            let current = match replaced {
                Some(previous) => {
                    self.bytes += previous.as_ref().map_or(0, Vec::len);
                    self.writes.insert(key, previous)
                }
                None => {
                    self.bytes -= key.len();
                    self.writes.remove(&key)
                }
            };
            self.bytes -= current.flatten().map_or(0, |value| value.len());
        }
    }

    pub(super) fn range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Pending)> {
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        let empty = to.is_some_and(|to| to <= from);
        (!empty).then(|| self.writes.range::<[u8], _>((Bound::Included(from), end))).into_iter().flatten()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.writes.iter().map(|(key, value)| match value {
            Some(value) => Change::Put(key, value),
            None => Change::Delete(key),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Bytes of keys and values pending.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.undo.clear();
        self.bytes = 0;
    }
}
