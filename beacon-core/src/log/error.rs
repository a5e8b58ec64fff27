//! Errors of a log: few kinds, each of which says what the caller does next.

use std::error::Error;
use std::fmt;

/// What to do about a [`LogError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogErrorKind {
    /// A newer owner exists: drop the session, make a new one, rebuild from the log.
    Fenced,
    /// The transaction must be aborted and done again.
    Abortable,
    /// A passing trouble (broker away, time-out): the same call may succeed later.
    Retriable,
    /// The topic or partition does not exist.
    UnknownTopic,
    /// A topic exists with other settings than asked for.
    Mismatch,
    /// The asked-for offset was trimmed away: state has to come from a checkpoint.
    Trimmed,
    /// No room left on the device: nothing was written; free space and go on.
    Full,
    /// Stored bytes fail their check: the message names the file or directory.
    Damaged,
    /// Another process owns the log's directory.
    Locked,
    /// The record is larger than the log takes.
    TooLarge,
    /// A wrong setting or a refused login: a person must change something.
    Configuration,
    /// Anything else; the process should stop.
    Fatal,
}

/// An error that names the thing (topic, partition, path) and the way out.
pub struct LogError {
    kind: LogErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl LogError {
    /// An error without an inner cause.
    pub fn new(kind: LogErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the error that caused it, which [`Error::source`] returns.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> LogErrorKind {
        self.kind
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why a commit did not say "committed".
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing became visible; abort, seek back, and do the work again.
    #[error("commit refused, to be aborted: {0}")]
    Abortable(#[source] LogError),
    /// A newer owner exists; nothing of this session becomes visible any more.
    #[error("commit fenced: {0}")]
    Fenced(#[source] LogError),
    /// The outcome is not known; call commit again.
    #[error("commit outcome unknown, ask again: {0}")]
    Unknown(#[source] LogError),
    /// The session cannot go on, and another one would end the same: a person has to act.
    #[error("commit failed: {0}")]
    Fatal(#[source] LogError),
}
