//! Somebody watches Beacon as Beacon watches others: a real Prometheus scrapes every process, and promtool finds nothing to
//! complain of.

use std::time::Duration;

use scenari::alert::Alert;
use scenari::http;
use scenari::prometheus::Prometheus;
use scenari::promtool::check_metrics;
use scenari::wait::wait_until;
use scenari::webhook::Webhook;

use crate::On;
use crate::lives::plan;

const PATIENCE: Duration = Duration::from_secs(30);

crate::on_both_logs!(a_prometheus_scrapes_every_process);

fn a_prometheus_scrapes_every_process(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    world.accept(&[Alert::named("Watched").label("host", "db1")]);
    webhook.wait_for(1, PATIENCE);

    // The text format that promtool reads; Prometheus asks for OpenMetrics.
    for address in world.metrics() {
        let answer = http::get(&format!("http://{address}/metrics")).and_then(|answer| answer.expect_status(200));
        let text = answer.unwrap_or_else(|error| panic!("{address}: {error}")).body;
        check_metrics(&text).unwrap_or_else(|error| panic!("{address}: {error}\n{text}"));
    }
    let prometheus = Prometheus::start_watching(&world.address(), &world.metrics());
    wait_until("every process to be scraped", PATIENCE, || {
        let up = prometheus.query("up{job=\"beacon\"} == 1")?;
        scenari::wait::same(up.len(), world.metrics().len())
    });
    wait_until("commits of pipeline and notifier to be counted", PATIENCE, || {
        let committed = prometheus.query("sum by (application) (beacon_commit_total{outcome=\"committed\"}) > 0")?;
        scenari::wait::same(committed.len(), 2)
    });
    world.assert_alive();
}
