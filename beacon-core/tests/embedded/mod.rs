//! What the runtime promises, on the embedded log.

mod backlog;
mod calls;
mod checkpoints;
mod errors;
mod faults;
mod full_disk;
mod kills;
mod memory;
mod operators;
mod rebalance;
mod rescale;
mod rig;
mod trimming;
