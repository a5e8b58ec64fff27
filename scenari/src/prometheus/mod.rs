//! A real Prometheus with one alerting rule on a metric that the test holds in its hand.

mod exporter;

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::binaries;
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
        let exporter = Exporter::start();
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("the directory can be written");
            path
        };
        let rules = write("rules.yml", rules());
        let config = write("prometheus.yml", config(&exporter.address(), alertmanager, &rules.display().to_string()));
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

fn config(exporter: &str, alertmanager: &str, rules: &str) -> String {
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
alerting:
  alertmanagers:
  - static_configs:
    - targets: ['{alertmanager}']
"
    )
}
