//! What came of one attempt to deliver a notification.

use std::time::Duration;

/// What came of one attempt. Details are short, on one line, for the ledger and for people; they hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The other side took it: not to be sent again.
    Accepted {
        /// What it said.
        detail: String,
    },
    /// It failed in a way that may pass: to be tried again.
    ///
    /// After a time-out the other side may have taken it nevertheless; the next attempt carries the same idempotency key.
    Retry {
        /// What went wrong.
        detail: String,
        /// How long the other side asked to be left alone, if it did.
        after: Option<Duration>,
    },
    /// Trying again would fail in the same way: to be given up, with a dead letter.
    Dead {
        /// What is wrong, and where to change it.
        detail: String,
    },
}

impl Attempt {
    /// The detail, whatever came of it.
    pub fn detail(&self) -> &str {
        match self {
            Self::Accepted { detail } | Self::Retry { detail, .. } | Self::Dead { detail } => detail,
        }
    }
}
