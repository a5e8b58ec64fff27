//! Simulation: several processes of a job, run by one thread in virtual time, with faults chosen by a seed.
//!
//! The processes run what production runs: stream threads, tasks, commits, restore. Only the edges are exchanged: a
//! [`SimulatedLog`](crate::log::simulated::SimulatedLog), a disk in memory that loses what was not flushed, a clock that
//! moves when nobody has anything to do. Any process can die, stand still or be replaced in any call of log or disk.
//! When the faults are over the run comes to rest, and its log is looked at: outputs and state must be those of a run in
//! which nothing went wrong, and every invariant of yours must hold.
//!
//! One seed is one course of events, to the byte, on every machine. A failing one says what it did, and can be run again.
//!
//! ```
//! use std::time::Duration;
//! use beacon_core::log::{CleanupPolicy, Record, TopicSpec};
//! use beacon_core::testing::simulation::{Faults, Simulation};
//! use beacon_core::topology::{Topic, TopologyBuilder};
//!
//! let (orders, totals) = (Topic::<u64>::new("orders"), Topic::<u64>::new("totals"));
//! let app = TopologyBuilder::new("totals");
//! app.source("orders", &orders)
//!     .key_by("parity", |order| order % 2)
//!     .reduce("total", |order| *order, |total, order| total + order)
//!     .sink("totals", &totals, |total| total.to_be_bytes().to_vec());
//! # let _ = app;
//! ```
//!
//! What it deliberately does not do: it starts no thread, reads no clock, and does not touch the file system.

mod caller;
mod disk;
mod faults;
mod finished;
mod hands;
mod outcome;
mod random;
mod scheduler;
mod settings;
mod trace;
mod world;

pub use caller::SimulatedCaller;
pub use faults::{Fault, Faults};
pub use finished::{ByKey, Finished};
pub use outcome::{Failure, Run, Summary};
pub use settings::{Compared, Simulation};
