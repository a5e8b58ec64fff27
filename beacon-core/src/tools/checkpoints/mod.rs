//! Checkpoints as somebody sees them who looks after an application: which there are, whether their bytes are what was
//! uploaded, and whether a task comes back from them.
//!
//! What they deliberately do not do: delete anything of a living changelog. A running application cleans up after itself, and
//! these may be called beside it wherever the log lets two processes in. [`discard`] deletes what a reset or a rescale left
//! behind.

mod dry_run;
mod list;
mod survey;
mod verify;

pub use dry_run::{DryRun, Restored, restore_dry_run};
pub use list::{OtherHistory, discard, list, other_histories};
pub use survey::{ChainLink, Standing, TaskCheckpoints, survey};
pub use verify::{Verification, verify};
