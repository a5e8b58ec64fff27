//! Two gateways or two notifiers on one Kafka, of which one is killed, or stands still for long, and comes back. Nothing
//! that was accepted is lost; told twice is at most what was under way in the notifier that was gone, under the same
//! idempotency key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use beacon_proto::topics;
use beacon_proto::v1::{Delivery, Outcome};
use prost::Message;
use scenari::alert::{self, Alert};
use scenari::amtool::Amtool;
use scenari::http;
use scenari::kafka::Kafka;
use scenari::wait::{same, wait_until};
use scenari::webhook::{Mood, Page, Webhook};
use scenari::world::{Role, World};
use serde_json::Value;

const GROUPS: usize = 24;
const MUTED: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
const NOTIFIERS: [Role; 2] = [Role::Notifier, Role::OtherNotifier];
const GATEWAYS: [Role; 2] = [Role::Gateway, Role::OtherGateway];

#[test]
fn of_two_notifiers_one_is_killed_and_only_what_it_had_under_way_comes_twice() {
    one_of_two_notifiers_is_gone(|world| world.kill9(Role::Notifier), |world| world.start(Role::Notifier));
}

#[test]
fn of_two_notifiers_one_stands_still_and_what_it_hears_late_changes_nothing() {
    let freeze = |world: &mut World| world.process(Role::Notifier).freeze();
    one_of_two_notifiers_is_gone(freeze, |world| world.process(Role::Notifier).thaw());
}

fn one_of_two_notifiers_is_gone(go: impl FnOnce(&mut World), come_back: impl FnOnce(&mut World)) {
    let webhook = Webhook::start();
    let mut world = World::kafka_with(Kafka::shared(), &plan(&webhook), &["--membership", "dynamic"]);
    world.add(Role::OtherNotifier);
    wait_shared(&world);
    world.accept(&services("before", GROUPS));
    wait_accepted(&mut world, GROUPS);

    webhook.set_mood(Mood::Hold);
    world.accept(&services("held", GROUPS));
    let held = wait_until("all pages to be under way", PATIENCE, || {
        let pages = webhook.pages_after(GROUPS);
        if pages.len() >= GROUPS { Ok(keys(&pages)) } else { Err(format!("{} pages", pages.len())) }
    });
    go(&mut world);
    webhook.set_mood(Mood::Answer(200));
    world.accept(&services("after", GROUPS));
    wait_accepted(&mut world, 3 * GROUPS);

    come_back(&mut world);
    wait_shared(&world);
    world.accept(&services("again", GROUPS));
    wait_accepted(&mut world, 4 * GROUPS);
    world.stop(Role::OtherNotifier);
    world.accept(&services("alone", GROUPS));
    wait_accepted(&mut world, 5 * GROUPS);
    webhook.assert_quiet_for(Duration::from_secs(2));

    let mut told: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    for page in webhook.pages() {
        told.entry(page.idempotency_key.clone().expect("each page has one")).or_default().push(page);
    }
    assert_eq!(told.len(), 5 * GROUPS, "each group is told under one key");
    let repeated: BTreeSet<&String> = told.iter().filter(|(_, pages)| pages.len() > 1).map(|(key, _)| key).collect();
    for key in &repeated {
        let pages = &told[*key];
        assert!(held.contains(*key), "it was not under way when its notifier went: {pages:?}");
        assert_eq!(pages.len(), 2, "once by the one that went and once by the other: {pages:?}");
        assert_eq!(pages[0].body, pages[1].body, "under one key the receiver is told the same");
    }
    assert!(!repeated.is_empty(), "the one that went had pages under way");
    assert!(repeated.len() < GROUPS, "what the other had under way is not touched");
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), 5 * GROUPS);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

