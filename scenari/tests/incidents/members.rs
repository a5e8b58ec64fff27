//! Two members of `beacon alertmanager`, all of Beacon in each, that share a Kafka and gossip nothing. One is stopped, later
//! the other one is killed: whoever is there goes on with what both were told.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scenari::alert::{self, Alert};
use scenari::binaries::workspace;
use scenari::kafka::Kafka;
use scenari::ports::free_port;
use scenari::process::{Launch, Process};
use scenari::wait::wait_until;
use scenari::webhook::{Page, Webhook};
use scenari::{metric, topic};

const SERVICES: usize = 12;
/// One change of each group at a time, so that each is a page of its own.
const STAGES: [(&str, &str); 4] = [("a", "firing"), ("b", "firing"), ("a", "resolved"), ("b", "resolved")];
const PATIENCE: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(30);

struct Member {
    url: String,
    launch: Launch,
}

impl Member {
    fn new(number: usize, directory: &Path, prefix: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let launch = Launch::new(format!("member-{number}"), workspace("beacon"), directory)
            .env_remove("KAFKA_BOOTSTRAP_SERVERS")
            .env_remove("BEACON_TOPIC_PREFIX")
            .args(["alertmanager", "--web.listen-address", &address, "--config.file"])
            .arg(directory.join("alertmanager.yml"))
            .arg("--storage.path")
            .arg(directory.join(format!("storage-{number}")))
            .args(["--kafka.bootstrap-servers", Kafka::shared().bootstrap(), "--topic-prefix", prefix])
            .args(["--partitions", "4", "--instance", &format!("member-{number}")])
            .args(["--membership", "dynamic", "--standbys", "4"]);
        Self { url: format!("http://{address}"), launch }
    }

    fn start(&self) -> Process {
        let mut process = self.launch.start().expect("started");
        process.wait_ready(&format!("{}/-/ready", self.url), PATIENCE).unwrap_or_else(|error| panic!("{error:#}"));
        process
    }

    /// Waits until it keeps copies of what is the other's.
    fn wait_copied(&self) {
        wait_until("copies of the other's tasks", PATIENCE, || {
            let copies = metric::sum(&self.url, "beacon_standby_tasks");
            if copies.is_some_and(|count| count >= 1.0) { Ok(()) } else { Err(format!("{copies:?}")) }
        });
    }

    /// Posts a stage of these services' lives.
    fn post(&self, stage: usize, services: std::ops::Range<usize>, began: SystemTime) {
        let (disk, status) = STAGES[stage];
        let alert = |service: usize| {
            let service = format!("service-{service}");
            let alert = Alert::named("Failing").label("service", service).label("disk", disk).starts_at(began);
            if status == "resolved" { alert.ends_at(began + Duration::from_secs(60)) } else { alert }
        };
        let alerts: Vec<_> = services.map(alert).collect();
        // One that has just lost its neighbour may ask for another try.
        wait_until("the alerts to be taken", PATIENCE, || {
            alert::post(&self.url, &alerts)?.expect_status(200).map(|_| ())
        });
    }
}

fn plan(webhook: &Webhook) -> String {
    format!(
        "global: {{resolve_timeout: 1h}}
route: {{receiver: pager, group_by: [service], group_wait: 300ms, group_interval: 1s, repeat_interval: 4h}}
receivers: [{{name: pager, webhook_configs: [{{url: '{}'}}]}}]
",
        webhook.url()
    )
}

/// Changes that were told, by service.
fn told(webhook: &Webhook) -> BTreeSet<(String, &'static str, &'static str)> {
    let mut told = BTreeSet::new();
    for payload in webhook.taken().iter().map(Page::payload) {
        let says = |(disk, status): &(&str, &str)| {
            payload.alerts.iter().any(|alert| alert.labels["disk"] == *disk && alert.status == *status)
        };
        let changes = STAGES.into_iter().filter(says);
        told.extend(changes.map(|(disk, status)| (payload.group_labels["service"].clone(), disk, status)));
    }
    told
}

#[test]
fn members_on_one_kafka_go_on_with_what_either_was_told() {
    let (webhook, directory) = (Webhook::start(), tempfile::tempdir().expect("a directory"));
    fs::write(directory.path().join("alertmanager.yml"), plan(&webhook)).expect("written");
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
    let (prefix, began) = (format!("members-{since}-{}.", std::process::id()), now - Duration::from_secs(120));
    let [a, b] = [0, 1].map(|number| Member::new(number, directory.path(), &prefix));
    let wait_told = |stages: usize| {
        wait_until("every group to be told", PATIENCE, || {
            let found = told(&webhook).len();
            if found >= stages * SERVICES { Ok(()) } else { Err(format!("{found} of {}", stages * SERVICES)) }
        });
    };

    let (mut first, mut second) = (a.start(), b.start());
    a.post(0, 0..SERVICES / 2, began);
    b.post(0, SERVICES / 2..SERVICES, began);
    wait_told(1);
    a.wait_copied();
    b.wait_copied();
    let status = first.terminate(STOP);
    assert!(status.success(), "{status}\n{}", first.tail());
    b.post(1, 0..SERVICES, began);
    wait_told(2);

    first = a.start();
    a.post(2, 0..SERVICES, began);
    wait_told(3);
    second.kill9();
    a.post(3, 0..SERVICES, began);
    wait_told(4);
    webhook.assert_quiet_for(Duration::from_secs(2));

    let ids: BTreeSet<_> = webhook.taken().into_iter().map(|page| page.idempotency_key).collect();
    assert_eq!(ids.len(), STAGES.len() * SERVICES, "each group is told of each change once: {:?}", told(&webhook));
    let status = first.terminate(STOP);
    assert!(status.success(), "{status}\n{}", first.tail());
    topic::delete_kafka(Kafka::shared().bootstrap(), &prefix).expect("the broker is there");
}
