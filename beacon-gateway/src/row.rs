//! An alert's state in little memory: one piece of text and the places in it.
//!
//! A hundred thousand of these are held at a time, and listing reads all of them; two trees of owned strings for each
//! would take several times the room.

use std::collections::BTreeMap;

use beacon_core::codec::{Codec, CodecError};
use beacon_proto::v1::AlertState;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What `alerts.state` says of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// Label names and values in turn, annotation names and values in turn, receivers, tenant, generator URL.
    text: Box<str>,
    /// Where each of those strings ends.
    ends: Box<[u32]>,
    labels: u32,
    annotations: u32,
    /// Identity of the labels.
    pub fingerprint: u64,
    /// Milliseconds since the epoch.
    pub starts_at_ms: i64,
    /// Milliseconds since the epoch.
    pub ends_at_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_at_ms: i64,
    /// The offset in `alerts` that this state reflects, in the partition of the same number.
    pub reflects_offset: u64,
    /// Its end has passed.
    pub resolved: bool,
}

/// Names with values of a row, sorted by name; prints as a JSON object.
#[derive(Clone, Copy, Debug)]
pub struct PairsOf<'a> {
    row: &'a AlertRow,
    first: usize,
    count: usize,
}

impl<'a> PairsOf<'a> {
    /// In the order of the names.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        (0..self.count).map(move |index| {
            let at = self.first + index * 2;
            (self.row.string(at), self.row.string(at + 1))
        })
    }

    /// The value of a name.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find_map(|(candidate, value)| (candidate == name).then_some(value))
    }

    /// The same as a map of its own.
    pub fn to_map(self) -> BTreeMap<String, String> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Serialize for PairsOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.count))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl AlertRow {
    fn string(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[index] as usize]
    }

    /// Its labels.
    pub fn labels(&self) -> PairsOf<'_> {
        PairsOf { row: self, first: 0, count: self.labels as usize }
    }

    /// Its annotations.
    pub fn annotations(&self) -> PairsOf<'_> {
        PairsOf { row: self, first: self.labels as usize * 2, count: self.annotations as usize }
    }

    /// Names of the receivers it is routed to, in the order of the routing tree.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        let first = (self.labels + self.annotations) as usize * 2;
        (first..self.ends.len() - 2).map(|index| self.string(index))
    }

    /// Where it comes from; may be empty.
    pub fn generator_url(&self) -> &str {
        self.string(self.ends.len() - 1)
    }

    /// Whose it is.
    pub fn tenant(&self) -> &str {
        self.string(self.ends.len() - 2)
    }

    /// Whether it has not ended at `now_ms`: what Alertmanager lists.
    pub fn is_firing(&self, now_ms: i64) -> bool {
        !self.resolved && self.ends_at_ms >= now_ms
    }
}

impl TryFrom<&AlertState> for AlertRow {
    type Error = CodecError;

    fn try_from(state: &AlertState) -> Result<Self, CodecError> {
        let wrong = |reason: String| CodecError::new("AlertState", reason);
        let fingerprint = u64::from_str_radix(&state.fingerprint, 16)
            .map_err(|_| wrong(format!("fingerprint {:?} is not hexadecimal", state.fingerprint)))?;
        let pairs = state.labels.iter().chain(&state.annotations).flat_map(|(name, value)| [name, value]);
        let strings = pairs.chain(&state.receivers).chain([&state.tenant, &state.generator_url]);
        let mut text = String::with_capacity(strings.clone().map(String::len).sum());
        let mut ends =
            Vec::with_capacity((state.labels.len() + state.annotations.len()) * 2 + state.receivers.len() + 2);
        for string in strings {
            text.push_str(string);
            ends.push(u32::try_from(text.len()).map_err(|_| wrong("more than 4 GiB of text".to_owned()))?);
        }
        Ok(Self {
            text: text.into_boxed_str(),
            ends: ends.into_boxed_slice(),
            labels: state.labels.len() as u32,
            annotations: state.annotations.len() as u32,
            fingerprint,
            starts_at_ms: state.starts_at_ms,
            ends_at_ms: state.ends_at_ms,
            updated_at_ms: state.updated_at_ms,
            reflects_offset: state.reflects_offset,
            resolved: state.resolved,
        })
    }
}

impl From<&AlertRow> for AlertState {
    fn from(row: &AlertRow) -> Self {
        Self {
            tenant: row.tenant().to_owned(),
            fingerprint: format!("{:016x}", row.fingerprint),
            labels: row.labels().to_map(),
            annotations: row.annotations().to_map(),
            starts_at_ms: row.starts_at_ms,
            ends_at_ms: row.ends_at_ms,
            updated_at_ms: row.updated_at_ms,
            generator_url: row.generator_url().to_owned(),
            receivers: row.receivers().map(str::to_owned).collect(),
            reflects_offset: row.reflects_offset,
            resolved: row.resolved,
        }
    }
}

impl Codec for AlertRow {
    fn encode(&self, out: &mut Vec<u8>) {
        Codec::encode(&AlertState::from(self), out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::try_from(&<AlertState as Codec>::decode(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_of_a_state_is_lost(
            tenant: String,
            labels: BTreeMap<String, String>,
            annotations: BTreeMap<String, String>,
            receivers: Vec<String>,
            generator_url: String,
            numbers: (u64, i64, i64, i64, u64),
            resolved: bool,
        ) {
            let state = AlertState {
                tenant,
                fingerprint: format!("{:016x}", numbers.0),
                labels,
                annotations,
                starts_at_ms: numbers.1,
                ends_at_ms: numbers.2,
                updated_at_ms: numbers.3,
                generator_url,
                receivers,
                reflects_offset: numbers.4,
                resolved,
            };
            let row = AlertRow::decode(&Codec::to_bytes(&state)).expect("a valid state");
            prop_assert_eq!(&AlertState::from(&row), &state);
            prop_assert_eq!(Codec::to_bytes(&row), Codec::to_bytes(&state));
            for (name, value) in &state.labels {
                prop_assert_eq!(row.labels().get(name), Some(value.as_str()));
            }
        }
    }

    #[test]
    fn a_fingerprint_that_is_none_is_a_broken_value() {
        let state = AlertState { fingerprint: "xyz".to_owned(), ..AlertState::default() };
        assert_eq!(
            AlertRow::decode(&Codec::to_bytes(&state)).expect_err("broken").to_string(),
            "not a AlertState: fingerprint \"xyz\" is not hexadecimal"
        );
    }
}
