//! One value per key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::layout::{self, KEYED};
use super::registry::decode;
use super::{KeyedScope, StateError};
use crate::codec::Codec;

/// One value per key.
#[derive(Clone, Debug)]
pub struct Value<V> {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) marker: PhantomData<fn() -> V>,
}

impl<V: Codec> Value<V> {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    fn key(&self, scope: &impl KeyedScope) -> Vec<u8> {
        let (group, key) = scope.key_at();
        let mut bytes = Vec::with_capacity(key.len() + 11);
        layout::keyed_prefix(&mut bytes, KEYED, self.id, group, key);
        bytes
    }

    /// The value of the current key.
    ///
    /// # Errors
    /// When the store fails or its bytes are not a `V`.
    pub fn get(&self, scope: &impl KeyedScope) -> Result<Option<V>, StateError> {
        scope.state().get(&self.key(scope))?.map(|bytes| decode(&self.name, &bytes)).transpose()
    }

    /// Sets the value of the current key.
    pub fn set(&self, scope: &mut impl KeyedScope, value: &V) {
        let key = self.key(scope);
        scope.state_mut().put(&key, value.to_bytes());
    }

    /// Removes the value of the current key.
    pub fn clear(&self, scope: &mut impl KeyedScope) {
        let key = self.key(scope);
        scope.state_mut().delete(&key);
    }

    /// Decodes one entry of a walk over all keys.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<V, StateError> {
        decode(&self.name, bytes)
    }
}
