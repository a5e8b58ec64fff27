//! Time from the post of an alert to its notification at a webhook, `group_wait: 0s`.
//!
//! One alert after the other, each a group of its own; both ends are clocked in this process. The system is otherwise
//! at rest, so this is the length of the way, not of a queue.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use scenari::webhook::Webhook;
use serde::Serialize;

use super::System;
use super::load::Generator;
use super::stage::Stage;
use crate::broker::Broker;
use crate::latency::{Percentiles, Times};

const WARM_UP: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two alerts: the receipt of one is written before the next is posted.
const PAUSE: Duration = Duration::from_millis(30);

/// What one system did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Notification {
    /// Which.
    pub system: System,
    /// From before the request is sent to when the webhook has its body.
    pub arrival: Percentiles,
    /// Until the post was answered.
    pub answer: Percentiles,
}

/// Sends `count` alerts and waits for each.
///
/// # Errors
/// A notification that does not come, or comes twice.
pub fn measure(system: System, broker: &Broker, count: u32) -> Result<Notification> {
    let webhook = Webhook::start();
    let stage = Stage::start(system, broker, &config(&webhook.url()))?;
    let generator = Generator::new(stage.url())?;
    let (mut arrival, mut answer) = (Times::new(), Times::new());
    for number in 0..WARM_UP + count {
        let name = format!("Page{number:05}");
        let body = serde_json::to_string(&[BTreeMap::from([("labels", BTreeMap::from([("alertname", &name)]))])])?;
        let (posted, started) = (SystemTime::now(), Instant::now());
        generator.post(body)?;
        let answered = started.elapsed();
        let came = arrived(&webhook, number as usize, &name)?;
        if number >= WARM_UP {
            arrival.add(came.duration_since(posted).context("the clock was set back")?);
            answer.add(answered);
        }
        sleep(PAUSE);
    }
    let pages = webhook.pages().len();
    ensure!(pages == (WARM_UP + count) as usize, "{} alerts, {pages} notifications", WARM_UP + count);
    Ok(Notification { system, arrival: arrival.percentiles(), answer: answer.percentiles() })
}

/// When the page after the first `seen` came, which must be of this alert.
fn arrived(webhook: &Webhook, seen: usize, name: &str) -> Result<SystemTime> {
    let started = Instant::now();
    loop {
        if let Some(page) = webhook.pages_after(seen).first() {
            let payload = page.payload();
            let told = payload.common_labels.get("alertname");
            ensure!(told.is_some_and(|told| told == name), "the next page is of {told:?}, not of {name}");
            return Ok(page.at);
        }
        ensure!(started.elapsed() < PATIENCE, "no notification of {name} in {PATIENCE:?}");
        sleep(Duration::from_millis(1));
    }
}

fn config(url: &str) -> String {
    format!(
        "
route:
  receiver: team
  group_by: [alertname]
  group_wait: 0s
  group_interval: 5m
  repeat_interval: 12h
receivers:
  - name: team
    webhook_configs:
      - url: {url}
"
    )
}
