//! Testing a job without a log: the production topology, real bytes through the codecs, time moved by hand.

mod driver;
pub mod simulation;

pub use driver::{TakenCall, TestDriver};
