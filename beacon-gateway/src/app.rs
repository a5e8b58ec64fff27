//! What all handlers share.

use std::sync::Arc;

use crate::config::GatewayConfig;
use crate::link::{Link, OwnWrites, TopicNames};
use crate::metrics::Metrics;
use crate::plan::PlanCell;

/// One gateway's insides.
#[derive(Debug)]
pub struct App {
    /// Its settings.
    pub config: GatewayConfig,
    /// Full names of the topics.
    pub names: TopicNames,
    /// What is there of the log.
    pub link: Link,
    /// The plans: its file's, and the one in force.
    pub plan: Arc<PlanCell>,
    /// Plans are published one after the other, each seeing the one before.
    pub plan_turn: tokio::sync::Mutex<()>,
    /// How far its own writes have come.
    pub own_writes: OwnWrites,
    /// Silences are decided one after the other, each seeing the one before.
    pub silence_writes: tokio::sync::Mutex<()>,
    /// Its metrics.
    pub metrics: Metrics,
    /// When it started, milliseconds since the epoch.
    pub started_at_ms: i64,
}
