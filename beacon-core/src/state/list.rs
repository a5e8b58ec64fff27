//! A list per key that grows at its end.

use std::marker::PhantomData;

use super::keyed::KeyedStore;
use super::{KeyedScope, MapIter, MapState, StateError};
use crate::codec::Codec;

/// A list per key: appended to, read in order, cleared.
///
/// Each element is stored by itself, so that an append writes one element and an eight-byte length, however long the list
/// is. Lifetimes, where the list has one, are those of single elements.
#[derive(Clone, Debug)]
pub struct ListState<V> {
    /// Numbers of elements, in order of appending.
    pub(super) elements: MapState<u64, V>,
}

impl<V: Codec> ListState<V> {
    pub(super) fn new(store: KeyedStore) -> Self {
        Self { elements: MapState { store, marker: PhantomData } }
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// When the store fails or its bytes are no list.
    pub fn append(&self, scope: &mut impl KeyedScope, value: &V) -> Result<(), StateError> {
        let store = &self.elements.store;
        // The length stands where the elements' numbers would follow.
        let length_at = store.entry(scope);
        let number = match store.get::<u64>(scope, &length_at)? {
            Some(length) => length,
            // With lifetimes it lives as long as the element last appended, which need not be the one that ends last:
            // the program may have got a shorter lifetime since, or a clock that is behind.
            None => self.elements.last_in(scope, 0..)?.map_or(0, |(last, _)| last + 1),
        };
        store.put(scope, &length_at, &(number + 1));
        self.elements.insert(scope, &number, value);
        Ok(())
    }

    /// The elements in the order they were appended, read as they are asked for: stop early and the rest is not read.
    pub fn iter<'a, S: KeyedScope>(&'a self, scope: &'a S) -> ListIter<'a, S, V> {
        // From the first number on: the length is not an element.
        ListIter { elements: self.elements.range(scope, 0..), scope, list: self, begun: false }
    }

    /// All elements in the order they were appended.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `V`.
    pub fn to_vec(&self, scope: &impl KeyedScope) -> Result<Vec<V>, StateError> {
        self.iter(scope).collect()
    }

    /// Whether there is no element.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `V`.
    pub fn is_empty(&self, scope: &impl KeyedScope) -> Result<bool, StateError> {
        Ok(self.iter(scope).next().transpose()?.is_none())
    }

    /// Removes all elements.
    ///
    /// # Errors
    /// When the store fails.
    pub fn clear(&self, scope: &mut impl KeyedScope) -> Result<(), StateError> {
        self.elements.clear(scope)
    }
}

/// Elements of a list in order. After an error it ends.
pub struct ListIter<'a, S, V> {
    elements: MapIter<'a, S, u64, V>,
    scope: &'a S,
    list: &'a ListState<V>,
    begun: bool,
}

impl<S: KeyedScope, V: Codec> Iterator for ListIter<'_, S, V> {
    type Item = Result<V, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let store = &self.list.elements.store;
        if store.reads_count() && !std::mem::replace(&mut self.begun, true) {
            // Elements that are read live on; the length must not end before them.
            store.note_use(self.scope, &store.entry(self.scope));
        }
        Some(self.elements.next()?.map(|(_, value)| value))
    }
}
