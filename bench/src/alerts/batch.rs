//! Alerts as a Prometheus posts them: some 600 bytes each, with start, end and a link.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use scenari::alert::rfc3339;
use serde::Serialize;

/// Nothing ends while it is being measured.
const LASTS: Duration = Duration::from_secs(4 * 3600);
const RULES: usize = 50;
const CLUSTERS: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

/// Alert number `n`: one of 50 rules, 20 clusters, and a host of its own; so some 1,000 groups by `alertname, cluster`.
fn alert(n: usize, started: SystemTime, now: SystemTime) -> Posted {
    let (rule, cluster, host) = (n % RULES, n / RULES % CLUSTERS, n);
    let name = format!("NodeFilesystemAlmostOutOfSpace{rule:02}");
    Posted {
        labels: BTreeMap::from([
            ("alertname", name.clone()),
            ("cluster", format!("eu-west-{cluster:02}")),
            ("device", "/dev/nvme0n1p2".to_owned()),
            ("instance", format!("node-{host:06}.example.net:9100")),
            ("job", "node".to_owned()),
            ("severity", "warning".to_owned()),
            ("team", "storage".to_owned()),
        ]),
        annotations: BTreeMap::from([
            ("summary", format!("Filesystem has less than 5 % space left on node-{host:06}.")),
            (
                "description",
                format!("/dev/nvme0n1p2 on node-{host:06}.example.net has only 4.31 % available space left."),
            ),
            ("runbook_url", format!("https://runbooks.example.net/{name}")),
        ]),
        starts_at: rfc3339(started),
        ends_at: rfc3339(now + LASTS),
        generator_url: "http://prometheus.example.net:9090/graph?g0.expr=node_filesystem_avail_bytes&g0.tab=1"
            .to_owned(),
    }
}

/// Bodies of requests that post the alerts `from..to`, `size` in each.
pub fn bodies(numbers: std::ops::Range<usize>, size: usize, started: SystemTime) -> Vec<String> {
    let now = SystemTime::now();
    let all: Vec<Posted> = numbers.map(|n| alert(n, started, now)).collect();
    let bodies = all.chunks(size).map(serde_json::to_string);
    bodies.map(|body| body.expect("maps with string keys are JSON")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn alerts_are_distinct_and_of_the_size_of_real_ones() {
        let bodies = bodies(0..1000, 64, SystemTime::now());
        assert_eq!(bodies.len(), 16);
        let alerts: Vec<serde_json::Value> = bodies
            .iter()
            .flat_map(|body| serde_json::from_str::<Vec<serde_json::Value>>(body).expect("our own JSON"))
            .collect();
        let labels: BTreeSet<String> = alerts.iter().map(|alert| alert["labels"].to_string()).collect();
        assert_eq!((alerts.len(), labels.len()), (1000, 1000));
        let bytes = bodies.iter().map(String::len).sum::<usize>() / 1000;
        assert!((500..900).contains(&bytes), "{bytes} bytes an alert");
    }
}
