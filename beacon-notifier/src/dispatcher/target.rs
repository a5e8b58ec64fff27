//! One target's channel and its bounds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use beacon_plan::receiver as plan;
use beacon_proto::v1::Notification;
use tokio::sync::Semaphore;

use super::TIMEOUT;
use crate::{
    attempt::Attempt,
    channel::{
        ChannelError,
        email::{self, EmailChannel},
        terminal::Terminal,
        trust::Trust,
        webhook::{Clients, WebhookChannel},
    },
    metrics::Metrics,
};

/// Attempts at once to one webhook. Alertmanager has no bound; 64 keep a storm of 5,000 groups fast on a receiver that
/// takes 20 ms, and are no attack on one that takes a second.
const WEBHOOK_ATTEMPTS: usize = 64;

/// Mails at once through one integration: servers refuse clients with many connections (Postfix: 50, shared with others).
const EMAIL_ATTEMPTS: usize = 8;

/// Pages at once to the terminal, which writes them one after the other anyway.
const TERMINAL_ATTEMPTS: usize = 4;

/// What channels are made of besides their configuration.
pub struct Material<'a> {
    pub external_url: &'a Arc<str>,
    pub terminal: &'a Terminal,
    pub trust: &'a Trust,
    /// Made with the first webhook.
    pub clients: &'a mut Option<Clients>,
}

/// A channel, bounded.
#[derive(Debug)]
pub struct Sender {
    config: plan::Channel,
    channel: Channel,
    timeout: Duration,
    permits: Semaphore,
}

#[derive(Debug)]
enum Channel {
    Webhook(Box<WebhookChannel>),
    Email(Box<EmailChannel>),
    Terminal(Terminal),
}

impl Sender {
    /// Builds the channel that `config` describes.
    ///
    /// # Errors
    ///
    /// The channel's own.
    pub fn new(config: &plan::Channel, material: Material<'_>) -> Result<Self, ChannelError> {
        let external_url = Arc::clone(material.external_url);
        let (channel, timeout, attempts) = match config {
            plan::Channel::Webhook(webhook) => {
                let clients = match material.clients {
                    Some(clients) => clients,
                    none => none.insert(Clients::new(material.trust)?),
                };
                let channel = Box::new(WebhookChannel::new(webhook, external_url, clients)?);
                let timeout = channel.timeout().unwrap_or(TIMEOUT);
                (Channel::Webhook(channel), timeout, WEBHOOK_ATTEMPTS)
            }
            plan::Channel::Email(mail) => {
                let channel = Box::new(EmailChannel::new(mail, external_url, material.trust)?);
                (Channel::Email(channel), email::TIMEOUT, EMAIL_ATTEMPTS)
            }
            plan::Channel::Terminal => (Channel::Terminal(material.terminal.clone()), TIMEOUT, TERMINAL_ATTEMPTS),
        };
        Ok(Self { config: config.clone(), channel, timeout, permits: Semaphore::new(attempts) })
    }

    /// True if this was built from the same configuration.
    pub fn is_for(&self, config: &plan::Channel) -> bool {
        self.config == *config
    }

    /// One attempt, after those that hold all places, and no longer than the limit.
    pub async fn attempt(&self, notification: &Notification, metrics: &Metrics) -> Attempt {
        let _place = self.permits.acquire().await.expect("nothing closes this semaphore");
        let begin = Instant::now();
        let attempt = match tokio::time::timeout(self.timeout, self.send(notification)).await {
            Ok(attempt) => attempt,
            Err(_) => Attempt::Retry { detail: format!("no answer within {:?}", self.timeout), after: None },
        };
        metrics.attempted(self.config.kind(), begin.elapsed(), !matches!(attempt, Attempt::Accepted { .. }));
        attempt
    }

    async fn send(&self, notification: &Notification) -> Attempt {
        match &self.channel {
            Channel::Webhook(channel) => channel.send(notification).await,
            Channel::Email(channel) => channel.send(notification).await,
            Channel::Terminal(terminal) => terminal.send(notification).await,
        }
    }
}
