//! The ways to tell somebody: one folder per channel.
//!
//! A channel is built once from its part of the plan, which is where everything that is wrong with that part is refused;
//! then it sends any number of notifications. It makes one attempt and reports what came of it: whether and when there is
//! another one is not its business, nor is any record of it.
//!
//! Invariant: neither a channel's `Debug` nor any detail or error it gives contains an address of a webhook, a password or
//! a token.

pub mod email;
pub mod terminal;
pub mod trust;
pub mod webhook;

/// A part of the plan with which a channel cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct ChannelError {
    /// The key in the integration's configuration.
    pub setting: &'static str,
    /// What is wrong with its value, and what to write instead.
    pub reason: String,
}

impl ChannelError {
    /// Names the key and the reason.
    pub fn new(setting: &'static str, reason: impl Into<String>) -> Self {
        Self { setting, reason: reason.into() }
    }

    /// For a secret that the plan only knows the existence of.
    pub(crate) fn redacted(setting: &'static str) -> Self {
        Self::new(
            setting,
            "is `<secret>`: this plan was read back from the log, which never holds secrets; give the notifier the \
             configuration file itself",
        )
    }
}
