//! The gateway: HTTP in and out of the log.
//!
//! It takes alerts as Alertmanager's API version 2 does and answers when they are durable; it lists alerts, groups,
//! silences, receivers and its status from views of the topics; it keeps silences and publishes the plan. See
//! [`Gateway`] and [`GatewayConfig`].
//!
//! What it deliberately does not do: it decides nothing about alerts (the worker does), sends nothing to people (the
//! notifier does), and calls neither: they share topics only. It keeps nothing on disk; any number of gateways may run
//! beside each other.
//!
//! Invariants: a 200 to posted alerts means that every valid one of them is durable; a read waits up
//! to 2 s for what the same gateway wrote before; no client input makes it panic.

mod alerts;
mod app;
mod body;
mod config;
mod cors;
mod error;
mod gateway;
mod groups;
mod health;
mod http;
mod ingest;
mod link;
mod metrics;
mod page;
mod plan;
mod publish;
mod query;
mod reads;
mod reload;
mod row;
mod silences;
mod status;
mod time;

use std::sync::Arc;

use beacon_core::log::Log;
use tokio::sync::watch;

pub use config::{GatewayConfig, PlanHook, PlanSource};
pub use gateway::Gateway;
pub use reload::{ReloadError, Reloader};

/// Binds, serves, and returns when `shutdown` is true and the requests in hand are answered.
///
/// # Errors
/// See [`Gateway::bind`] and [`Gateway::serve`].
pub async fn run(config: GatewayConfig, log: Arc<dyn Log>, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    Gateway::bind(config, log).await?.serve(shutdown).await
}
