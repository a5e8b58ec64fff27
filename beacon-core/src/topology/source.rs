//! Where values enter a task: topics, and how their bytes become values.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;
use crate::operator::{OpError, OpResult, Port, Step};

/// A topic and the type of its values.
pub struct Topic<V> {
    name: Arc<str>,
    marker: PhantomData<fn() -> V>,
}

impl<V> Clone for Topic<V> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), marker: PhantomData }
    }
}

impl<V: Codec> Topic<V> {
    /// Names a topic whose values are `V`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), marker: PhantomData }
    }

    /// Its full name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// A record of a compacted topic: what a key is now, or that it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<V> {
    /// The record's key.
    pub key: Vec<u8>,
    /// `None`: a tombstone.
    pub value: Option<V>,
}

/// A record to be written as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Value bytes; `None`: a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<crate::log::Header>,
}

impl<V: Codec> Codec for Changed<V> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.key.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.key);
        out.push(u8::from(self.value.is_some()));
        if let Some(value) = &self.value {
            value.encode(out);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, crate::codec::CodecError> {
        let wrong = || crate::codec::CodecError::new("Changed", "too short");
        let length = u32::from_be_bytes(bytes.get(..4).and_then(|b| b.try_into().ok()).ok_or_else(wrong)?) as usize;
        let key = bytes.get(4..4 + length).ok_or_else(wrong)?.to_vec();
        let present = *bytes.get(4 + length).ok_or_else(wrong)? == 1;
        let value = present.then(|| V::decode(&bytes[5 + length..])).transpose()?;
        Ok(Self { key, value })
    }
}

/// A topic a job reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceSpec {
    /// The operator's name.
    pub name: String,
    /// The topic's full name.
    pub topic: Arc<str>,
    /// Whether its partitions must be as many as the application's: something downstream relies on its key.
    pub copartitioned: bool,
    /// Its records drive event time, and may be this much out of order.
    pub event_time: Option<Duration>,
    /// After how long a silence event time does not wait for a partition of it; `None`: it always waits.
    pub idle_after: Option<Duration>,
    /// Its values reach broadcasts and nothing else: what every task has to know, such as a plan.
    pub broadcast: bool,
}

/// The bytes of one record.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes.
    pub value: Option<&'a [u8]>,
}

/// Turns a record's bytes into values and feeds them to the operators.
pub trait RawSource {
    /// Runs one record through the task.
    ///
    /// # Errors
    /// [`OpError::DeadLetter`] when the bytes are not what the topic should hold; operators' errors.
    fn feed(&self, record: RawRecord<'_>, step: &mut Step) -> OpResult;
}

/// Values only; tombstones are skipped.
pub(super) struct ValueSource<V> {
    pub(super) output: Port<V>,
}

impl<V: Codec + Clone> RawSource for ValueSource<V> {
    fn feed(&self, record: RawRecord<'_>, step: &mut Step) -> OpResult {
        match record.value {
            Some(value) => self.output.push(V::decode(value)?, step),
            None => Ok(()),
        }
    }
}

/// Keys with values or tombstones.
pub(super) struct ChangedSource<V> {
    pub(super) output: Port<Changed<V>>,
}

impl<V: Codec + Clone> RawSource for ChangedSource<V> {
    fn feed(&self, record: RawRecord<'_>, step: &mut Step) -> OpResult {
        let key = record.key.ok_or_else(|| OpError::dead_letter("a record of a compacted topic must have a key"))?;
        let value = record.value.map(V::decode).transpose()?;
        self.output.push(Changed { key: key.to_vec(), value }, step)
    }
}

/// Keyed values from an internal topic.
pub(super) struct KeyedSource<K, V> {
    pub(super) output: Port<(K, V)>,
}

impl<K: Codec + Clone, V: Codec + Clone> RawSource for KeyedSource<K, V> {
    fn feed(&self, record: RawRecord<'_>, step: &mut Step) -> OpResult {
        let key = K::decode(record.key.unwrap_or_default())?;
        let value = V::decode(record.value.unwrap_or_default())?;
        self.output.push((key, value), step)
    }
}
