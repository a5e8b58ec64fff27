//! Why a tool cannot do what it was asked.

use crate::checkpoint::ObjectError;
use crate::log::LogError;
use crate::state::division::DivisionError;
use crate::task::TaskError;

/// Why a tool refused, or stopped half-way; nothing is changed by a refusal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// Processes of the application are at work.
    #[error(
        "application `{application}` is at work ({}): stop it first; a process that was killed counts until its session \
         expires",
        .members.join(", ")
    )]
    AtWork {
        /// The application or group.
        application: String,
        /// Who is in its group.
        members: Vec<String>,
    },
    /// The application never ran on this log.
    #[error("application `{application}` never ran on {log}: it has no topic {changelog}")]
    NeverRan {
        /// The application.
        application: String,
        /// The log.
        log: String,
        /// Its changelog.
        changelog: String,
    },
    /// Something is not as the tool needs it; the text says what, and the way out.
    #[error("{0}")]
    Refused(String),
    /// State cannot be divided.
    #[error("application `{application}`: {source}")]
    Division {
        /// The application.
        application: String,
        /// Why.
        #[source]
        source: DivisionError,
    },
    /// A task's state could not be brought up.
    #[error("application `{application}`, task {task}: {source}")]
    Task {
        /// The application.
        application: String,
        /// The task.
        task: u32,
        /// Why.
        #[source]
        source: TaskError,
    },
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Object storage failed.
    #[error(transparent)]
    Storage(#[from] ObjectError),
}
