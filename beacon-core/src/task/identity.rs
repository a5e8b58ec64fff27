//! Which task it is, of which application.

use std::fmt;

/// Which task of its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskId {
    /// The task of a partition of the application: has state.
    Keyed(u32),
    /// Inputs with another partition count feed stateless steps only: no state, no timers.
    Stateless(u32),
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyed(partition) => write!(f, "{partition}"),
            Self::Stateless(partition) => write!(f, "stateless-{partition}"),
        }
    }
}

/// What a task needs to know of its application.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Which task it is.
    pub id: TaskId,
    /// Partition count of the application.
    pub partitions: u32,
}
