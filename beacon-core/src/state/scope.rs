//! Where handles read and write: the contexts of steps, as traits that state can ask for.

use super::{Expiries, TaskState};
use crate::time::ProcessingTime;

/// Only contexts are scopes: an operator's code reads and writes inside of a step, or not at all.
pub(crate) mod sealed {
    /// A context of a step.
    pub trait Sealed {}
}

/// Where keyed handles read and write: the state of a task at the key of the current step.
///
/// Implemented by the engine's contexts only.
pub trait KeyedScope: sealed::Sealed {
    /// The task's state.
    fn state(&self) -> &TaskState;
    /// The task's state, to write.
    fn state_mut(&mut self) -> &mut TaskState;
    /// Key group and bytes of the current key.
    fn key_at(&self) -> (u16, &[u8]);
    /// The step's time.
    fn now(&self) -> ProcessingTime;
    /// What the task remembers of lifetimes.
    fn expiries(&self) -> &Expiries;
    /// State and lifetimes, to write.
    fn parts(&mut self) -> (&mut TaskState, &Expiries);
}

/// Where task-wide handles read: any step of the task. Implemented by the engine's contexts only.
pub trait SharedScope: sealed::Sealed {
    /// The task's state.
    fn shared_state(&self) -> &TaskState;
}

/// Where task-wide handles write: steps of broadcast records only, or tasks would drift apart.
pub trait SharedScopeMut: SharedScope {
    /// The task's state, to write.
    fn shared_state_mut(&mut self) -> &mut TaskState;
}
