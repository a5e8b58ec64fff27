//! Simulation: several processes of a job, run by one thread in virtual time, with faults chosen by a seed.
//!
//! The processes run what production runs: stream threads, tasks, commits, restore. Only the edges are exchanged: a
//! [`SimulatedLog`](crate::log::simulated::SimulatedLog), a disk in memory that loses what was not flushed, a clock that
//! moves when nobody has anything to do. Any process can die, stand still or be replaced in any call of log or disk.
//! When the faults are over the run comes to rest, and its log is looked at: outputs and state must be those of a run in
//! which nothing went wrong, and every invariant of yours must hold.
//!
//! One seed is one course of events, to the byte, in every process
//! (`tests/simulation/replay.rs: one_seed_is_one_course_of_events_in_every_process`). A failing one says what it did, and can be run
//! again.
//!
//! ```
//! use std::time::Duration;
//! use beacon_core::log::{CleanupPolicy, Record, TopicSpec};
//! use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
//! use beacon_core::state::Value;
//! use beacon_core::testing::simulation::{Faults, Simulation};
//! use beacon_core::topology::{Topic, TopologyBuilder};
//!
//! struct Total { total: Value<u64> }
//!
//! impl KeyedProcess for Total {
//!     type Key = u64;
//!     type In = u64;
//!     type Out = u64;
//!     type Timer = ();
//!
//!     fn on_record(&self, amount: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
//!         let total = self.total.get(ctx)?.unwrap_or(0) + amount;
//!         self.total.set(ctx, &total);
//!         ctx.emit(total)
//!     }
//! }
//!
//! let (orders, totals) = (Topic::<u64>::new("orders"), Topic::<u64>::new("totals"));
//! let app = TopologyBuilder::new("shop");
//! app.source("orders", &orders)
//!     .key_by("parity", |order| order % 2)
//!     .process("total", |state| Total { total: state.value("total") })
//!     .sink("totals", &totals, |total| (total % 2).to_be_bytes().to_vec());
//!
//! let topic = |name: &str| TopicSpec {
//!     name: name.to_owned(),
//!     partitions: 4,
//!     cleanup: CleanupPolicy::Delete { retention: None },
//! };
//! let order = |number: u64| {
//!     let record = Record::new("orders", "one customer", (number * 2).to_be_bytes());
//!     (Duration::from_millis(number * 100), record)
//! };
//! let summary = Simulation::new(app.build()?)
//!     .topics([topic("orders"), topic("totals")])
//!     .input(move |_seed| (0..20).map(order).collect())
//!     .faults(Faults::all())
//!     .seeds(0..10)
//!     .invariant("the last total is that of all orders", |finished| {
//!         let totals = finished.values(&Topic::<u64>::new("totals"))?;
//!         let last = totals.values().flatten().max().copied();
//!         if last == Some(380) { Ok(()) } else { Err(format!("it is {last:?}")) }
//!     })
//!     .run()?;
//! println!("{summary}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
mod storage;
mod trace;
mod world;

#[cfg(test)]
mod planted_tests;

pub use caller::SimulatedCaller;
pub use faults::{Fault, Faults};
pub use finished::{ByKey, Finished};
pub use outcome::{Failure, Run, Summary};
pub use settings::{Compared, Simulation};
