//! Where handles read and write: the contexts of steps, as traits that state can ask for.

use super::TaskState;

/// Where keyed handles read and write: the state of a task at the key of the current step.
pub trait KeyedScope {
    /// The task's state.
    fn state(&self) -> &TaskState;
    /// The task's state, to write.
    fn state_mut(&mut self) -> &mut TaskState;
    /// Key group and bytes of the current key.
    fn key_at(&self) -> (u16, &[u8]);
}

/// Where task-wide handles read: any step of the task.
pub trait SharedScope {
    /// The task's state.
    fn shared_state(&self) -> &TaskState;
}

/// Where task-wide handles write: steps of broadcast records only, or tasks would drift apart.
pub trait SharedScopeMut: SharedScope {
    /// The task's state, to write.
    fn shared_state_mut(&mut self) -> &mut TaskState;
}
