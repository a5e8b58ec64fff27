//! Typed handles to state are made here, once, in an operator's constructor; here their names are kept.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::layout;
use super::{MapState, SharedMap, SharedValue, StateError, TaskState, Value};
use crate::codec::{Codec, OrderedCodec};

/// What a store keeps for each key, or for the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// [`Value`].
    Value,
    /// [`MapState`].
    Map,
    /// [`SharedValue`].
    SharedValue,
    /// [`SharedMap`].
    SharedMap,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::Map => "map",
            Self::SharedValue => "shared value",
            Self::SharedMap => "shared map",
        })
    }
}

/// A state of an operator as it is listed: in checkpoints' manifests, and for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreSpec {
    name: String,
    kind: StoreKind,
    codec: String,
}

impl StoreSpec {
    /// Its full name, `operator/state`: its identity.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its keys begin with, after space and key group: a hash of the name.
    pub fn id(&self) -> u32 {
        layout::name_id(&self.name)
    }

    /// What it keeps.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Its codecs by [`Codec::codec_name`]: that of the value, for maps `key -> value`. With versions where values are
    /// [`Versioned`](crate::codec::Versioned): `Orders@2`.
    pub fn codec(&self) -> &str {
        &self.codec
    }
}

impl fmt::Display for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", self.name, self.kind, self.codec)
    }
}

/// Hands out handles to one operator and remembers their names.
#[derive(Debug)]
pub struct Registry {
    operator: String,
    stores: Vec<StoreSpec>,
}

impl Registry {
    /// A registry for the states of this operator.
    pub fn new(operator: impl Into<String>) -> Self {
        Self { operator: operator.into(), stores: Vec::new() }
    }

    fn register(&mut self, name: &str, kind: StoreKind, codec: String) -> (u32, Arc<str>) {
        let full = format!("{}/{name}", self.operator);
        self.stores.push(StoreSpec { name: full.clone(), kind, codec });
        (layout::name_id(&full), full.into())
    }

    /// One value per key.
    pub fn value<V: Codec>(&mut self, name: &str) -> Value<V> {
        let (id, name) = self.register(name, StoreKind::Value, V::codec_name());
        Value { id, name, marker: PhantomData }
    }

    /// An ordered map per key.
    pub fn map<K: OrderedCodec, V: Codec>(&mut self, name: &str) -> MapState<K, V> {
        let (id, name) = self.register(name, StoreKind::Map, map_codec::<K, V>());
        MapState { id, name, marker: PhantomData }
    }

    /// One value for the whole task, written by broadcast records and read by all.
    pub fn shared_value<V: Codec>(&mut self, name: &str) -> SharedValue<V> {
        let (id, name) = self.register(name, StoreKind::SharedValue, V::codec_name());
        SharedValue { id, name, marker: PhantomData }
    }

    /// An ordered map for the whole task, written by broadcast records and read by all.
    pub fn shared_map<K: OrderedCodec, V: Codec>(&mut self, name: &str) -> SharedMap<K, V> {
        let (id, name) = self.register(name, StoreKind::SharedMap, map_codec::<K, V>());
        SharedMap { id, name, marker: PhantomData }
    }

    /// The stores handed out so far.
    pub fn stores(&self) -> &[StoreSpec] {
        &self.stores
    }
}

fn map_codec<K: Codec, V: Codec>() -> String {
    format!("{} -> {}", K::codec_name(), V::codec_name())
}

/// A stored value; the error names the store.
pub(super) fn decode<V: Codec>(name: &Arc<str>, bytes: &[u8]) -> Result<V, StateError> {
    V::decode(bytes).map_err(|source| StateError::Codec { store: name.to_string(), source })
}

pub(super) fn read_entries<K: Codec, V: Codec>(
    name: &Arc<str>,
    state: &TaskState,
    prefix: &[u8],
) -> Result<Vec<(K, V)>, StateError> {
    state.entries(prefix)?.into_iter().map(|(key, value)| Ok((decode(name, &key)?, decode(name, &value)?))).collect()
}
