//! What every process of Beacon does alike: the flags of the log and of checkpoints, structured logging, signals, metrics, the
//! progress of restores.
//!
//! What it deliberately does not do: anything about alerts.

pub mod checkpoints;
pub mod flags;
pub mod logging;
pub mod metrics;
pub mod restoring;
pub mod running;
mod screen;
pub mod signals;
