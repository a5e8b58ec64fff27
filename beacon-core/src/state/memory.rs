//! A store in memory: for tests, and for jobs whose state may be read back from the changelog at each start.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Change, Entry, StateError, Store};

/// An ordered map in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.entries.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.entries.range::<[u8], _>((Bound::Included(from), end)) {
            if !visitor(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, from: &[u8], to: Option<&[u8]>) -> Result<Option<Entry>, StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(None);
        }
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        let last = self.entries.range::<[u8], _>((Bound::Included(from), end)).next_back();
        Ok(last.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn write(&mut self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StateError> {
        for change in changes {
            match change {
                Change::Put(key, value) => drop(self.entries.insert(key.to_vec(), value.to_vec())),
                Change::Delete(key) => drop(self.entries.remove(key)),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }
}
