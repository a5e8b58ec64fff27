//! Where a table's entries stand: in blocks that do not move.
//!
//! A table that grows needs no room for a copy of itself, and each entry keeps to its line of the processor's cache.

use std::ops::{Index, IndexMut};

use super::slot::Slot;

/// Entries of a block: 64 KiB.
const BLOCK: usize = 1024;

/// Entries by number, from 0.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// All full but the last.
    blocks: Vec<Vec<Slot>>,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    /// Adds an entry; its number.
    pub(super) fn push(&mut self, slot: Slot) -> u32 {
        let id = u32::try_from(self.len()).expect("memory ends before four thousand million entries");
        match self.blocks.last_mut().filter(|last| last.len() < BLOCK) {
            Some(last) => last.push(slot),
            None => {
                // Most tables of a test or of a small job never fill the first one, which may grow as it goes.
                let room = if self.blocks.is_empty() { 0 } else { BLOCK };
                let mut block = Vec::with_capacity(room);
                block.push(slot);
                self.blocks.push(block);
            }
        }
        id
    }
}

impl Index<u32> for Slots {
    type Output = Slot;

    #[inline]
    fn index(&self, id: u32) -> &Slot {
        &self.blocks[id as usize / BLOCK][id as usize % BLOCK]
    }
}

impl IndexMut<u32> for Slots {
    #[inline]
    fn index_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.blocks[id as usize / BLOCK][id as usize % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::slot::Committed;

    #[test]
    fn numbers_go_on_from_block_to_block() {
        let mut slots = Slots::default();
        for number in 0..2 * BLOCK as u32 + 1 {
            assert_eq!(slots.len(), number as usize);
            assert_eq!(slots.push(Slot::new(number, &number.to_be_bytes(), Committed::Absent)), number);
        }
        slots[BLOCK as u32].set_value(b"changed");
        for number in [0, BLOCK as u32 - 1, BLOCK as u32, 2 * BLOCK as u32] {
            assert_eq!((slots[number].hash, slots[number].key()), (number, &number.to_be_bytes()[..]));
            assert_eq!(std::ptr::from_ref(&slots[number]) as usize % 64, 0, "in a line of its own");
        }
        assert_eq!(slots[BLOCK as u32].value(), b"changed");
    }
}
