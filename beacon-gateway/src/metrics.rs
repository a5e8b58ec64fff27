//! Metrics, under Alertmanager's names where it has them, so that dashboards and alerts made for it go on working.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use beacon_core::log::LogErrorKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Version 2 of the API, the only one there is.
const V2: &str = "v2";
/// Alertmanager's own buckets, seconds.
const HTTP_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 20.0, 60.0];
/// Seconds; an embedded append takes some milliseconds.
const APPEND_BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    status: &'static str,
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViewName {
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    branch: &'static str,
    revision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    handler: &'static str,
    method: &'static str,
}

/// What is counted only when somebody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Whether this process's file says what is in force.
    pub plan_in_force: bool,
    /// Alerts that nothing suppresses.
    pub alerts_active: u64,
    /// Alerts that a silence suppresses.
    pub alerts_suppressed: u64,
    /// Silences in force.
    pub silences_active: u64,
    /// Silences to come.
    pub silences_pending: u64,
    /// Silences that are over.
    pub silences_expired: u64,
    /// Offsets that the alerts seen are behind this gateway's own writes.
    pub alerts_lag: u64,
    /// Offsets that the silences seen are behind this gateway's own writes.
    pub silences_lag: u64,
    /// Records that no view could understand, since start.
    pub broken_records: u64,
}

