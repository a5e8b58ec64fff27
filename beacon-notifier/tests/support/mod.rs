//! What the tests of channels share: plans, notifications, and real servers to send to.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod certificates;
pub mod server;

use beacon_notifier::{
    Dispatcher,
    channel::{terminal::Terminal, trust::Trust},
    render::page::Colour,
};
use beacon_plan::receiver::{Channel, Integration, Receiver, Target};
use beacon_proto::v1;

/// A receiver named `name` with one integration.
pub fn receiver(name: &str, channel: Channel) -> Receiver {
    let target = Target { receiver: name.to_owned(), kind: channel.kind(), index: 0 };
    let integrations = vec![Integration { target, send_resolved: true, channel }];
    Receiver { name: name.to_owned(), integrations }
}

/// A dispatcher for `receivers` that trusts `trust`.
pub fn dispatcher(receivers: &[Receiver], trust: Trust) -> Dispatcher {
    let terminal = Terminal::new(std::io::sink(), Colour::Plain);
    Dispatcher::with_trust(receivers, "http://beacon.test/", terminal, trust).unwrap()
}

/// One firing alert for the first integration `kind` of the receiver `name`.
pub fn notification(name: &str, kind: &str) -> v1::Notification {
    let labels = [("alertname", "Down"), ("cluster", "eu")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let alert = v1::NotifiedAlert {
        status: v1::Status::Firing.into(),
        labels: labels.clone().into(),
        starts_at_ms: 1_767_323_045_678,
        generator_url: "http://prometheus.test/graph".to_owned(),
        fingerprint: "a3fd5a988d34b390".to_owned(),
        ..Default::default()
    };
    v1::Notification {
        id: "3f1c9a52d07e4b88".to_owned(),
        group_key: r#"{}:{alertname="Down"}"#.to_owned(),
        target: Some(v1::Target { receiver: name.to_owned(), integration: kind.to_owned(), index: 0 }),
        status: v1::Status::Firing.into(),
        group_labels: labels.clone().into_iter().take(1).collect(),
        common_labels: labels.into(),
        alerts: vec![alert],
        decided_at_ms: 1_767_323_046_000,
        expires_at_ms: i64::MAX,
        ..Default::default()
    }
}
