//! Nonsense comes in, over HTTP and straight to the topic. Who sent it is told why, or a dead letter tells; the rest goes
//! on.

use std::collections::BTreeSet;
use std::time::Duration;

use beacon_proto::topics;
use scenari::alert::Alert;
use scenari::http::{self, Answer};
use scenari::webhook::Webhook;
use serde_json::json;

use crate::On;

/// More than there are partitions by far: each partition gets poison and good alerts.
const RECORDS: usize = 40;

crate::on_both_logs!(
    bad_requests_are_refused_with_the_reason_and_good_ones_go_on,
    poison_on_the_topic_becomes_dead_letters_and_good_alerts_go_on,
);

fn bad_requests_are_refused_with_the_reason_and_good_ones_go_on(on: On) {
    let webhook = Webhook::start();
    let world = on.start(&plan(&webhook));
    let (alerts, silences) = (format!("{}/api/v2/alerts", world.url()), format!("{}/api/v2/silences", world.url()));

    // Statuses are Alertmanager's: 400, but 422 where its OpenAPI's own validation refuses.
    refused("malformed JSON", 400, http::post_raw(&alerts, "[{\"labels\": {\"alertname\": \"Cut o"), "pars");
    refused("no list", 400, http::post_raw(&alerts, "{\"labels\": {\"alertname\": \"Alone\"}}"), "pars");
    refused("no labels", 400, http::post(&alerts, &json!([{ "labels": {} }])), "label");
    refused("labels missing", 422, http::post(&alerts, &json!([{ "annotations": { "a": "b" } }])), "labels");
    refused("only empty values", 400, http::post(&alerts, &json!([{ "labels": { "alertname": "" } }])), "label");
    let no_date = json!([{ "labels": { "a": "b" }, "startsAt": "yesterday" }]);
    refused("no date", 400, http::post(&alerts, &no_date), "yesterday");
    let backwards = json!([{ "labels": { "a": "b" },
        "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z" }]);
    refused("an end before its start", 400, http::post(&alerts, &backwards), "start");
    refused("a bad pattern", 400, http::get_with(&alerts, &[("filter", "service=~\"[\"")]), "reg");
    refused("a bad matcher", 400, http::get_with(&alerts, &[("filter", "service")]), "matcher");
    let silence = |matchers: serde_json::Value| {
        json!({ "matchers": matchers, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2126-01-01T00:00:00Z",
            "createdBy": "on-call", "comment": "test" })
    };
    let bad_pattern = silence(json!([{ "name": "service", "value": "[", "isRegex": true, "isEqual": true }]));
    refused("a silence with a bad pattern", 400, http::post(&silences, &bad_pattern), "reg");
    refused("a silence without matchers", 422, http::post(&silences, &silence(json!([]))), "matchers");
    let everything = silence(json!([{ "name": "service", "value": "", "isRegex": false }]));
    refused("a silence of everything", 400, http::post(&silences, &everything), "matcher");

    // One bad alert does not take the good one of the same request with it: Alertmanager takes what it can.
    let mixed =
        http::post(&alerts, &json!([{ "labels": {} }, { "labels": { "alertname": "Good", "shard": "mixed" } }]));
    refused("one of two", 400, mixed, "label");
    world.accept(&[alert(0)]);
    let told: BTreeSet<String> = webhook
        .wait_for(2, Duration::from_secs(60))
        .iter()
        .map(|page| page.payload().group_labels["shard"].clone())
        .collect();
    assert_eq!(told, BTreeSet::from(["mixed".to_owned(), shard(0)]));

    webhook.assert_quiet_for(Duration::from_secs(1));
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), 2);
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

fn poison_on_the_topic_becomes_dead_letters_and_good_alerts_go_on(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    // Bytes that are no message, and a message that is no alert: it has no labels.
    let poisons: [&[u8]; 2] = [b"\xff\xff this is no alert", b""];
    let written: Vec<(Vec<u8>, Vec<u8>)> = (0..RECORDS)
        .map(|n| (format!("default/poison-{n:02}").into_bytes(), poisons[n % poisons.len()].to_vec()))
        .collect();
    world.write(topics::ALERTS, &written);
    let alerts: Vec<Alert> = (0..RECORDS).map(alert).collect();
    world.accept(&alerts);

    webhook.wait_for(RECORDS, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(1));
    world.assert_alive();
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), RECORDS, "every good alert was told");
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    assert_eq!(ledger.dead_letters.len(), RECORDS, "one dead letter for each poison record");
    let values: BTreeSet<&[u8]> = ledger.dead_letters.iter().filter_map(|letter| letter.value.as_deref()).collect();
    assert_eq!(values, BTreeSet::from(poisons), "a dead letter keeps the bytes");
    let keys: BTreeSet<&Vec<u8>> = ledger.dead_letters.iter().map(|letter| &letter.key).collect();
    assert_eq!(keys, written.iter().map(|(key, _)| key).collect(), "and the key");
    for letter in &ledger.dead_letters {
        let reason = letter.header("beacon.error").unwrap_or_default();
        assert!(reason.len() > 10, "a dead letter tells the reason: {letter:?}");
        let source = letter.header("beacon.source").unwrap_or_default();
        let (topic, place) = source.split_once('/').unwrap_or_default();
        assert!(topic.ends_with(topics::ALERTS), "a dead letter names the topic it comes from: {letter:?}");
        assert!(place.contains('@'), "and the place there, partition@offset: {letter:?}");
    }
}

#[track_caller]
fn refused(what: &str, status: u16, answer: Result<Answer, String>, reason: &str) {
    let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answer.status, status, "{what}: {answer}");
    assert!(answer.body.to_lowercase().contains(reason), "{what}: the reason should tell of a {reason}: {answer}");
}

fn shard(number: usize) -> String {
    format!("{number:03}")
}

fn alert(number: usize) -> Alert {
    Alert::named("Good").label("shard", shard(number))
}

fn plan(webhook: &Webhook) -> String {
    format!(
        "route:
  receiver: pager
  group_by: [shard]
  group_wait: 200ms
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