#[test]
fn of_two_gateways_one_is_killed_and_the_other_knows_all_that_it_took() {
    let webhook = Webhook::start();
    let mut world = World::kafka(&plan(&webhook));
    world.add(Role::OtherGateway);
    let urls = GATEWAYS.map(|role| world.url_of(role));
    let [one, other] = urls.each_ref().map(Amtool::new);

    // As Prometheus does: each alert to each of them.
    urls.iter().for_each(|url| post(url, &services("both", GROUPS)));
    let silence = one.silence(&["service=~muted.*"]);
    wait_silences(&other, &[&silence]);
    // Of now: what began longer ago than its group waits is not waited with.
    let muted: Vec<_> = services("muted", MUTED).into_iter().map(|alert| alert.starts_at(SystemTime::now())).collect();
    post(&urls[1], &muted);
    webhook.wait_for(GROUPS, PATIENCE);
    wait_alike(&urls);

    let kept = one.silence(&["service=nobody"]);
    post(&urls[0], &services("last words", GROUPS));
    world.kill9(Role::Gateway);
    wait_silences(&other, &[&silence, &kept]);
    webhook.wait_for(2 * GROUPS, PATIENCE);
    // When that is told, the flush of what is muted is mostly over; it tells nothing as long as the silence is there.
    post(&urls[1], &services("alone", GROUPS));
    webhook.wait_for(3 * GROUPS, PATIENCE);
    other.expire(&silence);
    webhook.wait_for(3 * GROUPS + MUTED, PATIENCE);

    world.start(Role::Gateway);
    wait_silences(&one, &[&kept]);
    urls.iter().for_each(|url| post(url, &services("both again", GROUPS)));
    webhook.wait_for(4 * GROUPS + MUTED, PATIENCE);
    wait_alike(&urls);
    webhook.assert_quiet_for(Duration::from_secs(2));

    let pages = webhook.pages();
    assert_eq!(pages.len(), 4 * GROUPS + MUTED, "each group is told once, whoever heard of it how often");
    let muted = pages.iter().position(|page| page.payload().group_labels["service"].starts_with("muted"));
    assert!(muted.is_some_and(|place| place >= 3 * GROUPS), "not before its silence was expired: {muted:?}");
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), pages.len());
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

/// Waits until each notifier has half of the tasks.
#[track_caller]
fn wait_shared(world: &World) {
    wait_until("the notifiers to share the tasks", PATIENCE, || {
        same(NOTIFIERS.map(|role| world.metric(role, "beacon_tasks")), [Some(2.0), Some(2.0)])
    });
}

/// Waits until the ledger has so many receipts.
#[track_caller]
fn wait_accepted(world: &mut World, count: usize) {
    wait_until("receipts", PATIENCE, || {
        let entries = world.read(topics::DELIVERIES);
        let deliveries = entries.iter().filter_map(|entry| Delivery::decode(entry.value.as_deref()?).ok());
        same(deliveries.filter(|delivery| delivery.outcome() == Outcome::Accepted).count(), count)
    });
}

#[track_caller]
fn wait_silences(amtool: &Amtool, wanted: &[&String]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|id| (*id).clone()).collect();
    wait_until("the silences", PATIENCE, || same(amtool.silences()?.into_iter().collect(), wanted.clone()));
}

/// Waits until both gateways answer the same.
#[track_caller]
fn wait_alike(urls: &[String; 2]) {
    for path in ["alerts", "alerts/groups", "silences", "receivers"] {
        wait_until(&format!("both gateways to answer alike to {path}"), PATIENCE, || {
            let answer = |url: &String| http::get(&format!("{url}/api/v2/{path}"))?.expect_status(200);
            let [one, other] = [answer(&urls[0])?, answer(&urls[1])?].map(|answer| answer.json::<Value>());
            assert!(one.as_array().is_some_and(|found| !found.is_empty()), "{path}: {one}");
            same(one, other)
        });
    }
}

#[track_caller]
fn post(url: &str, alerts: &[Alert]) {
    let answer = alert::post(url, alerts).and_then(|answer| answer.expect_status(200));
    answer.unwrap_or_else(|error| panic!("{} alerts were not accepted: {error}", alerts.len()));
}

fn keys(pages: &[Page]) -> BTreeSet<String> {
    pages.iter().filter_map(|page| page.idempotency_key.clone()).collect()
}

/// An alert for each of so many services.
fn services(kind: &str, count: usize) -> Vec<Alert> {
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let service = |number| Alert::named("Failing").label("service", format!("{kind} {number:02}")).starts_at(began);
    (0..count).map(service).collect()
}

/// What is muted waits longer for its first page, so that its silence is at the worker by then.
fn plan(webhook: &Webhook) -> String {
    format!(
        "global: {{resolve_timeout: 1h}}
route:
  receiver: pager
  group_by: [service]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 4h
  routes:
  - matchers: ['service=~\"muted.*\"']
    group_wait: 2s
receivers:
- name: pager
  webhook_configs:
  - url: '{}'
    timeout: 5m
",
        webhook.url(),
    )
}
