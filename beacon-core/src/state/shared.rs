//! State of the whole task: written by broadcast records, read at every key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::layout;
use super::registry::{decode, read_entries};
use super::{SharedScope, SharedScopeMut, StateError};
use crate::codec::{Codec, OrderedCodec};

/// One value for the whole task: what a broadcast brought, readable at every key.
#[derive(Clone, Debug)]
pub struct SharedValue<V> {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) marker: PhantomData<fn() -> V>,
}

impl<V: Codec> SharedValue<V> {
    fn key(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(5);
        layout::shared_prefix(&mut bytes, self.id);
        bytes
    }

    /// The value.
    ///
    /// # Errors
    /// When the store fails or its bytes are not a `V`.
    pub fn get(&self, scope: &impl SharedScope) -> Result<Option<V>, StateError> {
        scope.shared_state().get(&self.key())?.map(|bytes| decode(&self.name, &bytes)).transpose()
    }

    /// Sets the value.
    pub fn set(&self, scope: &mut impl SharedScopeMut, value: &V) {
        scope.shared_state_mut().put_encoded(&self.key(), value);
    }
}

/// An ordered map for the whole task.
#[derive(Clone, Debug)]
pub struct SharedMap<K, V> {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) marker: PhantomData<fn() -> (K, V)>,
}

impl<K: OrderedCodec, V: Codec> SharedMap<K, V> {
    fn entry(&self, key: Option<&K>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        layout::shared_prefix(&mut bytes, self.id);
        if let Some(key) = key {
            key.encode(&mut bytes);
        }
        bytes
    }

    /// The entry at `key`.
    ///
    /// # Errors
    /// When the store fails or its bytes are not a `V`.
    pub fn get(&self, scope: &impl SharedScope, key: &K) -> Result<Option<V>, StateError> {
        scope.shared_state().get(&self.entry(Some(key)))?.map(|bytes| decode(&self.name, &bytes)).transpose()
    }

    /// All entries in the order of their keys.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `K` and `V`.
    pub fn entries(&self, scope: &impl SharedScope) -> Result<Vec<(K, V)>, StateError> {
        read_entries(&self.name, scope.shared_state(), &self.entry(None))
    }

    /// Sets the entry at `key`.
    pub fn insert(&self, scope: &mut impl SharedScopeMut, key: &K, value: &V) {
        scope.shared_state_mut().put_encoded(&self.entry(Some(key)), value);
    }

    /// Removes the entry at `key`.
    pub fn remove(&self, scope: &mut impl SharedScopeMut, key: &K) {
        scope.shared_state_mut().delete(&self.entry(Some(key)));
    }
}
