//! What every process of Beacon does alike: the flags of the log, structured logging, signals, metrics.
//!
//! What it deliberately does not do: anything about alerts.

pub mod flags;
pub mod logging;
pub mod metrics;
pub mod running;
pub mod signals;
