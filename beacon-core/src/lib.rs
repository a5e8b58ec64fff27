//! Exactly-once stateful stream processing over a log.
#![deny(missing_docs)]

pub mod codec;
pub mod log;
