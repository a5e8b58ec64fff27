//! From a notification to the channel that it is for: one attempt, within bounds.
//!
//! A [`Dispatcher`] knows the receivers of one plan at a time. It bounds what one target may hold up: attempts in flight
//! ([`Integration`]'s kind decides how many) and the time of each. Targets share nothing that can fill up, and the journal
//! hands attempts over in a lane for each target, so a slow receiver never delays another (`tests/slow_receiver.rs`).
//!
//! It keeps no record and never tries again by itself: the journal does that, with [`crate::decide::retry`].

mod target;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use beacon_plan::receiver::{Integration, Receiver, Target};
use beacon_proto::v1::Notification;

use self::target::Sender;
use crate::{
    attempt::Attempt,
    channel::{ChannelError, terminal::Terminal, trust::Trust, webhook},
    finishing::Attempts,
    metrics::Metrics,
    render::plain,
};

/// The limit for one attempt where neither the plan nor the channel has another.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest id of a notification that is sent.
const MAX_ID_BYTES: usize = 128;

/// An integration of the plan that cannot work as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("receiver {target}: {error}")]
pub struct DispatcherError {
    /// Which one: `receiver/kind[index]`.
    pub target: Target,
    /// What is wrong with it.
    pub error: ChannelError,
}

/// Delivers notifications to the receivers of a plan.
#[derive(Debug)]
pub struct Dispatcher {
    external_url: Arc<str>,
    terminal: Terminal,
    trust: Option<Trust>,
    senders: RwLock<Senders>,
    metrics: Arc<Metrics>,
    attempts: Arc<Attempts>,
}

type Senders = Arc<BTreeMap<Target, Arc<Sender>>>;

impl Dispatcher {
    /// Builds the channels of `receivers` (a plan's). `external_url` is where Beacon is reached from outside, for links; a
    /// slash at its end is dropped. Pages for `terminal` integrations go to `terminal`.
    ///
    /// # Errors
    ///
    /// Naming the first integration that cannot work and why; nothing is sent with half a plan.
    pub fn new<'a>(
        receivers: impl IntoIterator<Item = &'a Receiver>,
        external_url: &str,
        terminal: Terminal,
    ) -> Result<Self, DispatcherError> {
        Self::build(receivers, external_url, terminal, None)
    }

    /// As [`Dispatcher::new`], trusting `trust` instead of the authorities of this machine.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::new`].
    pub fn with_trust<'a>(
        receivers: impl IntoIterator<Item = &'a Receiver>,
        external_url: &str,
        terminal: Terminal,
        trust: Trust,
    ) -> Result<Self, DispatcherError> {
        Self::build(receivers, external_url, terminal, Some(trust))
    }

    fn build<'a>(
        receivers: impl IntoIterator<Item = &'a Receiver>,
        external_url: &str,
        terminal: Terminal,
        trust: Option<Trust>,
    ) -> Result<Self, DispatcherError> {
        let external_url = external_url.trim_end_matches('/').into();
        let dispatcher = Self {
            external_url,
            terminal,
            trust,
            senders: RwLock::default(),
            metrics: Arc::default(),
            attempts: Arc::default(),
        };
        dispatcher.reload(receivers)?;
        Ok(dispatcher)
    }

    /// Takes over the receivers of a new plan. Attempts under way end as they began; what the new plan has unchanged keeps
    /// its bounds and connections. Certificate authorities of the machine are read anew, for what did change.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::new`]; the receivers stay what they were.
    pub fn reload<'a>(&self, receivers: impl IntoIterator<Item = &'a Receiver>) -> Result<(), DispatcherError> {
        let old = self.senders();
        let trust = self.trust.clone().unwrap_or_else(Trust::of_system);
        let mut clients = None;
        let mut senders = BTreeMap::new();
        for integration in receivers.into_iter().flat_map(|receiver| &receiver.integrations) {
            let sender = match old.get(&integration.target) {
                Some(sender) if sender.is_for(&integration.channel) => Arc::clone(sender),
                Some(_) | None => Arc::new(self.sender(integration, &trust, &mut clients)?),
            };
            senders.insert(integration.target.clone(), sender);
        }
        *self.senders.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(senders);
        Ok(())
    }

    fn sender(
        &self,
        integration: &Integration,
        trust: &Trust,
        clients: &mut Option<webhook::Clients>,
    ) -> Result<Sender, DispatcherError> {
        let material = target::Material { external_url: &self.external_url, terminal: &self.terminal, trust, clients };
        Sender::new(&integration.channel, material)
            .map_err(|error| DispatcherError { target: integration.target.clone(), error })
    }

    /// Makes one attempt to deliver `notification` to its target.
    ///
    /// Waits while as many attempts to the same target are under way as its channel allows; the time limit of the attempt
    /// begins after that. Dropping the future ends the attempt; the other side may have the notification nevertheless.
    ///
    /// A target that the plan doesn't have is [`Attempt::Retry`]: plans reach processes at different times, and a new
    /// receiver's first page must not be lost to that. One that left the plan is tried until the notification expires.
    pub async fn deliver(&self, notification: &Notification) -> Attempt {
        if !is_fit(&notification.id) {
            let id = plain::shorten(&plain::one_line(&notification.id), MAX_ID_BYTES);
            return Attempt::Dead {
                detail: format!("`{id}` is no id of a notification: letters, digits, `-`, `_`, `.`"),
            };
        }
        match self.find(notification) {
            Ok(sender) => sender.attempt(notification, &self.metrics).await,
            Err(attempt) => attempt,
        }
    }

    /// What is counted of deliveries: attempts here, ends of notifications by the journal.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// What is under way.
    pub fn attempts(&self) -> Arc<Attempts> {
        Arc::clone(&self.attempts)
    }

    fn find(&self, notification: &Notification) -> Result<Arc<Sender>, Attempt> {
        let dead = |detail| Attempt::Dead { detail };
        let target = notification.target.as_ref().ok_or_else(|| dead("the notification names no target".to_owned()))?;
        let target = Target::try_from(target).map_err(|error| dead(plain::one_line(&error.to_string())))?;
        self.senders().get(&target).cloned().ok_or_else(|| {
            let name = plain::one_line(&target.to_string());
            Attempt::Retry {
                detail: format!("this process's plan has no {name}: reload the plan here if the receiver is new"),
                after: None,
            }
        })
    }

    fn senders(&self) -> Senders {
        // A panic cannot leave half a map: it is replaced as a whole.
        Arc::clone(&self.senders.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ids become a header and the left half of a mail's `Message-ID`.
fn is_fit(id: &str) -> bool {
    let bytes = id.as_bytes();
    let dots = id.starts_with('.') || id.ends_with('.') || id.contains("..");
    let letters = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    !id.is_empty() && id.len() <= MAX_ID_BYTES && letters && !dots
}

#[cfg(test)]
mod tests;
