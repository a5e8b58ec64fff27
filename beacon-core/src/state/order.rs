//! The entries of a table that are newer than the store, in key order as far as somebody asked.
//!
//! A scan merges them over the store and so needs their order; most entries are written, read and written again without
//! any scan. So an entry is put in order when a scan comes by that could meet it, and not before. Scans stay within one
//! space of keys nearly always (timers by deadline, entries of one key): the others' entries stay as they are.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::slot::Key;

/// Slots of a table by key.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Not in order yet, by the first byte of their keys.
    fresh: BTreeMap<u8, Vec<u32>>,
    sorted: BTreeMap<Key, u32>,
    count: usize,
}

impl Order {
    /// Adds a slot that is not in here.
    pub(super) fn add(&mut self, key: &[u8], id: u32) {
        self.fresh.entry(space(key)).or_default().push(id);
        self.count += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// All slots, in no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.fresh.values().flatten().chain(self.sorted.values()).copied()
    }

    /// Lets go of the slots that `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for ids in self.fresh.values_mut() {
            ids.retain(|id| keep(*id));
        }
        self.sorted.retain(|_, id| keep(*id));
        self.count = self.fresh.values().map(Vec::len).sum::<usize>() + self.sorted.len();
    }

    /// The slots from `from`, or behind it if `after`, to `to` (exclusive), in key order. `key` tells a slot's key.
    pub(super) fn range(
        &mut self,
        from: &[u8],
        after: bool,
        to: Option<&[u8]>,
        mut key: impl FnMut(u32) -> Key,
    ) -> impl DoubleEndedIterator<Item = (&Key, u32)> {
        let empty = to.is_some_and(|to| to <= from);
        if !empty {
            let spaces = (Bound::Included(space(from)), to.map_or(Bound::Unbounded, |to| Bound::Included(space(to))));
            for (_, ids) in self.fresh.range_mut(spaces) {
                self.sorted.extend(ids.drain(..).map(|id| (key(id), id)));
            }
        }
        let from = if after { Bound::Excluded(from) } else { Bound::Included(from) };
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        (!empty).then(|| self.sorted.range::<[u8], _>((from, to))).into_iter().flatten().map(|(key, id)| (key, *id))
    }
}

fn space(key: &[u8]) -> u8 {
    key.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&[u8]; 4] = [b"\x10b", b"\x10a", b"\xf1z", b"\xf1y"];

    fn filled() -> Order {
        let mut order = Order::default();
        for (id, key) in KEYS.iter().enumerate() {
            order.add(key, id as u32);
        }
        order
    }

    fn of(id: u32) -> Key {
        Key::from_slice(KEYS[id as usize])
    }

    #[test]
    fn a_range_is_in_order_and_leaves_other_spaces_alone() {
        let mut order = filled();
        let found: Vec<u32> = order.range(b"\xf1", false, None, of).map(|(_, id)| id).collect();
        assert_eq!(found, [3, 2]);
        assert_eq!(order.fresh[&0x10], [0, 1], "nobody asked for their order");
        let all: Vec<u32> = order.range(b"", false, None, of).map(|(_, id)| id).collect();
        assert_eq!(all, [1, 0, 3, 2]);
        let behind: Vec<u32> = order.range(b"\x10a", true, Some(b"\xf1z"), of).map(|(_, id)| id).collect();
        assert_eq!(behind, [0, 3]);
        assert_eq!(order.range(b"\xf1", false, Some(b"\x10"), of).count(), 0);
    }

    #[test]
    fn what_is_let_go_is_in_no_range() {
        let mut order = filled();
        order.range(b"\xf1", false, None, of).for_each(drop);
        order.retain(|id| id == 1 || id == 2);
        assert_eq!((order.len(), order.ids().collect::<Vec<_>>()), (2, vec![1, 2]));
        order.add(KEYS[0], 0);
        let all: Vec<u32> = order.range(b"", false, None, of).map(|(_, id)| id).collect();
        assert_eq!(all, [1, 0, 2]);
    }
}
