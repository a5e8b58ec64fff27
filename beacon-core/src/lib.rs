//! Exactly-once stateful stream processing over a log.
//!
//! A small Flink-like operator library whose only transport is a log: Apache Kafka, or an embedded log that needs
//! nothing installed. The one promise: **the state and the outputs of a job are exactly those of reading every input
//! record once, in partition order** — through crashes, zombies, rebalances and lost disks.
//!
//! Modules, in the order they may use each other: [`time`], [`codec`], [`log`] (the contract), [`state`], [`timer`],
//! [`operator`], [`topology`], [`task`] are pure; [`runtime`] runs tasks over a log; [`testing`] runs them over memory
//! and virtual time; [`view`] reads compacted topics.
#![deny(missing_docs)]

pub mod codec;
pub mod log;
pub mod operator;
pub mod runtime;
pub mod state;
pub mod task;
pub mod testing;
pub mod time;
pub mod timer;
pub mod topology;
pub mod view;
