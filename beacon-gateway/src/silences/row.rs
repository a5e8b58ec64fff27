//! A silence as read from the topic, with its matchers compiled.

use beacon_core::codec::{Codec, CodecError};
use beacon_plan::matcher::Matcher;
use beacon_plan::silence::{self, State};
use beacon_proto::v1;

/// A silence, ready to match.
#[derive(Clone, Debug, PartialEq)]
pub struct SilenceRow {
    /// The message.
    pub silence: v1::Silence,
    /// Its matchers, in its order.
    pub matchers: Vec<Matcher>,
}

impl SilenceRow {
    /// Its state at a moment.
    pub fn state(&self, now_ms: i64) -> State {
        silence::state(&self.silence, now_ms)
    }
}

impl Codec for SilenceRow {
    fn encode(&self, out: &mut Vec<u8>) {
        Codec::encode(&self.silence, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let silence = <v1::Silence as Codec>::decode(bytes)?;
        let matchers = silence::compile(&silence)
            .map_err(|error| CodecError::new("Silence", format!("silence {}: {error}", silence.id)))?;
        Ok(Self { silence, matchers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_of_the_future_is_a_broken_value_that_names_the_silence() {
        let matcher = v1::Matcher { r#type: 77, name: "a".to_owned(), pattern: "b".to_owned() };
        let silence = v1::Silence { id: "7".to_owned(), matchers: vec![matcher], ..v1::Silence::default() };
        let error = SilenceRow::decode(&Codec::to_bytes(&silence)).expect_err("broken");
        assert!(error.reason.starts_with("silence 7: "), "{error}");
    }
}
