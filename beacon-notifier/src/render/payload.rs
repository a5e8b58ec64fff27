//! The webhook body: Alertmanager's payload, version 4.
//!
//! Field names, their order and the form of times are Alertmanager's
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), checked against a body that
//! Alertmanager 0.25 sent. Beacon adds no field of its own: what it has to add (the idempotency key) travels in a header.

use std::collections::BTreeMap;

use beacon_proto::v1::{Notification, NotifiedAlert, Status};
use serde::Serialize;

use super::time;

/// The JSON body for `notification`. `external_url` has no slash at its end.
pub fn json(notification: &Notification, external_url: &str) -> Vec<u8> {
    let body = Body {
        receiver: notification.target.as_ref().map_or("", |target| &target.receiver),
        status: status(notification.status()),
        alerts: notification.alerts.iter().map(Alert::of).collect(),
        group_labels: &notification.group_labels,
        common_labels: &notification.common_labels,
        common_annotations: &notification.common_annotations,
        external_url,
        version: "4",
        group_key: &notification.group_key,
        truncated_alerts: notification.truncated_alerts,
    };
    serde_json::to_vec(&body).expect("a tree of strings and numbers with string keys has a JSON form")
}

/// `firing` or `resolved`; a status this version doesn't know counts as firing: rather a page too many than one too few.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Resolved => "resolved",
        Status::Firing | Status::Unspecified => "firing",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: &'a str,
    alerts: Vec<Alert<'a>>,
    group_labels: &'a BTreeMap<String, String>,
    common_labels: &'a BTreeMap<String, String>,
    common_annotations: &'a BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'a str,
    group_key: &'a str,
    truncated_alerts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'a str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: &'a str,
}

impl<'a> Alert<'a> {
    fn of(alert: &'a NotifiedAlert) -> Self {
        let resolved = alert.status() == Status::Resolved;
        Self {
            status: status(alert.status()),
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: time::rfc3339(alert.starts_at_ms),
            ends_at: if resolved { time::rfc3339(alert.ends_at_ms) } else { time::UNSET.to_owned() },
            generator_url: &alert.generator_url,
            fingerprint: &alert.fingerprint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    /// Captured from Alertmanager 0.25.0 (Debian) for the two alerts of [`sample::two_alerts`].
    const ALERTMANAGER: &str = include_str!("../../tests/golden/alertmanager-0.25-webhook.json");

    #[test]
    fn body_is_the_one_alertmanager_sends() {
        // Go writes `&`, `<` and `>` as \u escapes; JSON readers see the same text.
        let captured = [("\\u0026", "&"), ("\\u003c", "<"), ("\\u003e", ">")]
            .iter()
            .fold(ALERTMANAGER.trim_end().to_owned(), |text, (escape, plain)| text.replace(escape, plain));
        let ours = json(&sample::two_alerts(), sample::EXTERNAL_URL);
        assert_eq!(String::from_utf8(ours).unwrap(), captured);
    }

    #[test]
    fn firing_alert_has_no_end_whatever_was_stored() {
        let mut notification = sample::two_alerts();
        notification.alerts[0].ends_at_ms = 1_767_323_045_678;
        let body: serde_json::Value = serde_json::from_slice(&json(&notification, "")).unwrap();
        assert_eq!(body["alerts"][0]["endsAt"], time::UNSET);
    }

    #[test]
    fn truncated_alerts_are_counted() {
        let notification = Notification { truncated_alerts: 7, ..sample::two_alerts() };
        let body: serde_json::Value = serde_json::from_slice(&json(&notification, "")).unwrap();
        assert_eq!(body["truncatedAlerts"], 7);
    }
}
