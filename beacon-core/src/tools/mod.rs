//! Tools for who operates a job: lag, who holds a partition's stable end back, checkpoints, reset, rescale.
//!
//! Each is a library function over a [`Log`](crate::log::Log) and a topology: what to do is decided by pure functions over
//! what the log answers and can be shown before it is done; only the last step acts. What they deliberately do not do:
//! they stop no process, and refuse to touch an application that is at work.

pub mod checkpoints;
mod error;
mod lag;
mod maintenance;
mod reading;
mod rescale;
mod reset;
mod stable;

pub use error::ToolError;
pub use lag::{InputKind, PartitionLag, lag};
pub use rescale::{Rescale, RescaleStep, plan_rescale, rescale};
pub use reset::{ResetPlan, ResetTo, plan_reset, reset};
pub use stable::{Holder, holders};
