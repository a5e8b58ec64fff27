//! Every topic that Beacon's processes share. Internal topics of the pipeline are the engine's business.

use std::time::Duration;

use beacon_core::log::{CleanupPolicy, TopicSpec};

/// What sources say of alerts: the public input.
pub const ALERTS: &str = "alerts";
/// What is known of each alert.
pub const ALERTS_STATE: &str = "alerts.state";
/// Routing plans as code.
pub const PLANS: &str = "plans";
/// Silences by id.
pub const SILENCES: &str = "silences";
/// What to send to whom.
pub const NOTIFICATIONS: &str = "notifications";
/// The paging ledger: intents and receipts.
pub const DELIVERIES: &str = "deliveries";
/// Input that could not be understood or delivered, with the reason.
pub const DEAD_LETTERS: &str = "dead-letters";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Full names under one prefix, so that several installations share a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// Names under `prefix`, which is put in front as it is (`beacon.` gives `beacon.alerts`).
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The full name of one of this module's topics.
    pub fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// All shared topics as they are to be created. `plans` and `silences` have one partition: small, and read whole.
    pub fn specs(&self, partitions: u32) -> Vec<TopicSpec> {
        let spec = |topic: &str, partitions, cleanup| TopicSpec { name: self.name(topic), partitions, cleanup };
        let keep = |days: u32| CleanupPolicy::Delete { retention: Some(DAY * days) };
        vec![
            spec(ALERTS, partitions, keep(14)),
            spec(ALERTS_STATE, partitions, CleanupPolicy::Compact),
            spec(PLANS, 1, CleanupPolicy::Compact),
            spec(SILENCES, 1, CleanupPolicy::Compact),
            spec(NOTIFICATIONS, partitions, keep(14)),
            spec(DELIVERIES, partitions, keep(90)),
            spec(DEAD_LETTERS, partitions, keep(30)),
        ]
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::new("beacon.")
    }
}
