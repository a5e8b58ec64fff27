//! What an operator's error asks the engine to do.

use crate::codec::CodecError;
use crate::state::StateError;

/// The result of one operator in one step.
pub type OpResult = Result<(), OpError>;

/// What to do with the record at hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// Take this step back, put the record into the dead letters with this reason, and go on: the record itself is
    /// wrong, and doing it again would not help.
    #[error("{0}")]
    DeadLetter(String),
    /// Take the commit at hand back and do it again in a while: something outside is missing for now.
    #[error("{0}")]
    Retry(String),
    /// Stop: going on would do damage, and a person must look.
    ///
    /// It is the application of this process that ends, all its threads and tasks: `App::wait` returns an error with the
    /// task, the operator, the record's topic, partition and offset (or the timer's deadline) and this reason. Nothing of
    /// the commit at hand is kept, so the record is the next one to be read; a start with a mended operator goes on exactly
    /// there. Other processes of the application take its tasks over, come to the same record and end in the same way, unless
    /// their operator decides otherwise: an application stands still rather than go on without one of its partitions.
    /// Without a topic for dead letters [`OpError::DeadLetter`] does the same, and a panic always does.
    #[error("{0}")]
    Stop(String),
    /// State could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl OpError {
    /// The record is wrong; the reason goes into its dead letter.
    pub fn dead_letter(reason: impl std::fmt::Display) -> Self {
        Self::DeadLetter(reason.to_string())
    }
}

impl From<CodecError> for OpError {
    /// Bytes of a record that cannot be read will not get better: dead letter.
    fn from(error: CodecError) -> Self {
        Self::DeadLetter(error.to_string())
    }
}
