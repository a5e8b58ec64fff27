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
    v1::AlertEvent,
    v1::AlertState,
    v1::Delivery,
    v1::Notification,
    v1::Plan,
    v1::Silence,
    v1::internal::GroupChange,
);
