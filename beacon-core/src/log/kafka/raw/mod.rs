//! The thin unsafe layer over librdkafka: one folder, so that every promise made to C stands in one place.
//!
//! It wraps what the safe crate does too slowly or not at all: messages that outlive a poll, borrowed sends, rebalances that are
//! answered outside of their callback, the transaction calls without the safe crate's 100 ms steps, and administrative
//! requests that it does not have. It decides nothing: no retries, no error policy, no state of a session.
//!
//! Invariant: nothing outside of this folder is unsafe (`tests/layers.rs: only_what_calls_librdkafka_directly_is_unsafe`). Each
//! module states its own.

mod administration;
mod callbacks;
mod client;
mod codes;
mod consuming;
mod conversions;
#[cfg(test)]
mod leaderless_tests;
mod message;
#[cfg(test)]
mod played;
mod producing;

pub(super) use administration::AdminError;
pub(super) use callbacks::{Delivery, DeliverySink, NoDeliveries, Rebalance};
pub(super) use client::{Client, ClientKind, TopicMetadata};
pub(super) use codes::{CallError, errors_of};
pub(super) use consuming::Membership;
pub(super) use conversions::lock;
pub(super) use message::Message;
pub(super) use producing::{Outgoing, Topic};
