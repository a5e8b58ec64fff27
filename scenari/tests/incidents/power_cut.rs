//! A thousand alerts are accepted, and the power goes before anybody was told: Alertmanager forgets them all (R1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use scenari::alert::Alert;
use scenari::wait::same;
use scenari::webhook::Webhook;

use crate::On;

const SERVICES: usize = 100;
const HOSTS: usize = 10;
const GROUP_WAIT: Duration = Duration::from_secs(10);

crate::on_both_logs!(every_group_accepted_before_the_cut_is_paged_and_none_twice);

fn every_group_accepted_before_the_cut_is_paged_and_none_twice(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));

    let first = Instant::now();
    for host in 0..HOSTS {
        let alerts: Vec<Alert> = (0..SERVICES).map(|service| alert(service, host)).collect();
        world.accept(&alerts);
    }
    world.kill9_all();
    assert!(first.elapsed() < GROUP_WAIT, "this machine is too slow to cut the power inside group_wait");
    assert!(webhook.pages().is_empty(), "nobody was told yet");

    world.start_all();
    world.wait_for_active_alerts(SERVICES * HOSTS, Duration::from_secs(30));
    webhook.wait_for(SERVICES, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(2));

    let pages = webhook.taken();
    assert_eq!(pages.len(), SERVICES, "one page for each group");
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for page in &pages {
        let payload = page.payload();
        assert_eq!(payload.status, "firing");
        let hosts = payload.alerts.iter().map(|alert| alert.labels["host"].clone()).collect();
        assert!(told.insert(payload.group_labels["service"].clone(), hosts).is_none(), "told twice: {payload:?}");
    }
    for (service, hosts) in &told {
        same(hosts.len(), HOSTS).unwrap_or_else(|hosts| panic!("hosts told of {service}: {hosts}"));
    }

    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), SERVICES);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

fn alert(service: usize, host: usize) -> Alert {
    Alert::named("Unreachable").label("service", format!("service-{service:03}")).label("host", format!("host-{host}"))
}

fn plan(webhook: &Webhook) -> String {
    format!(
        "route:
  receiver: pager
  group_by: [service]
  group_wait: {}s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: pager
  webhook_configs:
  - url: '{}'
",
        GROUP_WAIT.as_secs(),
        webhook.url(),
    )
}
