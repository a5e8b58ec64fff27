//! Delivers notifications: reads what the pipeline decided to tell, tells it over webhook, mail or the terminal, and keeps a
//! ledger of what was told to whom.
//!
//! What deliberately isn't here: deciding *whether* to tell (that is the worker's), and rendering with templates.
//!
//! A record's way: the journal takes a [`Notification`] from its topic and hands it to the
//! [`dispatcher`], which finds its [`channel`]; that one [`render`]s it and makes one [`attempt`]; what failed is
//! [`decide`]d about, and the journal writes down what came of it.
//!
//! Invariant: secrets of the plan (webhook addresses, passwords, tokens) reach the connection that needs them and nothing
//! else: no log, no detail, no topic.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed, which is the point"))]

pub mod attempt;
pub mod channel;
pub mod command;
pub mod decide;
pub mod dispatcher;
pub mod finishing;
pub mod journal;
pub mod metrics;
pub mod redact;
pub mod render;

pub use attempt::Attempt;
pub use dispatcher::Dispatcher;
pub use metrics::Metrics;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::Context;
use beacon_core::log::Log;
use beacon_core::runtime::{App, AppConfig};
use beacon_proto::topics::Topics;
use beacon_proto::v1::internal::{Send, Sent};
use beacon_proto::v1::{Notification, Outcome};
use futures_util::FutureExt as _;

/// Attempts that a thread hands to the dispatcher for one target. Twice as many as the largest number it makes at once, so that
/// the next ones are at hand when places come free; what waits there is tried twice when its task moves to another process.
const ATTEMPTS_AT_HAND: usize = 128;

/// Starts the notifier over a log. Attempts run on `runtime`, and everything is counted in the dispatcher's metrics. Stop it when
/// [`finishing::Attempts::finished_after`] of the dispatcher's attempts says so, or what is under way is made again.
///
/// # Errors
/// When threads cannot be started; what goes wrong later shows in [`App::wait`].
pub fn start(
    log: Arc<dyn Log>,
    topics: &Topics,
    mut config: AppConfig,
    dispatcher: Arc<Dispatcher>,
    runtime: tokio::runtime::Handle,
) -> anyhow::Result<App> {
    let (metrics, attempts) = (dispatcher.metrics(), dispatcher.attempts());
    let begun = Arc::clone(&attempts);
    let deliverer: journal::Deliverer = Arc::new(move |send: Send, done| {
        let (dispatcher, attempts) = (Arc::clone(&dispatcher), Arc::clone(&begun));
        runtime.spawn(async move {
            let notification = send.notification.unwrap_or_default();
            if !attempts.begin(&notification.id, send.attempt) {
                // The process is about to end. Without an answer the call stays open for whoever has the task next.
                return std::future::pending().await;
            }
            let attempt = guarded(dispatcher.deliver(&notification)).await;
            attempts.answered(&notification.id, send.attempt);
            done(sent(&notification, send.attempt, attempt));
        });
    });
    let topology = journal::topology(topics, deliverer, metrics, attempts).context("the notifier's topology")?;
    config.topics = topics.specs(config.partitions);
    config.calls_in_flight = ATTEMPTS_AT_HAND;
    Ok(App::start(log, topology, config)?)
}

/// Reads a plan with its secrets: the notifier needs them, and nobody else.
///
/// # Errors
/// When the file cannot be read, or all mistakes in it with their places.
pub fn read_plan(path: &std::path::Path) -> anyhow::Result<beacon_plan::Plan> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("--config.file {name}"))?;
    Ok(beacon_plan::Plan::parse(&text, &name)?)
}

/// A delivery that panics would leave its call without an answer, to be made again and to panic again for ever.
async fn guarded(delivery: impl Future<Output = Attempt>) -> Attempt {
    AssertUnwindSafe(delivery).catch_unwind().await.unwrap_or_else(|_| Attempt::Dead {
        // The panic's text went to the log; it may quote anything, and this goes to a topic.
        detail: "a defect of Beacon: the delivery panicked, see the notifier's output".to_owned(),
    })
}

fn sent(notification: &Notification, number: u32, attempt: Attempt) -> Sent {
    let (outcome, retry_after) = match &attempt {
        Attempt::Accepted { .. } => (Outcome::Accepted, None),
        Attempt::Retry { after, .. } => (Outcome::Retry, *after),
        Attempt::Dead { .. } => (Outcome::Dead, None),
    };
    Sent {
        notification_id: notification.id.clone(),
        target: notification.target.clone(),
        attempt: number,
        outcome: outcome.into(),
        detail: attempt.detail().to_owned(),
        retry_after_ms: retry_after.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delivery_that_panics_is_given_up_and_its_text_kept_from_the_ledger() {
        let attempt = guarded(async { panic!("with a s3cret") }).await;
        let Attempt::Dead { detail } = attempt else { panic!("dead") };
        assert!(detail.contains("panicked") && !detail.contains("s3cret"), "{detail}");
        let fine = Attempt::Accepted { detail: "HTTP 200".to_owned() };
        assert_eq!(guarded(std::future::ready(fine.clone())).await, fine);
    }
}
