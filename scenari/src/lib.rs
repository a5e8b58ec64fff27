//! A stage for incidents: real processes, a real Kafka, a real Prometheus, receivers that write down what reaches them.
//!
//! What it deliberately does not do: it mocks nothing, and it skips nothing. A part that is missing (no Java, no
//! `amtool`, no built `beacon`) fails the test with what to install. It is a library for tests and benchmarks: where a
//! test can only fail, functions panic with a message instead of returning an error.
//!
//! Invariant: whatever was started ends with the process that started it, even when that one is killed.

pub mod alert;
pub mod amtool;
pub mod azurite;
pub mod binaries;
pub mod certificates;
pub mod google;
pub mod http;
pub mod kafka;
pub mod metric;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod promtool;
pub mod proxy;
mod reaper;
mod runtime;
pub mod s3;
pub mod smtp;
mod spawner;
pub mod swift;
mod terminal;
pub mod tls;
pub mod topic;
pub mod tunnel;
pub mod wait;
pub mod webhook;
pub mod world;
