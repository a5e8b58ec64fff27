//! A receiver fails while the members of a group come and go: each notification takes the place of the one before it, and
//! in the end the receiver must know what is true, without a ticket that nobody closes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use scenari::alert::Alert;
use scenari::wait::{same, wait_until};
use scenari::webhook::{Mood, Webhook};
use scenari::world::Role;

use crate::On;

const PATIENCE: Duration = Duration::from_secs(90);

crate::on_both_logs!(a_receiver_that_failed_hears_the_end_of_every_alert);

fn a_receiver_that_failed_hears_the_end_of_every_alert(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));

    world.accept(&[fires("a")]);
    wait_until("the first page", PATIENCE, || same(open(&webhook), set(&["a"])));
    webhook.set_mood(Mood::Answer(503));
    world.accept(&[ends("a"), fires("b")]);
    wait_for_refused(&webhook, "b");
    world.accept(&[ends("b"), fires("c")]);
    wait_for_refused(&webhook, "c");
    // The ends that nobody took are the notifier's state.
    world.kill9(Role::Notifier);
    world.start(Role::Notifier);
    world.accept(&[ends("c"), fires("d")]);
    wait_for_refused(&webhook, "d");

    webhook.set_mood(Mood::Answer(200));
    wait_until("the receiver to know what fires", PATIENCE, || same(open(&webhook), set(&["d"])));
    world.accept(&[ends("d")]);
    wait_until("all ends at the receiver", PATIENCE, || same(open(&webhook), set(&[])));

    let ledger = world.finish();
    ledger.assert_nothing_decided_twice();
    ledger.assert_no_dead_letters();
    let contents: BTreeSet<_> = webhook.pages().into_iter().map(|page| (page.idempotency_key, page.body)).collect();
    let keys: BTreeSet<_> = contents.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), contents.len(), "under one key the receiver was always told the same: {contents:?}");
}

/// Hosts whose trigger the receiver took and whose end it did not.
fn open(webhook: &Webhook) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for alert in webhook.taken().iter().flat_map(|page| page.payload().alerts) {
        let host = alert.labels["host"].clone();
        if alert.status == "firing" {
            open.insert(host)
        } else {
            open.remove(&host)
        };
    }
    open
}

/// Waits until a page was refused that says so.
#[track_caller]
fn wait_for_refused(webhook: &Webhook, host: &str) {
    wait_until(&format!("a refused page that {host} fires"), PATIENCE, || {
        let pages = webhook.pages();
        let mut refused = pages.iter().filter(|page| !page.taken()).flat_map(|page| page.payload().alerts);
        if refused.any(|alert| alert.status == "firing" && alert.labels["host"] == host) {
            Ok(())
        } else {
            Err(format!("{} pages", pages.len()))
        }
    });
}

fn set(hosts: &[&str]) -> BTreeSet<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

fn fires(host: &str) -> Alert {
    Alert::named("DiskFull").label("host", host)
}

fn ends(host: &str) -> Alert {
    fires(host).ends_at(SystemTime::now())
}

fn plan(webhook: &Webhook) -> String {
    format!(
        "route:
  receiver: pager
  group_by: [alertname]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: pager
  webhook_configs:
  - url: '{}'
",
        webhook.url(),
    )
}
