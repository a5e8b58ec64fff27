//! What the runtime promises, on the embedded log.

mod backlog;
mod calls;
mod checkpoints;
mod damage;
mod errors;
mod faults;
mod full_disk;
mod handover;
mod incremental;
mod kills;
mod memory;
mod metrics;
mod operators;
mod plant;
mod rebalance;
mod rescale;
mod rescale_kills;
mod restores;
mod rig;
mod set_aside;
mod silent;
mod storage_trouble;
mod tails;
mod trimming;
mod versions;
