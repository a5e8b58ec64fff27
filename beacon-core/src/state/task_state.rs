//! The state of one task: committed store below, pending overlay above.

use super::overlay::{Change, Overlay};
use super::{Entry, StateError, Store, layout};

/// Keys with their values, in key order.
pub type Entries = Vec<Entry>;

/// Reads merge pending writes over committed ones; writes stay pending until [`TaskState::apply`].
pub struct TaskState {
    store: Box<dyn Store>,
    overlay: Overlay,
}

impl TaskState {
    /// State over a store of committed bytes.
    pub fn new(store: Box<dyn Store>) -> Self {
        Self { store, overlay: Overlay::default() }
    }

    /// The value at `key`, pending writes included.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.overlay.get(key) {
            Some(pending) => Ok(pending.clone()),
            None => self.store.get(key),
        }
    }

    /// Sets the value at `key`.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.overlay.set(key, Some(value));
    }

    /// Removes the value at `key`.
    pub fn delete(&mut self, key: &[u8]) {
        self.overlay.set(key, None);
    }

    /// Visits entries from `from` (inclusive) to `to` (exclusive) in key order, pending writes included, until the
    /// visitor answers `false`.
    pub fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut pending = self.overlay.range(from, to).peekable();
        let mut go_on = true;
        self.store.scan(from, to, &mut |key, value| {
            while let Some((pending_key, pending_value)) =
                pending.next_if(|(pending_key, _)| pending_key.as_slice() < key)
            {
                if let Some(pending_value) = pending_value {
                    go_on = visitor(pending_key, pending_value);
                    if !go_on {
                        return false;
                    }
                }
            }
            go_on = match pending.next_if(|(pending_key, _)| pending_key.as_slice() == key) {
                Some((_, Some(pending_value))) => visitor(key, pending_value),
                Some((_, None)) => true,
                None => visitor(key, value),
            };
            go_on
        })?;
        if go_on {
            for (key, value) in pending {
                if let Some(value) = value
                    && !visitor(key, value)
                {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The last entry from `from` (inclusive) to `to` (exclusive), pending writes included.
    pub fn last(&self, from: &[u8], to: Option<&[u8]>) -> Result<Option<Entry>, StateError> {
        let mut to = to.map(<[u8]>::to_vec);
        loop {
            let committed = self.store.last(from, to.as_deref())?;
            let pending = self.overlay.range(from, to.as_deref()).next_back();
            match (committed, pending) {
                (committed, None) => return Ok(committed),
                (Some(committed), Some((key, _))) if committed.0 > *key => return Ok(Some(committed)),
                (_, Some((key, Some(value)))) => return Ok(Some((key.clone(), value.clone()))),
                // A pending delete: it may stand for a committed entry, which is then no more.
                (_, Some((key, None))) => to = Some(key.clone()),
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

    /// What is committed.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The writes of the current step become part of the next commit.
    pub fn keep_step(&mut self) {
        self.overlay.keep_step();
    }

    /// Takes back the writes of the current step.
    pub fn undo_step(&mut self) {
        self.overlay.undo_step();
    }

    /// Whether anything is pending.
    pub fn is_dirty(&self) -> bool {
        !self.overlay.is_empty()
    }

    /// Bytes of pending keys and values.
    pub fn pending_bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Pending writes that belong into the changelog, each key once, in key order.
    pub fn logged_changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.overlay.changes().filter(|change| {
            let (Change::Put(key, _) | Change::Delete(key)) = change;
            layout::is_logged(key)
        })
    }

    /// Makes pending writes committed, as one write.
    ///
    /// # Errors
    /// The store's; pending writes then stay pending. They are safe in the log: drop the task and restore it.
    pub fn apply(&mut self) -> Result<(), StateError> {
        if self.is_dirty() {
            self.store.write(&mut self.overlay.changes())?;
            self.overlay.clear();
        }
        Ok(())
    }

    /// Forgets pending writes.
    pub fn drop_pending(&mut self) {
        self.overlay.clear();
    }

    /// Makes committed state survive a crash of the machine.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.store.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::state::MemoryStore;

    #[derive(Clone, Debug)]
    enum Action {
        Put(u8, u8),
        Delete(u8),
        Keep,
        Undo,
        Apply,
        Drop,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            4 => (0u8..8, any::<u8>()).prop_map(|(key, value)| Action::Put(key, value)),
            2 => (0u8..8).prop_map(Action::Delete),
            1 => Just(Action::Keep),
            1 => Just(Action::Undo),
            1 => Just(Action::Apply),
            1 => Just(Action::Drop),
        ]
    }

    proptest! {
        /// Three plain maps say what committed, kept and stepping state must look like.
        #[test]
        fn the_overlay_behaves_like_a_map(actions in proptest::collection::vec(action(), 0..60)) {
            let mut state = TaskState::new(Box::new(MemoryStore::default()));
            let mut committed = BTreeMap::new();
            let mut kept = BTreeMap::new();
            let mut now = BTreeMap::new();
            for action in actions {
                match action {
                    Action::Put(key, value) => { state.put(&[key], vec![value]); now.insert(vec![key], vec![value]); }
                    Action::Delete(key) => { state.delete(&[key]); now.remove(&vec![key]); }
                    Action::Keep => { state.keep_step(); kept = now.clone(); }
                    Action::Undo => { state.undo_step(); now = kept.clone(); }
                    Action::Apply => {
                        state.keep_step();
                        state.apply().expect("memory");
                        committed = now.clone();
                        kept = now.clone();
                    }
                    Action::Drop => { state.drop_pending(); now = committed.clone(); kept = committed.clone(); }
                }
                let seen: BTreeMap<_, _> = state.entries(&[]).expect("memory").into_iter().collect();
                prop_assert_eq!(&seen, &now);
                for key in 0..8u8 {
                    prop_assert_eq!(state.get(&[key]).expect("memory"), now.get(&vec![key]).cloned());
                }
            }
        }
    }
}
