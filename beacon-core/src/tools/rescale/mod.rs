//! Changing the partition count of applications together with their state.
//!
//! What is supported: from and to are powers of two; all applications that share topics are changed in one go. Each
//! topic whose count has to follow is made anew: the changelogs from the divided state, internal topics empty (they must
//! have been read to their ends), and the topics given in [`Rescale::topics`] with all their records, each record in the
//! partition of its key, in the order it had among records of that key. Afterwards every application stands at the ends
//! of its inputs, where it stood before. Sources that only feed a re-key may have any count and are left alone.
//!
//! Nothing is destroyed before everything was copied; from then on the journal carries a tool that is killed through to
//! the end (`tests/embedded/rescale_kills.rs: a_rescale_killed_at_any_step_goes_on_when_it_is_called_again`). Every offset of a topic made anew changes, so processes that hold offsets (views) have to be started again,
//! and state on local disks is recognised as old and removed at the next start.

mod carry_out;
mod copy;
mod plan;
mod state;

pub use carry_out::rescale;
pub use plan::{RescaleStep, plan_rescale};

use crate::log::TopicSpec;
use crate::runtime::AppConfig;
use crate::topology::Topology;

/// What shall be changed.
#[derive(Clone)]
pub struct Rescale<'a> {
    /// All applications that share the topics, each with the settings its processes have; where state is kept is used
    /// to shorten the restore.
    pub applications: Vec<(&'a Topology, AppConfig)>,
    /// Topics to make anew with their records; their `partitions` is the new count.
    pub topics: Vec<TopicSpec>,
    /// Groups of others that read those topics. They must have read everything; they are set to the new ends.
    pub readers: Vec<String>,
    /// The new partition count.
    pub to: u32,
}
