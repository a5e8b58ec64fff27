//! Why a task cannot go on as it is.

use crate::log::LogError;
use crate::state::StateError;

use super::ChangelogError;

/// What the thread that runs the task has to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// An operator asked for another try later: abort, wait, do the records again.
    #[error("{at}: to be tried again: {reason}")]
    Retry {
        /// Operator input and record coordinates.
        at: String,
        /// The operator's reason.
        reason: String,
    },
    /// An operator refused to go on, or panicked: nothing of this commit may be kept.
    #[error("{at}: {reason}")]
    Stop {
        /// Operator input and record coordinates.
        at: String,
        /// The reason.
        reason: String,
    },
    /// Sending failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// State failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The changelog holds something else than a changelog.
    #[error(transparent)]
    Changelog(#[from] ChangelogError),
}
