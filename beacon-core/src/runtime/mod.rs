//! Runs a topology over a log: stream threads, commits, restore, calls.
//!
//! Each thread owns one session of the log and the tasks of the partitions it was given; no record and no state passes
//! from one to another. What they share is memory for caches, the claims on state directories, what uploads are under way,
//! and counters. The clock that a job goes by is read here, and its threads are started here and in the log. The other
//! edges of the crate are listed in `tests/layers.rs: the_edges_are_where_this_test_thinks_they_are`.
//!
//! Invariant: a task's store changes only after the log has said "committed", and only by what was in that commit
//! (`tests/simulation/main.rs: every_seed_ends_as_a_calm_run_does_first_half`, and a program that does otherwise is found:
//! `src/testing/simulation/planted_tests.rs: state_applied_before_its_commit_is_found`).

mod app;
mod bring_up;
mod calls;
mod checkpointing;
mod claims;
mod commit;
mod committing;
mod config;
mod copies;
mod environment;
mod fault;
mod feeding;
mod forgotten;
mod head_start;
mod intake;
mod joining;
mod link;
mod look_upstream;
mod memory;
mod opening;
mod prepare;
mod process;
mod progress;
mod removal;
mod restore;
mod rivalry;
mod slot;
mod standby;
mod stats;
mod stores;
mod thread;
mod trimming;
mod upkeep;
mod upstream;
mod watch;

pub use app::{App, AppError, AppStatus};
pub use bring_up::{bring_up, fetch_checkpoint};
pub use config::{AppConfig, Membership, StateLocation};
pub(crate) use memory::TableMemory;
pub use memory::{MemoryBudget, StoreMemory};
pub use prepare::internal_topics;
pub use progress::{RestorePhase, RestoreProgress, time_left};
pub use stats::{Stats, StatsSnapshot};
pub use watch::AppWatch;

pub(crate) use environment::{Background, Environment};
pub(crate) use process::{SteppedThread, Surroundings};
pub(crate) use stores::TaskStores;
pub(crate) use thread::Next;
