//! An ordered map per key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::layout::{self, KEYED};
use super::registry::{decode, read_entries};
use super::{KeyedScope, StateError};
use crate::codec::{Codec, OrderedCodec};

/// An ordered map per key.
#[derive(Clone, Debug)]
pub struct MapState<K, V> {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) marker: PhantomData<fn() -> (K, V)>,
}

impl<K: OrderedCodec, V: Codec> MapState<K, V> {
    fn prefix(&self, scope: &impl KeyedScope) -> Vec<u8> {
        let (group, key) = scope.key_at();
        let mut bytes = Vec::with_capacity(key.len() + 32);
        layout::keyed_prefix(&mut bytes, KEYED, self.id, group, key);
        bytes
    }

    fn entry(&self, scope: &impl KeyedScope, key: &K) -> Vec<u8> {
        let mut bytes = self.prefix(scope);
        key.encode(&mut bytes);
        bytes
    }

    /// The entry at `key`.
    ///
    /// # Errors
    /// When the store fails or its bytes are not a `V`.
    pub fn get(&self, scope: &impl KeyedScope, key: &K) -> Result<Option<V>, StateError> {
        scope.state().get(&self.entry(scope, key))?.map(|bytes| decode(&self.name, &bytes)).transpose()
    }

    /// Sets the entry at `key`.
    pub fn insert(&self, scope: &mut impl KeyedScope, key: &K, value: &V) {
        let entry = self.entry(scope, key);
        scope.state_mut().put(&entry, value.to_bytes());
    }

    /// Removes the entry at `key`.
    pub fn remove(&self, scope: &mut impl KeyedScope, key: &K) {
        let entry = self.entry(scope, key);
        scope.state_mut().delete(&entry);
    }

    /// All entries of the current key, in the order of their keys.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `K` and `V`.
    pub fn entries(&self, scope: &impl KeyedScope) -> Result<Vec<(K, V)>, StateError> {
        read_entries(&self.name, scope.state(), &self.prefix(scope))
    }

    /// Removes all entries of the current key.
    ///
    /// # Errors
    /// When the store fails.
    pub fn clear(&self, scope: &mut impl KeyedScope) -> Result<(), StateError> {
        let prefix = self.prefix(scope);
        for (key, _) in scope.state().entries(&prefix)? {
            let entry = [prefix.as_slice(), &key].concat();
            scope.state_mut().delete(&entry);
        }
        Ok(())
    }
}
