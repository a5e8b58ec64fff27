//! Typed handles to state, made once in an operator's constructor and used with the context of a step.

use std::marker::PhantomData;
use std::sync::Arc;

use super::layout::{self, KEYED};
use super::{StateError, TaskState};
use crate::codec::{Codec, CodecError, OrderedCodec};

/// Where keyed handles read and write: the state of a task at the key of the current step.
pub trait KeyedScope {
    /// The task's state.
    fn state(&self) -> &TaskState;
    /// The task's state, to write.
    fn state_mut(&mut self) -> &mut TaskState;
    /// Key group and bytes of the current key.
    fn key_at(&self) -> (u16, &[u8]);
}

/// Where task-wide handles read: any step of the task.
pub trait SharedScope {
    /// The task's state.
    fn shared_state(&self) -> &TaskState;
}

/// Where task-wide handles write: steps of broadcast records only, or tasks would drift apart.
pub trait SharedScopeMut: SharedScope {
    /// The task's state, to write.
    fn shared_state_mut(&mut self) -> &mut TaskState;
}

/// Hands out handles to one operator and remembers their names.
#[derive(Debug)]
pub struct Registry {
    operator: String,
    names: Vec<String>,
}

impl Registry {
    /// A registry for the states of this operator.
    pub fn new(operator: impl Into<String>) -> Self {
        Self { operator: operator.into(), names: Vec::new() }
    }

    fn register(&mut self, name: &str) -> (u32, Arc<str>) {
        let full = format!("{}/{name}", self.operator);
        self.names.push(full.clone());
        (layout::name_id(&full), full.into())
    }

    /// One value per key.
    pub fn value<V: Codec>(&mut self, name: &str) -> Value<V> {
        let (id, name) = self.register(name);
        Value { id, name, marker: PhantomData }
    }

    /// An ordered map per key.
    pub fn map<K: OrderedCodec, V: Codec>(&mut self, name: &str) -> MapState<K, V> {
        let (id, name) = self.register(name);
        MapState { id, name, marker: PhantomData }
    }

    /// One value for the whole task, written by broadcast records and read by all.
    pub fn shared_value<V: Codec>(&mut self, name: &str) -> SharedValue<V> {
        let (id, name) = self.register(name);
        SharedValue { id, name, marker: PhantomData }
    }

    /// An ordered map for the whole task, written by broadcast records and read by all.
    pub fn shared_map<K: OrderedCodec, V: Codec>(&mut self, name: &str) -> SharedMap<K, V> {
        let (id, name) = self.register(name);
        SharedMap { id, name, marker: PhantomData }
    }

    /// Full names (`operator/state`) handed out so far.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

fn decode<V: Codec>(name: &Arc<str>, bytes: &[u8]) -> Result<V, StateError> {
    V::decode(bytes).map_err(|source| codec_error(name, source))
}

fn codec_error(name: &Arc<str>, source: CodecError) -> StateError {
    StateError::Codec { store: name.to_string(), source }
}

/// One value per key.
#[derive(Clone, Debug)]
pub struct Value<V> {
    id: u32,
    name: Arc<str>,
    marker: PhantomData<fn() -> V>,
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

/// An ordered map per key.
#[derive(Clone, Debug)]
pub struct MapState<K, V> {
    id: u32,
    name: Arc<str>,
    marker: PhantomData<fn() -> (K, V)>,
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

fn read_entries<K: Codec, V: Codec>(
    name: &Arc<str>,
    state: &TaskState,
    prefix: &[u8],
) -> Result<Vec<(K, V)>, StateError> {
    state.entries(prefix)?.into_iter().map(|(key, value)| Ok((decode(name, &key)?, decode(name, &value)?))).collect()
}

/// One value for the whole task: what a broadcast brought, readable at every key.
#[derive(Clone, Debug)]
pub struct SharedValue<V> {
    id: u32,
    name: Arc<str>,
    marker: PhantomData<fn() -> V>,
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
        scope.shared_state_mut().put(&self.key(), value.to_bytes());
    }
}

/// An ordered map for the whole task.
#[derive(Clone, Debug)]
pub struct SharedMap<K, V> {
    id: u32,
    name: Arc<str>,
    marker: PhantomData<fn() -> (K, V)>,
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
        scope.shared_state_mut().put(&self.entry(Some(key)), value.to_bytes());
    }

    /// Removes the entry at `key`.
    pub fn remove(&self, scope: &mut impl SharedScopeMut, key: &K) {
        scope.shared_state_mut().delete(&self.entry(Some(key)));
    }
}
