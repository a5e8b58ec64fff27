//! Exactly-once stateful stream processing over a log.
//!
//! A small Flink-like operator library whose only transport is a log: Apache Kafka, or an embedded log that needs
//! nothing installed. The one promise: **the state and the outputs of a job are exactly those of reading every input
//! record once, in partition order** — through crashes, zombies, rebalances and lost disks.
//!
//! A host that is silent for a minute, as a job and as its test:
//!
//! ```
//! use std::time::Duration;
//! use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
//! use beacon_core::state::{Registry, Value};
//! use beacon_core::testing::TestDriver;
//! use beacon_core::timer_tags;
//! use beacon_core::topology::{Topic, TopologyBuilder};
//!
//! timer_tags! { enum Deadline { Silence = 1 } }
//!
//! struct SilenceDetector { beats: Value<u64> }
//!
//! impl SilenceDetector {
//!     fn new(state: &mut Registry) -> Self {
//!         Self { beats: state.value("beats") }
//!     }
//! }
//!
//! impl KeyedProcess for SilenceDetector {
//!     type Key = String;
//!     type In = String;
//!     type Out = String;
//!     type Timer = Deadline;
//!
//!     fn on_record(&self, _beat: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
//!         let beats = self.beats.get(ctx)?.unwrap_or(0) + 1;
//!         self.beats.set(ctx, &beats);
//!         ctx.set_timer(Deadline::Silence, ctx.processing_time() + Duration::from_secs(60))
//!     }
//!
//!     fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
//!         let beats = self.beats.get(ctx)?.unwrap_or(0);
//!         ctx.emit(format!("{} is silent after {beats} beats", ctx.key()))
//!     }
//! }
//!
//! let (heartbeats, alerts) = (Topic::<String>::new("heartbeats"), Topic::<String>::new("alerts"));
//! let app = TopologyBuilder::new("silence-watch");
//! app.source("heartbeats", &heartbeats)
//!     .key_by("host", |host| host.clone())
//!     .process("silence", SilenceDetector::new)
//!     .sink("alerts", &alerts, |alert| alert.clone().into_bytes());
//! let topology = app.build()?;
//!
//! let mut driver = TestDriver::new(topology, 4);
//! driver.send(&heartbeats, b"web-1", &"web-1".to_owned());
//! driver.advance(Duration::from_secs(59));
//! assert!(driver.output(&alerts).is_empty());
//! driver.crash_and_restore();
//! driver.advance(Duration::from_secs(1));
//! assert_eq!(driver.output(&alerts), ["web-1 is silent after 1 beats"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`runtime::App`] runs the same topology over a [`log::Log`]: `log::kafka::KafkaLog` or `log::embedded::EmbeddedLog`.
//!
//! Modules, in the order they may use each other: [`time`], [`codec`], [`log`] (the contract), [`state`], [`timer`],
//! [`operator`], [`topology`], [`task`] are pure; [`runtime`] runs tasks over a log; [`testing`] runs them over memory
//! and virtual time; [`view`] reads compacted topics.
#![deny(missing_docs)]

// What the tests of simulation share with tests outside of the crate names it as those do.
#[cfg(test)]
extern crate self as beacon_core;

pub mod codec;
pub mod log;
pub mod metrics;
pub mod operator;
mod planted;
pub mod runtime;
pub mod state;
pub mod task;
pub mod testing;
pub mod time;
pub mod timer;
pub mod tools;
pub mod topology;
pub mod view;
