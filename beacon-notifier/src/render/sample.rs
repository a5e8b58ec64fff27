//! The notification that the captured Alertmanager 0.25 webhook and mail were about.

use std::collections::BTreeMap;

use beacon_proto::v1::{Notification, NotifiedAlert, Status, Target};

pub(crate) const EXTERNAL_URL: &str = "http://alerts.example.org/am";

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn two_alerts() -> Notification {
    Notification {
        id: "3f1c9a52d07e4b88".to_owned(),
        group_key: r#"{}:{alertname="Down", cluster="eu"}"#.to_owned(),
        target: Some(Target { receiver: "ops team".to_owned(), integration: "webhook".to_owned(), index: 0 }),
        status: Status::Firing.into(),
        group_labels: map(&[("alertname", "Down"), ("cluster", "eu")]),
        common_labels: map(&[("alertname", "Down"), ("cluster", "eu"), ("severity", "page")]),
        alerts: vec![firing(), resolved()],
        decided_at_ms: 1_767_324_001_000,
        expires_at_ms: 1_767_324_301_000,
        occurrence: 1,
        n: 2,
        ..Notification::default()
    }
}

fn firing() -> NotifiedAlert {
    NotifiedAlert {
        status: Status::Firing.into(),
        labels: map(&[("alertname", "Down"), ("cluster", "eu"), ("instance", "a:9100"), ("severity", "page")]),
        annotations: map(&[("summary", "a & b are <gone>")]),
        starts_at_ms: 1_767_323_045_678,
        ends_at_ms: 0,
        generator_url: "http://prom.example.org/graph?g0.expr=up&g0.tab=1".to_owned(),
        fingerprint: "a3fd5a988d34b390".to_owned(),
    }
}

fn resolved() -> NotifiedAlert {
    let mut labels = map(&[("alertname", "Down"), ("cluster", "eu"), ("instance", "b:9100"), ("severity", "page")]);
    labels.insert("weird".to_owned(), "line one\nline two".to_owned());
    NotifiedAlert {
        status: Status::Resolved.into(),
        labels,
        annotations: map(&[("runbook", "https://run.example.org/down"), ("summary", "b is gone")]),
        starts_at_ms: 1_767_323_100_000,
        ends_at_ms: 1_767_324_000_500,
        generator_url: "http://prom.example.org/b".to_owned(),
        fingerprint: "a949c00a27e46286".to_owned(),
    }
}
