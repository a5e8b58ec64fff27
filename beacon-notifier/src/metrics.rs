//! What is counted of deliveries, under Alertmanager's names where they mean the same.
//!
//! Where they do not: Alertmanager gives a notification up after `group_interval` and counts it as failed; this one is tried until
//! it expires, so of a receiver that is away `alertmanager_notification_requests_failed_total` tells at once and
//! `alertmanager_notifications_failed_total` only in the end.

use std::time::Duration;

use beacon_plan::receiver::Kind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Alertmanager's own buckets, seconds.
const LATENCY_BUCKETS: [f64; 5] = [1.0, 5.0, 10.0, 15.0, 20.0];

/// Why a notification was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Trying again would fail in the same way.
    Refused,
    /// It was tried until it expired.
    Expired,
}

impl Failure {
    const ALL: [Self; 2] = [Self::Refused, Self::Expired];

    fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Integration {
    integration: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Given {
    integration: &'static str,
    reason: &'static str,
}

/// The metrics of one notifier. All series are there from the start, so that their first increase is seen as one.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    notifications: Family<Integration, Counter>,
    failed: Family<Given, Counter>,
    superseded: Family<Integration, Counter>,
    requests: Family<Integration, Counter>,
    requests_failed: Family<Integration, Counter>,
    latency: Family<Integration, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            notifications: Family::default(),
            failed: Family::default(),
            superseded: Family::default(),
            requests: Family::default(),
            requests_failed: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
        };
        for kind in [Kind::Webhook, Kind::Email, Kind::Terminal].map(Kind::as_str) {
            let labels = Integration { integration: kind };
            drop(metrics.notifications.get_or_create(&labels));
            drop(metrics.superseded.get_or_create(&labels));
            drop(metrics.requests.get_or_create(&labels));
            drop(metrics.requests_failed.get_or_create(&labels));
            drop(metrics.latency.get_or_create(&labels));
            for reason in Failure::ALL.map(Failure::as_str) {
                drop(metrics.failed.get_or_create(&Given { integration: kind, reason }));
            }
        }
        let r = &mut metrics.registry;
        r.register(
            "alertmanager_notifications",
            "Notifications that came to their end, taken or given up; those done again after an abort included",
            metrics.notifications.clone(),
        );
        r.register(
            "alertmanager_notifications_failed",
            "Notifications that were given up, each with a dead letter; those done again after an abort included",
            metrics.failed.clone(),
        );
        r.register(
            "beacon_notifications_superseded",
            "Notifications whose place a newer one took before they were delivered",
            metrics.superseded.clone(),
        );
        r.register(
            "alertmanager_notification_requests",
            "Attempts to deliver a notification",
            metrics.requests.clone(),
        );
        r.register(
            "alertmanager_notification_requests_failed",
            "Attempts to deliver a notification that failed",
            metrics.requests_failed.clone(),
        );
        r.register(
            "alertmanager_notification_latency_seconds",
            "How long attempts took, without their wait for a place at the receiver",
            metrics.latency.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// An attempt that took this long.
    pub fn attempted(&self, kind: Kind, took: Duration, failed: bool) {
        let labels = Integration { integration: kind.as_str() };
        self.requests.get_or_create(&labels).inc();
        self.latency.get_or_create(&labels).observe(took.as_secs_f64());
        if failed {
            self.requests_failed.get_or_create(&labels).inc();
        }
    }

    /// A notification that was taken. `integration` as in [`Target`](beacon_proto::v1::Target).
    pub fn taken(&self, integration: &str) {
        self.notifications.get_or_create(&of(integration)).inc();
    }

    /// A notification that was given up.
    pub fn given_up(&self, integration: &str, failure: Failure) {
        let labels = of(integration);
        self.failed.get_or_create(&Given { integration: labels.integration, reason: failure.as_str() }).inc();
        self.notifications.get_or_create(&labels).inc();
    }

    /// A notification that a newer one replaced.
    pub fn superseded(&self, integration: &str) {
        self.superseded.get_or_create(&of(integration)).inc();
    }

    /// All of them as text, without the line that ends OpenMetrics.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry).expect("a String takes all text");
        text
    }
}

/// What a newer version writes that this one does not know is one series: records are no source of label values.
fn of(integration: &str) -> Integration {
    Integration { integration: Kind::from_name(integration).map_or("unknown", Kind::as_str) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alertmanagers_names_are_there_from_the_start_and_count() {
        let metrics = Metrics::default();
        assert!(metrics.render().contains("alertmanager_notifications_total{integration=\"email\"} 0\n"));
        metrics.attempted(Kind::Webhook, Duration::from_millis(20), true);
        metrics.attempted(Kind::Webhook, Duration::from_secs(2), false);
        metrics.taken("webhook");
        metrics.given_up("webhook", Failure::Expired);
        metrics.given_up("pigeon", Failure::Refused);
        metrics.superseded("webhook");
        let text = metrics.render();
        for line in [
            "alertmanager_notifications_total{integration=\"webhook\"} 2",
            "alertmanager_notifications_failed_total{integration=\"webhook\",reason=\"expired\"} 1",
            "alertmanager_notifications_failed_total{integration=\"webhook\",reason=\"refused\"} 0",
            "alertmanager_notifications_failed_total{integration=\"unknown\",reason=\"refused\"} 1",
            "alertmanager_notification_requests_total{integration=\"webhook\"} 2",
            "alertmanager_notification_requests_failed_total{integration=\"webhook\"} 1",
            "alertmanager_notification_latency_seconds_count{integration=\"webhook\"} 2",
            "beacon_notifications_superseded_total{integration=\"webhook\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("# EOF"));
    }
}
