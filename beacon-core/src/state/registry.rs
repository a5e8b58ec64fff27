//! Typed handles to state are made here, once, in an operator's constructor; here their names are kept.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::keyed::KeyedStore;
use super::layout;
use super::{ListState, MapState, SharedMap, SharedValue, StateError, TaskState, Ttl, Value};
use crate::codec::{Codec, OrderedCodec};

/// What a store keeps for each key, or for the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// [`Value`].
    Value,
    /// [`MapState`].
    Map,
    /// [`ListState`].
    List,
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
            Self::List => "list",
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
    ttl: Option<Ttl>,
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

    /// How long its entries live; `None`: until they are removed.
    pub fn ttl(&self) -> Option<Ttl> {
        self.ttl
    }
}

impl fmt::Display for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", self.name, self.kind, self.codec)?;
        match self.ttl {
            None => Ok(()),
            Some(ttl) => write!(f, ", lives {:?} since its last {}", ttl.lifetime(), ttl.counts()),
        }
    }
}

/// Hands out handles to one operator and remembers their names.
#[derive(Debug)]
pub struct Registry {
    operator: String,
    stores: Vec<StoreSpec>,
    /// Named outputs: the layer above says of what.
    pub(crate) outputs: Vec<(String, Box<dyn Any>)>,
}

impl Registry {
    /// A registry for the states of this operator.
    pub fn new(operator: impl Into<String>) -> Self {
        Self { operator: operator.into(), stores: Vec::new(), outputs: Vec::new() }
    }

    fn register(&mut self, name: &str, kind: StoreKind, codec: String, ttl: Option<Ttl>) -> (u32, Arc<str>) {
        let full = format!("{}/{name}", self.operator);
        self.stores.push(StoreSpec { name: full.clone(), kind, codec, ttl });
        (layout::name_id(&full), full.into())
    }

    fn keyed(&mut self, name: &str, kind: StoreKind, codec: String, ttl: Option<Ttl>) -> KeyedStore {
        let (id, name) = self.register(name, kind, codec, ttl);
        KeyedStore { id, name, ttl }
    }

    /// One value per key.
    pub fn value<V: Codec>(&mut self, name: &str) -> Value<V> {
        Value { store: self.keyed(name, StoreKind::Value, V::codec_name(), None), marker: PhantomData }
    }

    /// An ordered map per key.
    pub fn map<K: OrderedCodec, V: Codec>(&mut self, name: &str) -> MapState<K, V> {
        MapState { store: self.keyed(name, StoreKind::Map, map_codec::<K, V>(), None), marker: PhantomData }
    }

    /// A list per key.
    pub fn list<V: Codec>(&mut self, name: &str) -> ListState<V> {
        ListState::new(self.keyed(name, StoreKind::List, V::codec_name(), None))
    }

    /// Hands out keyed states whose entries end by themselves.
    ///
    /// A state that gets a lifetime, or loses it, in a new version of the program begins empty: its entries stand
    /// elsewhere. Another lifetime holds for what is written from then on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use beacon_core::state::{Registry, Ttl, Value};
    /// # fn make(state: &mut Registry) -> Value<u64> {
    /// state.expiring(Ttl::since_write(Duration::from_secs(3600))).value("seen in the last hour")
    /// # }
    /// ```
    pub fn expiring(&mut self, ttl: Ttl) -> Expiring<'_> {
        Expiring { registry: self, ttl }
    }

    /// One value for the whole task, written by broadcast records and read by all.
    pub fn shared_value<V: Codec>(&mut self, name: &str) -> SharedValue<V> {
        let (id, name) = self.register(name, StoreKind::SharedValue, V::codec_name(), None);
        SharedValue { id, name, marker: PhantomData }
    }

    /// An ordered map for the whole task, written by broadcast records and read by all.
    pub fn shared_map<K: OrderedCodec, V: Codec>(&mut self, name: &str) -> SharedMap<K, V> {
        let (id, name) = self.register(name, StoreKind::SharedMap, map_codec::<K, V>(), None);
        SharedMap { id, name, marker: PhantomData }
    }

    /// The stores handed out so far.
    pub fn stores(&self) -> &[StoreSpec] {
        &self.stores
    }
}

/// Hands out states whose entries end by themselves: see [`Registry::expiring`].
pub struct Expiring<'a> {
    registry: &'a mut Registry,
    ttl: Ttl,
}

impl Expiring<'_> {
    /// One value per key.
    pub fn value<V: Codec>(self, name: &str) -> Value<V> {
        let store = self.registry.keyed(name, StoreKind::Value, V::codec_name(), Some(self.ttl));
        Value { store, marker: PhantomData }
    }

    /// An ordered map per key; each entry has a life of its own.
    pub fn map<K: OrderedCodec, V: Codec>(self, name: &str) -> MapState<K, V> {
        let store = self.registry.keyed(name, StoreKind::Map, map_codec::<K, V>(), Some(self.ttl));
        MapState { store, marker: PhantomData }
    }

    /// A list per key; each element has a life of its own.
    pub fn list<V: Codec>(self, name: &str) -> ListState<V> {
        ListState::new(self.registry.keyed(name, StoreKind::List, V::codec_name(), Some(self.ttl)))
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
