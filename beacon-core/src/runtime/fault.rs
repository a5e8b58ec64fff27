//! What interrupts the normal course of a stream thread, and which error leads where.

use super::app::AppError;
use crate::log::{LogError, LogErrorKind};
use crate::state::StateError;
use crate::task::{TaskError, TaskId};

/// What interrupts the normal course of a thread.
#[derive(Debug)]
pub(super) enum Fault {
    /// Drop the commit at hand, go back to the last one, wait a little.
    Abort(String),
    /// Somebody newer exists: forget everything and join again.
    Fenced(String),
    /// What this thread holds in memory is not certain any more: forget it, join again, and restore from the log.
    Rejoin(String),
    /// End the thread.
    Fatal(AppError),
}

impl Fault {
    /// The same where going back is not enough: what should have been done would never be done again.
    pub(super) fn not_undone(self) -> Self {
        match self {
            Self::Abort(reason) => Self::Rejoin(reason),
            other => other,
        }
    }
}

/// Whether the same may succeed later, without a person.
pub(super) fn is_passing(error: &LogError) -> bool {
    matches!(
        error.kind(),
        LogErrorKind::Retriable | LogErrorKind::Fenced | LogErrorKind::Abortable | LogErrorKind::Full
    )
}

/// Makes faults of errors, with the application's name.
#[derive(Clone, Debug)]
pub(super) struct Blame {
    pub(super) application: String,
}

impl Blame {
    pub(super) fn log_error(&self, source: LogError) -> AppError {
        AppError::Log { application: self.application.clone(), source }
    }

    pub(super) fn log(&self, error: LogError) -> Fault {
        match error.kind() {
            LogErrorKind::Fenced => Fault::Fenced(error.to_string()),
            LogErrorKind::Abortable | LogErrorKind::Retriable | LogErrorKind::Full => Fault::Abort(error.to_string()),
            _ => Fault::Fatal(self.log_error(error)),
        }
    }

    /// State that could not be read or written, none of it in doubt.
    pub(super) fn state(&self, id: TaskId, source: StateError) -> Fault {
        match source {
            // A store that could not write has to be opened again before it writes anything; one that is damaged is
            // removed then, and its task restored.
            StateError::Full(_) | StateError::Damaged(_) => Fault::Rejoin(format!("task {id}: {source}")),
            source => {
                Fault::Fatal(AppError::State { application: self.application.clone(), task: id.to_string(), source })
            }
        }
    }

    pub(super) fn task(&self, id: TaskId, source: TaskError) -> Fault {
        match source {
            TaskError::Retry { at, reason } => Fault::Abort(format!("{at}: {reason}")),
            TaskError::Log(error) => self.log(error),
            TaskError::State(error) => match self.state(id, error) {
                Fault::Fatal(AppError::State { source, .. }) => self.task_ended(id, source.into()),
                other => other,
            },
            source => self.task_ended(id, source),
        }
    }

    /// What became of a step of a task's operators, a panic among it.
    pub(super) fn step<T>(
        &self,
        id: TaskId,
        result: std::thread::Result<Result<T, TaskError>>,
        at: impl Fn() -> String,
    ) -> Result<T, Fault> {
        match result {
            Ok(result) => result.map_err(|source| self.task(id, source)),
            Err(panic) => {
                let reason = format!("an operator panicked: {}", panic_text(panic.as_ref()));
                Err(self.task(id, TaskError::Stop { at: at(), reason }))
            }
        }
    }

    fn task_ended(&self, id: TaskId, source: TaskError) -> Fault {
        Fault::Fatal(AppError::Task { application: self.application.clone(), task: id.to_string(), source })
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a message".to_owned())
}
