//! Durable appends from async code.

use std::fmt;
use std::time::Duration;

use beacon_core::log::{Appender, LogError, LogErrorKind, Position, Record};
use tokio::sync::oneshot;

/// Appends and waits for durability without holding a thread.
pub struct Writer {
    appender: Box<dyn Appender>,
    timeout: Duration,
}

impl Writer {
    /// An append that takes longer than `timeout` fails as retriable.
    pub fn new(appender: Box<dyn Appender>, timeout: Duration) -> Self {
        Self { appender, timeout }
    }

    /// Appends; returns the positions, in the order given, when all of it is durable.
    ///
    /// # Errors
    /// Those of the log. After an error, also a time-out, some of the records may be in the log, or still get there:
    /// the caller repeats the whole, or has its client do so.
    pub async fn append(&self, records: Vec<Record>) -> Result<Vec<Position>, LogError> {
        let (sender, receiver) = oneshot::channel();
        self.appender.append(
            records,
            // A receiver that is gone has given up waiting; nobody else wants the answer.
            Box::new(move |result| drop(sender.send(result))),
        );
        match tokio::time::timeout(self.timeout, receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(LogError::new(LogErrorKind::Fatal, "the log dropped an append without an answer")),
            Err(_) => Err(LogError::new(
                LogErrorKind::Retriable,
                format!("the log did not confirm an append within {} ms", self.timeout.as_millis()),
            )),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
