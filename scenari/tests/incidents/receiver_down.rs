//! The receiver is away for twelve seconds while a hundred groups fire: two Alertmanagers posted two hundred times (R2).

use std::collections::BTreeSet;
use std::time::Duration;

use beacon_proto::v1::Outcome;
use scenari::alert::Alert;
use scenari::http;
use scenari::wait::{holds_for, same, wait_until};
use scenari::webhook::Webhook;

use crate::On;

const GROUPS: usize = 100;
const AWAY: Duration = Duration::from_secs(12);

crate::on_both_logs!(after_it_returns_each_group_is_delivered_exactly_once);

fn after_it_returns_each_group_is_delivered_exactly_once(on: On) {
    let (mut away, healthy) = (Webhook::start(), Webhook::start());
    let world = on.start(&plan(&away, &healthy));

    away.close();
    let alerts: Vec<Alert> = (0..GROUPS).map(|n| alert("away", n)).chain([alert("healthy", 0)]).collect();
    world.accept(&alerts);
    // While the other is still away; how long it takes is the machine's business.
    healthy.wait_for(1, Duration::from_secs(60));
    let ready = format!("{}/-/ready", world.url());
    holds_for("a receiver that is down is no reason to be unready", AWAY, || {
        http::get(&ready)?.expect_status(200).map(drop)
    });
    assert!(away.pages().is_empty(), "its port was closed");

    away.open();
    away.wait_for(GROUPS, Duration::from_secs(60));
    away.assert_quiet_for(Duration::from_secs(2));
    let pages = away.pages();
    assert_eq!(pages.len(), GROUPS, "it never saw a first try, so it sees one");
    let groups: BTreeSet<String> = pages.iter().map(|page| page.payload().group_key).collect();
    assert_eq!(groups.len(), GROUPS);
    let keys: BTreeSet<&String> = pages.iter().filter_map(|page| page.idempotency_key.as_ref()).collect();
    assert_eq!(keys.len(), GROUPS, "each page has an idempotency key of its own");

    if on == On::Embedded {
        // On Kafka the notifier has an address of its own for them, which it is not given here.
        wait_until(
            "the metrics to count what the receivers took, and the tries before",
            Duration::from_secs(60),
            || {
                let metrics = http::get(&format!("{}/metrics", world.url()))?.expect_status(200)?.body;
                let ended = counted(&metrics, "alertmanager_notifications_total{integration=\"webhook\"}");
                let failed =
                    counted(&metrics, "alertmanager_notification_requests_failed_total{integration=\"webhook\"}");
                same((ended, failed >= GROUPS as f64), (GROUPS as f64 + 1.0, true))
            },
        );
    }
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), GROUPS + 1);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
    let retried: BTreeSet<&String> = ledger
        .deliveries
        .iter()
        .filter(|delivery| delivery.outcome() == Outcome::Retry)
        .map(|delivery| &delivery.notification_id)
        .collect();
    assert_eq!(retried.len(), GROUPS, "the ledger tells of a failed try for each, and of none to the healthy one");
}

#[track_caller]
fn counted(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    let value = line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
    value.trim().parse().unwrap_or_else(|_| panic!("{series} is {value}"))
}

fn alert(team: &str, number: usize) -> Alert {
    Alert::named("Slow").label("team", team).label("shard", format!("{number:03}"))
}

fn plan(away: &Webhook, healthy: &Webhook) -> String {
    format!(
        "route:
  receiver: away
  group_by: [team, shard]
  group_wait: 500ms
  group_interval: 1s
  repeat_interval: 1h
  routes:
  - receiver: healthy
    matchers: ['team=\"healthy\"']
receivers:
- name: away
  webhook_configs:
  - url: '{}'
- name: healthy
  webhook_configs:
  - url: '{}'
",
        away.url(),
        healthy.url(),
    )
}
