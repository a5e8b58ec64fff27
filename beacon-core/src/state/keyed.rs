//! What all handles to keyed state have in common: identity, place, lifetime of entries.

use std::sync::Arc;

use super::layout::{self, EXPIRING, EntryKey, KEYED};
use super::{Entry, KeyedScope, StateError, Ttl, expiry};
use crate::codec::Codec;
use crate::time::ProcessingTime;

/// One keyed store of one operator.
#[derive(Clone, Debug)]
pub(crate) struct KeyedStore {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) ttl: Option<Ttl>,
}

impl KeyedStore {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Entries with a lifetime have a space of their own: their bytes begin with a stamp, and nobody takes one for the
    /// other when a program changes its mind.
    pub(crate) fn space(&self) -> u8 {
        if self.ttl.is_some() { EXPIRING } else { KEYED }
    }

    /// The prefix of the current key's entries.
    pub(super) fn prefix(&self, scope: &impl KeyedScope) -> Vec<u8> {
        let (group, key) = scope.key_at();
        let mut bytes = Vec::with_capacity(key.len() + 32);
        layout::keyed_prefix(&mut bytes, self.space(), self.id, group, key);
        bytes
    }

    /// The entry that stands right at [`KeyedStore::prefix`]: a key's only one, or what is kept of all its others. Without an
    /// allocation.
    pub(super) fn entry(&self, scope: &impl KeyedScope) -> EntryKey {
        let (group, key) = scope.key_at();
        layout::keyed_entry(self.space(), self.id, group, key)
    }

    /// The value of an entry that is alive.
    pub(super) fn get<V: Codec>(&self, scope: &impl KeyedScope, entry: &[u8]) -> Result<Option<V>, StateError> {
        let now = scope.now();
        let living = |stored: &[u8]| self.seen(now, stored)?.map(|bytes| self.decode(bytes)).transpose();
        let found = scope.state().read(entry, |stored| stored.map_or(Ok(None), living))??;
        if found.is_some() {
            self.note_use(scope, entry);
        }
        Ok(found)
    }

    /// Whether handing out an entry changes something.
    pub(super) fn reads_count(&self) -> bool {
        self.ttl.is_some_and(Ttl::reads_count)
    }

    /// An entry was handed out: where reads count, it lives on.
    pub(super) fn note_use(&self, scope: &impl KeyedScope, entry: &[u8]) {
        if let Some(ttl) = self.ttl.filter(|ttl| ttl.reads_count()) {
            scope.expiries().used(entry, ttl);
        }
    }

    pub(super) fn put<V: Codec>(&self, scope: &mut impl KeyedScope, entry: &[u8], value: &V) {
        match self.ttl {
            None => scope.state_mut().put_encoded(entry, value),
            Some(ttl) => {
                let now = scope.now();
                let (state, expiries) = scope.parts();
                expiry::put(state, expiries, ttl, now, entry, value);
            }
        }
    }

    /// The first `limit` living entries from `from` to `to`, their keys without the first `skip` bytes.
    pub(super) fn page(
        &self,
        scope: &impl KeyedScope,
        (from, to): (&[u8], Option<&[u8]>),
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        let now = scope.now();
        let mut found = Vec::new();
        let mut failed = None;
        scope.state().scan(from, to, &mut |key, stored| {
            match self.seen(now, stored) {
                Ok(Some(value)) => found.push((key[skip..].to_vec(), value.to_vec())),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
            failed.is_none() && found.len() < limit
        })?;
        failed.map_or(Ok(found), Err)
    }

    /// The last living entry from `from` to `to`.
    pub(super) fn last(
        &self,
        scope: &impl KeyedScope,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Entry>, StateError> {
        let mut to = to.map(<[u8]>::to_vec);
        while let Some((key, stored)) = scope.state().last(from, to.as_deref())? {
            if let Some(value) = self.seen(scope.now(), &stored)? {
                let value = value.to_vec();
                self.note_use(scope, &key);
                return Ok(Some((key, value)));
            }
            to = Some(key);
        }
        Ok(None)
    }

    /// The bytes of an entry, if it is alive. Looking at it is no use of it.
    pub(crate) fn seen<'a>(&self, now: ProcessingTime, stored: &'a [u8]) -> Result<Option<&'a [u8]>, StateError> {
        if self.ttl.is_some() { expiry::alive(stored, now) } else { Ok(Some(stored)) }
    }

    /// Removes all entries of the current key.
    pub(super) fn clear(&self, scope: &mut impl KeyedScope) -> Result<(), StateError> {
        let prefix = self.prefix(scope);
        for (suffix, _) in scope.state().entries(&prefix)? {
            let entry = [prefix.as_slice(), &suffix].concat();
            scope.state_mut().delete(&entry);
        }
        Ok(())
    }

    /// A stored value; the error names the store.
    pub(crate) fn decode<V: Codec>(&self, bytes: &[u8]) -> Result<V, StateError> {
        super::registry::decode(&self.name, bytes)
    }
}
