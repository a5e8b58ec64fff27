//! Beacon's public wire contract: the messages on its topics, and the list of topics.
//!
//! The messages are documented in `beacon/v1/*.proto`; a change keeps reading every older form.

pub mod fingerprint;
pub mod key;
pub mod topics;

/// Messages of the public contract, version 1.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/beacon.v1.rs"));

    /// Messages between steps of the pipeline.
    pub mod internal {
        include!(concat!(env!("OUT_DIR"), "/beacon.v1.internal.rs"));
    }
}

beacon_core::prost_codec!(
    v1::AlertState,
    v1::Delivery,
    v1::Notification,
    v1::Plan,
    v1::Silence,
    v1::internal::Group,
    v1::internal::GroupChange,
    v1::internal::Outbox,
    v1::internal::Send,
    v1::internal::Sent,
    v1::internal::TrackedAlert,
    v1::NotifiedAlert,
);

/// Protobuf, or a JSON object with the same field names: alerts are the public input, and people write them by hand.
///
/// The two cannot be confused: no AlertEvent in protobuf begins with `{`.
impl beacon_core::codec::Codec for v1::AlertEvent {
    fn encode(&self, out: &mut Vec<u8>) {
        prost::Message::encode(self, out).expect("a Vec grows as needed");
    }

    fn decode(bytes: &[u8]) -> Result<Self, beacon_core::codec::CodecError> {
        let wrong = |reason: String| beacon_core::codec::CodecError::new("AlertEvent", reason);
        if bytes.first() == Some(&b'{') {
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("JSON: {error}")))
        } else {
            prost::Message::decode(bytes).map_err(|error| wrong(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use beacon_core::codec::Codec;

    use super::v1::AlertEvent;

    #[test]
    fn alerts_are_read_as_protobuf_and_as_json() {
        let event = AlertEvent {
            labels: [("alertname".to_owned(), "Down".to_owned())].into(),
            received_at_ms: 5,
            ..AlertEvent::default()
        };
        assert_eq!(AlertEvent::decode(&event.to_bytes()), Ok(event.clone()));
        let json = br#"{"labels": {"alertname": "Down"}, "received_at_ms": 5}"#;
        assert_eq!(AlertEvent::decode(json), Ok(event));
        assert!(AlertEvent::decode(br#"{"label": {}}"#).is_err_and(|error| error.reason.contains("unknown field")));
    }
}
