//! Sources: a real Prometheus whose rule fires and resolves when the test says so.

use std::time::Duration;

use scenari::amtool::Amtool;
use scenari::prometheus::{ALERT, Prometheus};
use scenari::wait::wait_until;
use scenari::webhook::Webhook;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// The alerts of all requests so far; the recorder stands in for an Alertmanager.
fn alerts(recorder: &Webhook) -> Vec<Value> {
    let bodies = recorder.pages().into_iter().filter(|page| page.path == "/api/v2/alerts");
    bodies.flat_map(|page| serde_json::from_str::<Vec<Value>>(&page.body).expect("a list of alerts")).collect()
}

#[test]
fn the_rule_is_quiet_then_fires_then_resolves() {
    let recorder = Webhook::start();
    let prometheus = Prometheus::start(&recorder.address());
    assert!(alerts(&recorder).is_empty(), "quiet at first");

    prometheus.fire("sda1");
    let fired = wait_until("Prometheus to post the alert", PATIENCE, || {
        alerts(&recorder).pop().ok_or_else(|| prometheus.tail())
    });
    assert_eq!(fired["labels"]["alertname"], ALERT);
    assert_eq!(fired["labels"]["device"], "sda1");
    assert_eq!(fired["labels"]["region"], "gra");
    assert_eq!(fired["annotations"]["summary"], "sda1 is at 97%");

    prometheus.resolve("sda1");
    wait_until("Prometheus to post its end", PATIENCE, || {
        let last = alerts(&recorder).pop().ok_or("none")?;
        let (starts, ends) = (last["startsAt"].to_string(), last["endsAt"].to_string());
        // While it fires Prometheus says an end minutes ahead; resolved, one that has passed.
        let passed = ends < format!("\"{}\"", scenari::alert::rfc3339(std::time::SystemTime::now()));
        if passed { Ok(()) } else { Err("still firing") }.map(|()| assert!(starts < ends))
    });
}

#[test]
fn amtool_names_the_server_that_does_not_answer() {
    let error = Amtool::new("http://127.0.0.1:1").silences().expect_err("nobody listens there");
    assert!(error.contains("127.0.0.1:1"), "{error}");
}
