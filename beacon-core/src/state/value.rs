//! One value per key.

use std::marker::PhantomData;

use super::keyed::KeyedStore;
use super::{KeyedScope, StateError};
use crate::codec::Codec;

/// One value per key.
#[derive(Clone, Debug)]
pub struct Value<V> {
    pub(crate) store: KeyedStore,
    pub(super) marker: PhantomData<fn() -> V>,
}

impl<V: Codec> Value<V> {
    /// The value of the current key.
    ///
    /// # Errors
    /// When the store fails or its bytes are not a `V`.
    pub fn get(&self, scope: &impl KeyedScope) -> Result<Option<V>, StateError> {
        self.store.get(scope, &self.store.entry(scope))
    }

    /// Sets the value of the current key.
    pub fn set(&self, scope: &mut impl KeyedScope, value: &V) {
        let entry = self.store.entry(scope);
        self.store.put(scope, &entry, value);
    }

    /// Removes the value of the current key.
    pub fn clear(&self, scope: &mut impl KeyedScope) {
        let entry = self.store.entry(scope);
        scope.state_mut().delete(&entry);
    }
}
