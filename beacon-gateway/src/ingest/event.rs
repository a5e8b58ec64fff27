//! An accepted alert as a record of the topic `alerts`, written straight from the request's bytes.
//!
//! The bytes are those that prost writes for [`beacon_proto::v1::AlertEvent`]; a property test holds the two together.
//! Written by hand because a message with maps of owned strings costs several times the rest of the way in.

use prost::encode_length_delimiter;

use super::posted::Text;

/// An alert that passed all checks. Labels and annotations are sorted by name, each name once.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// Empty for the default tenant.
    pub tenant: &'a str,
    /// At least one, no empty values.
    pub labels: Vec<(Text<'a>, Text<'a>)>,
    /// May be empty.
    pub annotations: Vec<(Text<'a>, Text<'a>)>,
    /// Milliseconds since the epoch.
    pub starts_at_ms: Option<i64>,
    /// Milliseconds since the epoch.
    pub ends_at_ms: Option<i64>,
    /// May be empty.
    pub generator_url: Text<'a>,
    /// Milliseconds since the epoch.
    pub received_at_ms: i64,
}

const LENGTH_DELIMITED: u8 = 2;

fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

/// Protobuf's varint; the length delimiter of prost is one. 64-bit `usize` is what every target of ours has.
fn varint(value: u64, out: &mut Vec<u8>) {
    const { assert!(usize::BITS == 64) };
    encode_length_delimiter(value as usize, out).expect("a Vec grows as needed");
}

/// Negative numbers are ten bytes, as protobuf's int64 has it.
fn int64(field: u8, value: i64, out: &mut Vec<u8>) {
    out.push(tag(field, 0));
    varint(value as u64, out);
}

fn varint_len(value: usize) -> usize {
    prost::length_delimiter_len(value)
}

/// Left out when empty, as proto3 has it.
fn string(field: u8, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.push(tag(field, LENGTH_DELIMITED));
        varint(value.len() as u64, out);
        out.extend_from_slice(value.as_bytes());
    }
}

fn string_len(value: &str) -> usize {
    if value.is_empty() { 0 } else { 1 + varint_len(value.len()) + value.len() }
}

fn map(field: u8, pairs: &[(Text<'_>, Text<'_>)], out: &mut Vec<u8>) {
    for (name, value) in pairs {
        out.push(tag(field, LENGTH_DELIMITED));
        varint((string_len(&name.0) + string_len(&value.0)) as u64, out);
        string(1, &name.0, out);
        string(2, &value.0, out);
    }
}

fn map_len(pairs: &[(Text<'_>, Text<'_>)]) -> usize {
    pairs.iter().map(|(name, value)| 6 + string_len(&name.0) + string_len(&value.0)).sum()
}

impl Event<'_> {
    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        let at_most = map_len(&self.labels) + map_len(&self.annotations) + self.generator_url.0.len() + 64;
        let mut out = Vec::with_capacity(at_most + self.tenant.len());
        string(1, self.tenant, &mut out);
        map(2, &self.labels, &mut out);
        map(3, &self.annotations, &mut out);
        if let Some(starts_at_ms) = self.starts_at_ms {
            int64(4, starts_at_ms, &mut out);
        }
        if let Some(ends_at_ms) = self.ends_at_ms {
            int64(5, ends_at_ms, &mut out);
        }
        string(6, &self.generator_url.0, &mut out);
        if self.received_at_ms != 0 {
            int64(7, self.received_at_ms, &mut out);
        }
        out
    }

    /// The record's key: [`beacon_proto::key::alert`] of the tenant and the labels' fingerprint.
    pub fn key(&self) -> String {
        format!("{}/{:016x}", self.tenant, self.fingerprint())
    }

    /// [`beacon_proto::fingerprint::fingerprint`] of the labels, without a map of them.
    fn fingerprint(&self) -> u64 {
        let pairs = self.labels.iter().map(|(name, value)| (name.0.as_ref(), value.0.as_ref()));
        beacon_proto::fingerprint::of_sorted(pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use beacon_proto::v1::AlertEvent;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn pairs(map: &BTreeMap<String, String>) -> Vec<(Text<'_>, Text<'_>)> {
        map.iter().map(|(n, v)| (Text(Cow::Borrowed(n)), Text(Cow::Borrowed(v)))).collect()
    }

    proptest! {
        #[test]
        fn bytes_and_key_are_those_of_the_message(
            tenant in "[a-z]{0,3}",
            labels: BTreeMap<String, String>,
            annotations in prop::collection::btree_map(any::<String>(), "\\PC{0,300}", 0..4),
            starts_at_ms: Option<i64>,
            ends_at_ms: Option<i64>,
            generator_url: String,
            received_at_ms: i64,
        ) {
            let event = Event {
                tenant: &tenant,
                labels: pairs(&labels),
                annotations: pairs(&annotations),
                starts_at_ms,
                ends_at_ms,
                generator_url: Text(Cow::Borrowed(&generator_url)),
                received_at_ms,
            };
            let key = beacon_proto::key::alert(&tenant, &beacon_proto::fingerprint::hex(&labels));
            prop_assert_eq!(event.key(), key);
            let bytes = event.encode();
            let message = AlertEvent {
                tenant: tenant.clone(),
                labels: labels.clone(),
                annotations: annotations.clone(),
                starts_at_ms,
                ends_at_ms,
                generator_url: generator_url.clone(),
                received_at_ms,
            };
            prop_assert_eq!(bytes, message.encode_to_vec());
        }
    }
}
