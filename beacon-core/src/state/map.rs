//! An ordered map per key.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use super::keyed::KeyedStore;
use super::layout::prefix_end;
use super::{Entry, KeyedScope, StateError};
use crate::codec::{Codec, OrderedCodec};

/// An ordered map per key.
///
/// Each entry is stored by itself: reading or writing one costs the same however many there are. Lifetimes, where the
/// map has one, are those of single entries.
#[derive(Clone, Debug)]
pub struct MapState<K, V> {
    pub(super) store: KeyedStore,
    pub(super) marker: PhantomData<fn() -> (K, V)>,
}

impl<K: OrderedCodec, V: Codec> MapState<K, V> {
    fn entry(&self, scope: &impl KeyedScope, key: &K) -> Vec<u8> {
        let mut bytes = self.store.prefix(scope);
        key.encode(&mut bytes);
        bytes
    }

    /// The entry at `key`.
    ///
    /// # Errors
    /// When the store fails or its bytes are not a `V`.
    pub fn get(&self, scope: &impl KeyedScope, key: &K) -> Result<Option<V>, StateError> {
        self.store.get(scope, &self.entry(scope, key))
    }

    /// Sets the entry at `key`.
    pub fn insert(&self, scope: &mut impl KeyedScope, key: &K, value: &V) {
        let entry = self.entry(scope, key);
        self.store.put(scope, &entry, value);
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
        self.iter(scope).collect()
    }

    /// The entries of the current key in the order of their keys, read as they are asked for: stop early and the rest
    /// is not read.
    pub fn iter<'a, S: KeyedScope>(&'a self, scope: &'a S) -> MapIter<'a, S, K, V> {
        self.range(scope, ..)
    }

    /// The entries whose keys lie in `range`, in order, read as they are asked for.
    pub fn range<'a, S: KeyedScope>(&'a self, scope: &'a S, range: impl RangeBounds<K>) -> MapIter<'a, S, K, V> {
        let (from, to) = self.bounds(scope, &range);
        self.read(scope, from, to)
    }

    /// The entries whose keys' bytes begin with `prefix`, in order, read as they are asked for. For keys of text the
    /// prefix is text.
    pub fn prefix<'a, S: KeyedScope>(&'a self, scope: &'a S, prefix: impl AsRef<[u8]>) -> MapIter<'a, S, K, V> {
        let mut from = self.store.prefix(scope);
        from.extend_from_slice(prefix.as_ref());
        let to = prefix_end(&from);
        self.read(scope, from, to)
    }

    fn read<'a, S: KeyedScope>(&'a self, scope: &'a S, from: Vec<u8>, to: Option<Vec<u8>>) -> MapIter<'a, S, K, V> {
        let skip = self.store.prefix(scope).len();
        MapIter { map: self, scope, from: Some(from), to, skip, page: Vec::new().into_iter(), page_size: FIRST_PAGE }
    }

    fn bounds(&self, scope: &impl KeyedScope, range: &impl RangeBounds<K>) -> (Vec<u8>, Option<Vec<u8>>) {
        let from = match range.start_bound() {
            Bound::Unbounded => self.store.prefix(scope),
            Bound::Included(key) => self.entry(scope, key),
            Bound::Excluded(key) => after(self.entry(scope, key)),
        };
        let to = match range.end_bound() {
            Bound::Unbounded => prefix_end(&self.store.prefix(scope)),
            Bound::Excluded(key) => Some(self.entry(scope, key)),
            Bound::Included(key) => Some(after(self.entry(scope, key))),
        };
        (from, to)
    }

    /// The entry with the smallest key.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `K` and `V`.
    pub fn first(&self, scope: &impl KeyedScope) -> Result<Option<(K, V)>, StateError> {
        self.iter(scope).next().transpose()
    }

    /// The entry with the largest key.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `K` and `V`.
    pub fn last(&self, scope: &impl KeyedScope) -> Result<Option<(K, V)>, StateError> {
        self.last_in(scope, ..)
    }

    /// The entry with the largest key in `range`.
    ///
    /// # Errors
    /// When the store fails or its bytes are not `K` and `V`.
    pub fn last_in(&self, scope: &impl KeyedScope, range: impl RangeBounds<K>) -> Result<Option<(K, V)>, StateError> {
        let (from, to) = self.bounds(scope, &range);
        let skip = self.store.prefix(scope).len();
        let last = self.store.last(scope, &from, to.as_deref())?;
        last.map(|(key, value)| Ok((self.store.decode(&key[skip..])?, self.store.decode(&value)?))).transpose()
    }

    /// Removes all entries of the current key.
    ///
    /// # Errors
    /// When the store fails.
    pub fn clear(&self, scope: &mut impl KeyedScope) -> Result<(), StateError> {
        self.store.clear(scope)
    }
}

/// The first key after this one.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// Entries of a map in order, read page by page. After an error it ends.
pub struct MapIter<'a, S, K, V> {
    map: &'a MapState<K, V>,
    scope: &'a S,
    /// Where the next page begins; `None`: there is none.
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    /// Length of the prefix of the map's entries.
    skip: usize,
    page: std::vec::IntoIter<Entry>,
    page_size: usize,
}

/// Pages double, so that looking at the first entry reads little and a walk over all costs few seeks.
const FIRST_PAGE: usize = 1;
const LARGEST_PAGE: usize = 256;

impl<S: KeyedScope, K: OrderedCodec, V: Codec> MapIter<'_, S, K, V> {
    fn hand_out(&self, (key, value): &Entry) -> Result<(K, V), StateError> {
        let store = &self.map.store;
        if store.reads_count() {
            store.note_use(self.scope, &[store.prefix(self.scope).as_slice(), key].concat());
        }
        Ok((store.decode(key)?, store.decode(value)?))
    }

    fn turn(&mut self) -> Result<Option<Entry>, StateError> {
        if let Some(entry) = self.page.next() {
            return Ok(Some(entry));
        }
        let Some(from) = self.from.take() else { return Ok(None) };
        let page = self.map.store.page(self.scope, (&from, self.to.as_deref()), self.skip, self.page_size)?;
        if page.len() == self.page_size {
            self.from = page.last().map(|(key, _)| after([&from[..self.skip], key].concat()));
            self.page_size = (self.page_size * 2).min(LARGEST_PAGE);
        }
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

impl<S: KeyedScope, K: OrderedCodec, V: Codec> Iterator for MapIter<'_, S, K, V> {
    type Item = Result<(K, V), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.turn().and_then(|entry| entry.map(|entry| self.hand_out(&entry)).transpose());
        if entry.is_err() {
            self.from = None;
            self.page = Vec::new().into_iter();
        }
        entry.transpose()
    }
}
