//! A disk fills up and is cleared. A stock Prometheus notices, a webhook and a mailbox are told: once each way.

use std::time::Duration;

use scenari::prometheus::{ALERT, Prometheus};
use scenari::smtp::{Mail, Smtp};
use scenari::webhook::{Payload, Webhook};

use crate::On;

const PATIENCE: Duration = Duration::from_secs(30);

crate::on_both_logs!(webhook_and_mail_each_get_one_firing_and_one_resolved);

fn webhook_and_mail_each_get_one_firing_and_one_resolved(on: On) {
    let (webhook, smtp) = (Webhook::start(), Smtp::start());
    let world = on.start(&plan(&webhook, &smtp));
    let prometheus = Prometheus::start(&world.address());

    prometheus.fire("sda1");
    let fired = webhook.wait_for(1, PATIENCE)[0].payload();
    assert_eq!(fired.status, "firing");
    assert_alert(&fired, "firing");
    let mailed = smtp.wait_for(1, PATIENCE)[0].clone();
    assert_mail(&mailed, "[FIRING:1]");

    prometheus.resolve("sda1");
    let resolved = webhook.wait_for(2, PATIENCE)[1].payload();
    assert_eq!(resolved.status, "resolved");
    assert_alert(&resolved, "resolved");
    assert_eq!(resolved.group_key, fired.group_key);
    assert_eq!(resolved.alerts[0].fingerprint, fired.alerts[0].fingerprint);
    assert_eq!(resolved.alerts[0].starts_at, fired.alerts[0].starts_at);
    let mailed = smtp.wait_for(2, PATIENCE)[1].clone();
    assert_mail(&mailed, "[RESOLVED]");

    // Prometheus repeats an end for fifteen minutes, the next time well within these seconds.
    webhook.assert_quiet_for(Duration::from_secs(3));
    assert_eq!(webhook.taken().len(), 2);
    assert_eq!(smtp.mails().len(), 2);
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), 4, "firing and resolved, to webhook and mail: {:?}", ledger.notifications);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

fn assert_alert(payload: &Payload, status: &str) {
    assert_eq!((payload.version.as_str(), payload.receiver.as_str()), ("4", "storage"));
    assert_eq!(payload.group_labels, [("alertname".to_owned(), ALERT.to_owned())].into());
    assert_eq!(payload.truncated_alerts, 0);
    let [alert] = payload.alerts.as_slice() else { panic!("one alert, not {:?}", payload.alerts) };
    assert_eq!(alert.status, status);
    for (name, value) in [
        ("alertname", ALERT),
        ("device", "sda1"),
        ("host", "db1"),
        ("job", "node"),
        ("region", "gra"),
        ("severity", "page"),
    ] {
        assert_eq!(alert.labels.get(name).map(String::as_str), Some(value), "label {name} of {alert:?}");
        assert_eq!(payload.common_labels.get(name).map(String::as_str), Some(value), "common label {name}");
    }
    let summary = alert.annotations.get("summary").map_or("", String::as_str);
    // Once resolved, Prometheus keeps the annotation of the last time that it fired.
    assert_eq!(summary, "sda1 is at 97%");
    assert!(alert.generator_url.contains("/graph?g0.expr=disk_used_ratio"), "{}", alert.generator_url);
    if status == "firing" {
        assert_eq!(alert.ends_at, "0001-01-01T00:00:00Z", "Alertmanager's zero time");
    } else {
        assert!(alert.ends_at > alert.starts_at, "{alert:?}");
    }
}

fn assert_mail(mail: &Mail, subject: &str) {
    assert_eq!(mail.sender, "beacon@example.org");
    assert_eq!(mail.recipients, ["on-call@example.org"]);
    assert!(mail.header("subject").starts_with(subject), "{}", mail.header("subject"));
    assert!(mail.header("subject").contains(ALERT), "{}", mail.header("subject"));
    assert!(!mail.header("message-id").is_empty(), "{:?}", mail.headers);
    for word in ["sda1", "db1", "gra"] {
        assert!(mail.body().contains(word), "{word} is not in the mail: {}", mail.body());
    }
}

fn plan(webhook: &Webhook, smtp: &Smtp) -> String {
    format!(
        "global:
  smtp_smarthost: '{smtp}'
  smtp_from: beacon@example.org
  smtp_require_tls: false
route:
  receiver: storage
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: storage
  webhook_configs:
  - url: '{webhook}'
  email_configs:
  - to: on-call@example.org
    send_resolved: true
",
        smtp = smtp.address(),
        webhook = webhook.url(),
    )
}