/// The metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    firing: Counter,
    resolved: Counter,
    invalid: Counter,
    alerts: Family<State, Gauge>,
    silences: Family<State, Gauge>,
    config_hash: Gauge,
    reload_successful: Gauge,
    reload_success_timestamp: Gauge<f64, AtomicU64>,
    http: Family<Endpoint, Histogram, fn() -> Histogram>,
    append_seconds: Histogram,
    append_failures: Family<Kind, Counter>,
    plan_in_force: Gauge,
    lag: Family<ViewName, Gauge>,
    broken_records: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let received = Family::<Received, Counter>::default();
        let invalid = Family::<Version, Counter>::default();
        let http: Family<Endpoint, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(HTTP_BUCKETS));
        let metrics = Self {
            firing: received.get_or_create_owned(&Received { status: "firing", version: V2 }),
            resolved: received.get_or_create_owned(&Received { status: "resolved", version: V2 }),
            invalid: invalid.get_or_create_owned(&Version { version: V2 }),
            alerts: Family::default(),
            silences: Family::default(),
            config_hash: Gauge::default(),
            reload_successful: Gauge::default(),
            reload_success_timestamp: Gauge::default(),
            http,
            append_seconds: Histogram::new(APPEND_BUCKETS),
            append_failures: Family::default(),
            plan_in_force: Gauge::default(),
            lag: Family::default(),
            broken_records: Gauge::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("alertmanager_alerts_received", "The total number of received alerts", received);
        r.register("alertmanager_alerts_invalid", "The total number of received alerts that were invalid", invalid);
        r.register("alertmanager_alerts", "How many alerts by state", metrics.alerts.clone());
        r.register("alertmanager_silences", "How many silences by state", metrics.silences.clone());
        r.register(
            "alertmanager_config_hash",
            "Hash of the plan in use; changes when its content does",
            metrics.config_hash.clone(),
        );
        r.register(
            "alertmanager_config_last_reload_successful",
            "Whether the last reading of the plan succeeded",
            metrics.reload_successful.clone(),
        );
        r.register(
            "alertmanager_config_last_reload_success_timestamp_seconds",
            "When the plan was last read successfully",
            metrics.reload_success_timestamp.clone(),
        );
        r.register("alertmanager_http_request_duration_seconds", "Latencies of HTTP requests", metrics.http.clone());
        r.register(
            "beacon_gateway_append_duration_seconds",
            "From handing records to the log until it says that they are durable",
            metrics.append_seconds.clone(),
        );
        r.register(
            "beacon_gateway_append_failures",
            "Appends that the log refused or did not confirm in time, by kind of error",
            metrics.append_failures.clone(),
        );
        r.register(
            "beacon_gateway_plan_in_force",
            "1 while this gateway's file is the plan that workers decide by, 0 while another member published another one",
            metrics.plan_in_force.clone(),
        );
        r.register(
            "beacon_gateway_view_lag_records",
            "Offsets that what the gateway shows is behind what the gateway wrote",
            metrics.lag.clone(),
        );
        r.register(
            "beacon_gateway_view_broken_records",
            "Records since start that a view could not understand and left out",
            metrics.broken_records.clone(),
        );
        let build = Family::<Build, Gauge>::default();
        build.get_or_create_owned(&Build { version: env!("CARGO_PKG_VERSION"), branch: "", revision: "" }).set(1);
        r.register("alertmanager_build_info", "Always 1; its labels say what this is", build);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Alerts of one request.
    pub fn received(&self, firing: u64, resolved: u64, invalid: u64) {
        self.firing.inc_by(firing);
        self.resolved.inc_by(resolved);
        self.invalid.inc_by(invalid);
    }

    /// An append that became durable after this long.
    pub fn appended(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// An append that did not.
    pub fn append_failed(&self, kind: LogErrorKind) {
        self.append_failures.get_or_create(&Kind { kind: format!("{kind:?}") }).inc();
    }

    /// A finished HTTP request.
    pub fn answered(&self, handler: &'static str, method: &'static str, took: Duration) {
        self.http.get_or_create(&Endpoint { handler, method }).observe(took.as_secs_f64());
    }

    /// The plan was read, at `now_ms`, and this is its version's hash.
    pub fn plan_taken(&self, hash: u64, now_ms: i64) {
        // 48 bits, as in Alertmanager: the number must fit a float's 53.
        self.config_hash.set((hash & 0xffff_ffff_ffff) as i64);
        self.reload_successful.set(1);
        self.reload_success_timestamp.set(now_ms as f64 / 1000.0);
    }

    /// The plan could not be read; the old one goes on.
    pub fn plan_refused(&self) {
        self.reload_successful.set(0);
    }

    /// The text of all metrics, OpenMetrics 1.0.
    pub fn render(&self, counts: &Counts) -> String {
        for (state, count) in [
            ("active", counts.alerts_active),
            ("suppressed", counts.alerts_suppressed),
            // An alert is shown only after the pipeline has taken it.
            ("unprocessed", 0),
        ] {
            self.alerts.get_or_create(&State { state }).set(count as i64);
        }
        for (state, count) in [
            ("active", counts.silences_active),
            ("pending", counts.silences_pending),
            ("expired", counts.silences_expired),
        ] {
            self.silences.get_or_create(&State { state }).set(count as i64);
        }
        for (view, lag) in [("alerts", counts.alerts_lag), ("silences", counts.silences_lag)] {
            self.lag.get_or_create(&ViewName { view }).set(lag as i64);
        }
        self.plan_in_force.set(i64::from(counts.plan_in_force));
        self.broken_records.set(counts.broken_records as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes all text");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alertmanagers_names_are_there() {
        let metrics = Metrics::default();
        metrics.received(2, 1, 1);
        metrics.appended(Duration::from_millis(3));
        metrics.answered("/api/v2/alerts", "post", Duration::from_millis(4));
        metrics.plan_taken(u64::MAX, 1_500);
        let text = metrics.render(&Counts { alerts_active: 3, silences_expired: 1, ..Counts::default() });
        for line in [
            "alertmanager_alerts_received_total{status=\"firing\",version=\"v2\"} 2",
            "alertmanager_alerts_received_total{status=\"resolved\",version=\"v2\"} 1",
            "alertmanager_alerts_invalid_total{version=\"v2\"} 1",
            "alertmanager_alerts{state=\"active\"} 3",
            "alertmanager_alerts{state=\"unprocessed\"} 0",
            "alertmanager_silences{state=\"expired\"} 1",
            "alertmanager_config_hash 281474976710655",
            "alertmanager_config_last_reload_successful 1",
            "alertmanager_config_last_reload_success_timestamp_seconds 1.5",
            "alertmanager_http_request_duration_seconds_count{handler=\"/api/v2/alerts\",method=\"post\"} 1",
            "beacon_gateway_append_duration_seconds_count 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("alertmanager_build_info{version="));
    }
}
