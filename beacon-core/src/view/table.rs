//! The newest value of each key, with the offsets that this picture reflects. Pure: no log, no threads.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::codec::{Codec, CodecError};
use crate::log::{Offset, RecordRef};

/// What one record did to the table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change<K, V> {
    /// The partition the record came from.
    pub partition: u32,
    /// Its offset there.
    pub offset: Offset,
    /// The key it is about.
    pub key: K,
    /// The value before, `None` when there was none.
    pub old: Option<Arc<V>>,
    /// The value from now on, `None` after a tombstone.
    pub new: Option<Arc<V>>,
}

/// The value of a key, and how far the picture had come that it was read from: see
/// [`View::get_with_offsets`](super::View::get_with_offsets).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<V> {
    /// `None` when the key has no value.
    pub value: Option<Arc<V>>,
    /// For each partition, by its number: every committed record before this offset is reflected. Offsets grow from
    /// answer to answer, so of two answers about one key the one that reflects more is the newer.
    pub reflects: Vec<Offset>,
}

/// A record as its meaning: to be put into a table, or a tombstone.
#[derive(Debug)]
pub(super) struct Decoded<K, V> {
    pub partition: u32,
    pub offset: Offset,
    pub key: K,
    pub value: Option<V>,
}

/// Reads key and value of a record.
pub(super) fn decode<K: Codec, V: Codec>(record: &RecordRef<'_>) -> Result<Decoded<K, V>, CodecError> {
    let key = record.key.ok_or_else(|| CodecError::new("key", "a record of a compacted topic has none"))?;
    Ok(Decoded {
        partition: record.partition,
        offset: record.offset,
        key: K::decode(key)?,
        value: record.value.map(V::decode).transpose()?,
    })
}

/// The newest value of each key, in the order of the keys.
///
/// Values are shared, so a caller may keep one for as long as it likes while the table goes on.
#[derive(Debug)]
pub struct Table<K, V> {
    rows: BTreeMap<K, Arc<V>>,
    reflects: Vec<Offset>,
}

impl<K: Ord, V> Table<K, V> {
    pub(super) fn new(partitions: u32) -> Self {
        Self { rows: BTreeMap::new(), reflects: vec![0; partitions as usize] }
    }

    pub(super) fn apply(&mut self, decoded: Decoded<K, V>) -> Change<K, V>
    where
        K: Clone,
    {
        let Decoded { partition, offset, key, value } = decoded;
        let new = value.map(Arc::new);
        let old = match &new {
            Some(value) => self.rows.insert(key.clone(), Arc::clone(value)),
            None => self.rows.remove(&key),
        };
        Change { partition, offset, key, old, new }
    }

    pub(super) fn advance(&mut self, partition: u32, next: Offset) {
        if let Some(position) = self.reflects.get_mut(partition as usize) {
            *position = next.max(*position);
        }
    }

    /// For each partition, by its number: every record before this offset is reflected here.
    pub fn reflects(&self) -> &[Offset] {
        &self.reflects
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.rows.get(key)
    }

    /// The value of a key with the offsets it reflects.
    pub fn answer<Q>(&self, key: &Q) -> Answer<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        Answer { value: self.get(key).cloned(), reflects: self.reflects.clone() }
    }

    /// All keys with their values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.rows.iter()
    }

    /// The keys of a range with their values, in the order of the keys.
    pub fn range<Q>(&self, range: impl RangeBounds<Q>) -> impl Iterator<Item = (&K, &Arc<V>)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.rows.range(range)
    }

    /// The keys that begin with `prefix`, in their order.
    pub fn prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a K, &'a Arc<V>)>
    where
        K: Borrow<str>,
    {
        self.range::<str>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| (*key).borrow().starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: Option<u32>) -> Decoded<String, u32> {
        Decoded { partition: 0, offset: 0, key: key.to_owned(), value }
    }

    #[test]
    fn a_prefix_lists_its_own_keys_in_order() {
        let mut table = Table::new(1);
        for (at, key) in ["b/2", "a/9", "b/1", "b0", "c/1"].into_iter().enumerate() {
            table.apply(put(key, Some(at as u32)));
        }
        let keys: Vec<&str> = table.prefix("b/").map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b/1", "b/2"]);
        assert_eq!(table.prefix("").count(), 5);
    }

    #[test]
    fn a_tombstone_takes_the_value_away_and_says_what_it_was() {
        let mut table = Table::new(1);
        table.apply(put("a", Some(1)));
        let change = table.apply(put("a", None));
        assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some(&1), None));
        assert!(table.get("a").is_none());
        assert!(table.is_empty());
    }
}
