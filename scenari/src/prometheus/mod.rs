//! A real Prometheus with one alerting rule on a metric that the test holds in its hand.

mod exporter;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use crate::binaries;
use crate::http;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use exporter::Exporter;

/// The alert that fires: name, labels and annotations as a receiver must find them.
pub const ALERT: &str = "DiskAlmostFull";

/// Prometheus, scraping and evaluating every 200 ms, with the exporter it scrapes.
pub struct Prometheus {
    port: u16,
    process: Process,
    exporter: Exporter,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it, with the Alertmanager (or whoever stands in for one) at `alertmanager`, as `host:port`. The rule is
    /// quiet until [`Prometheus::fire`].
    ///
    /// # Panics
    /// When Prometheus is not installed or does not get ready.
    #[track_caller]
    pub fn start(alertmanager: &str) -> Self {
        Self::start_watching(alertmanager, &[])
    }

    /// The same, scraping these targets (`host:port`) as well, under the job `beacon`.
    ///
    /// # Panics
    /// As [`Prometheus::start`].
    #[track_caller]
    pub fn start_watching(alertmanager: &str, targets: &[String]) -> Self {
        let exporter = Exporter::start();
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("the directory can be written");
            path
        };
        let rules = write("rules.yml", rules());
        let config =
            write("prometheus.yml", config(&exporter.address(), targets, alertmanager, &rules.display().to_string()));
        let mut process = Launch::new("prometheus", binaries::installed("prometheus", "prometheus"), directory.path())
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=info")
            .start()
            .unwrap_or_else(|error| panic!("{error:#}"));
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        if let Err(error) = process.wait_ready(&ready, Duration::from_secs(60)) {
            panic!("{error:#}");
        }
        Self { port, process, exporter, _directory: directory }
    }

    /// Where it serves its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a query says now.
    ///
    /// # Errors
    /// No answer came, or a refusal.
    pub fn query(&self, query: &str) -> Result<Vec<Sample>, String> {
        let answer =
            http::get_with(&format!("{}/api/v1/query", self.url()), &[("query", query)])?.expect_status(200)?;
        let series = answer.json::<Answer>().data.result.into_iter();
        series
            .map(|Series { metric, value: (_, number) }| {
                let value = number.parse().map_err(|error| format!("{number:?}: {error}"))?;
                Ok(Sample { labels: metric, value })
            })
            .collect()
    }

    /// Raises the metric over the rule's bound for the device: one alert fires per device.
    pub fn fire(&self, device: &str) {
        self.exporter.set(device, 0.97);
    }

    /// Lowers it again: Prometheus says that the alert is resolved.
    pub fn resolve(&self, device: &str) {
        self.exporter.set(device, 0.40);
    }

    /// The last lines of its output.
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

/// A series of a query's answer, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// When, and the number as text.
    value: (f64, String),
}

fn rules() -> String {
    format!(
        "groups:
- name: disks
  rules:
  - alert: {ALERT}
    expr: disk_used_ratio > 0.9
    labels:
      severity: page
    annotations:
      summary: '{{{{ $labels.device }}}} is at {{{{ $value | humanizePercentage }}}}'
"
    )
}

fn config(exporter: &str, targets: &[String], alertmanager: &str, rules: &str) -> String {
    format!(
        "global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
  evaluation_interval: 200ms
  external_labels:
    region: gra
rule_files: [{rules}]
scrape_configs:
- job_name: node
  static_configs:
  - targets: ['{exporter}']
    labels:
      host: db1
- job_name: beacon
  static_configs:
  - targets: {targets:?}
alerting:
  alertmanagers:
  - static_configs:
    - targets: ['{alertmanager}']
"
    )
}
