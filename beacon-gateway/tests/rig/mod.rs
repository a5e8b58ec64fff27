//! A gateway on an embedded log with a worker of the plainest kind beside it, and a client to talk to it.
#![allow(dead_code, reason = "each test program uses its part")]

pub mod oracle;
pub mod troubled;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Event, Isolation, Log, Record, TopicPartition};
use beacon_gateway::{Gateway, GatewayConfig, PlanSource, Reloader};
use beacon_plan::Plan;
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::{AlertEvent, AlertState};
use prost::Message;
use serde_json::Value;
use tokio::sync::watch;

/// How long a test waits for what must come.
pub const LONG: Duration = Duration::from_secs(30);
/// Partitions of the topics of alerts.
pub const PARTITIONS: u32 = 4;

/// Also the plan of the Alertmanager that answers are compared with.
pub const PLAN: &str = r#"
route:
  receiver: default
  group_by: [alertname]
  routes:
  - receiver: team-x
    matchers: ['team="x"']
    continue: true
  - receiver: team-xy
    matchers: ['team=~"x|y"']
    group_by: ['...']
receivers:
- name: default
  webhook_configs: [{url: 'http://127.0.0.1:9/very-secret'}]
- name: team-x
- name: team-xy
"#;

/// Settings for a test: a free port, few partitions.
pub fn config() -> GatewayConfig {
    let mut config = GatewayConfig::new(PlanSource::Builtin(Arc::new(Plan::parse(PLAN, "test").expect("a good plan"))));
    config.listen = "127.0.0.1:0".to_owned();
    config.partitions = PARTITIONS;
    // Reads wait for the worker however busy the machine is; tests of the bound set their own.
    config.read_wait = LONG / 2;
    config
}

/// An HTTP client that never asks a proxy.
pub fn client() -> reqwest::Client {
    // An error says that another test of this process has done so before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(LONG).build().expect("a client")
}

/// A running gateway.
pub struct Rig {
    /// `http://127.0.0.1:port` and the route prefix.
    pub base: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Of SIGHUP.
    pub reloader: Reloader,
    /// A client.
    pub http: reqwest::Client,
    serving: tokio::task::JoinHandle<anyhow::Result<()>>,
    shutdown: watch::Sender<bool>,
}

impl Rig {
    /// Starts a gateway on `log`.
    pub async fn start(config: GatewayConfig, log: Arc<dyn Log>) -> Self {
        let prefix = config.route_prefix.clone().unwrap_or_default();
        let gateway = Gateway::bind(config, log).await.expect("bound");
        let address = gateway.local_addr().expect("bound");
        let (shutdown, asked) = watch::channel(false);
        let reloader = gateway.reloader();
        let serving = tokio::spawn(gateway.serve(asked));
        Self { base: format!("http://{address}{prefix}"), address, reloader, http: client(), serving, shutdown }
    }

    /// Stops it and says how it ended.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.send_replace(true);
        self.serving.await.expect("no panic")
    }

    /// How it ended by itself.
    pub async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(LONG, self.serving).await.expect("it ends").expect("no panic")
    }

    /// GET; status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        answer(self.http.get(format!("{}{path}", self.base))).await
    }

    /// GET of JSON that must succeed.
    pub async fn get_json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// POST of a JSON body; status and body.
    pub async fn post(&self, path: &str, body: impl Into<String>) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        answer(request.body(body.into())).await
    }

    /// Waits until alerts are taken.
    pub async fn ready(&self) {
        eventually("ready", || async { self.get("/-/ready").await.0 == 200 }).await;
    }
}

/// Status and body of the answer.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.text().await.expect("text"))
}

/// Waits for a condition.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < LONG, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A log in a directory that goes with it.
pub struct TempLog {
    /// The log.
    pub log: Arc<EmbeddedLog>,
    directory: tempfile::TempDir,
}

impl TempLog {
    /// Opens a new one.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = EmbeddedLog::open(directory.path().join("log")).expect("a new log");
        Self { log, directory }
    }

    /// Closes it and opens it again; fails when anything still holds it.
    pub fn reopen(self) -> Self {
        let Self { log, directory } = self;
        drop(log);
        let log = EmbeddedLog::open(directory.path().join("log")).expect("nobody holds the directory any more");
        Self { log, directory }
    }
}

/// Reads `alerts` and writes `alerts.state`, one state for each event: what the real worker promises to readers.
pub struct PlainWorker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PlainWorker {
    /// Starts it on the topics of [`config`], which must be there.
    pub fn start(log: Arc<dyn Log>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || work(&*log, &stop)
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for PlainWorker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the plain worker panicked");
        }
    }
}

fn work(log: &dyn Log, stop: &AtomicBool) {
    let topics = Topics::default();
    let alerts: Arc<str> = topics.name(topics::ALERTS).into();
    let partitions: Vec<_> = (0..PARTITIONS).map(|p| (TopicPartition::new(Arc::clone(&alerts), p), 0)).collect();
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&partitions).expect("the topic is there");
    let appender = log.appender().expect("an appender");
    let plan = Plan::parse(PLAN, "test").expect("a good plan");
    while !stop.load(Ordering::Relaxed) {
        let Event::Records(batch) = reader.poll(Duration::from_millis(20)).expect("readable") else { continue };
        let states = (0..batch.len()).map(|index| batch.get(index)).map(|record| {
            let event = AlertEvent::decode(record.value.expect("no tombstones")).expect("an event");
            let state = state_of(&plan, event, record.offset);
            Record::new(topics.name(topics::ALERTS_STATE), record.key.expect("keyed"), state.encode_to_vec())
                .to_partition(record.partition)
        });
        appender.append_blocking(states.collect()).expect("written");
    }
}

fn state_of(plan: &Plan, event: AlertEvent, offset: u64) -> AlertState {
    let ends_at_ms = event.ends_at_ms.unwrap_or(event.received_at_ms + 300_000);
    AlertState {
        tenant: event.tenant,
        fingerprint: beacon_proto::fingerprint::hex(&event.labels),
        receivers: plan.route(&event.labels).iter().map(|found| found.route.settings().receiver.clone()).collect(),
        labels: event.labels,
        annotations: event.annotations,
        starts_at_ms: event.starts_at_ms.unwrap_or(event.received_at_ms),
        ends_at_ms,
        updated_at_ms: event.received_at_ms,
        generator_url: event.generator_url,
        reflects_offset: offset,
        resolved: ends_at_ms <= event.received_at_ms,
    }
}

/// Every record of a topic so far; none while nobody has made it.
pub fn records_of(log: &dyn Log, topic: &str) -> Vec<Record> {
    let topic: Arc<str> = Topics::default().name(topic).into();
    let count = log.describe_topic(&topic).expect("reachable").map_or(0, |topic| topic.partitions);
    let partitions: Vec<_> = (0..count).map(|p| (TopicPartition::new(Arc::clone(&topic), p), 0)).collect();
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&partitions).expect("assigned");
    let (mut found, mut ended) = (Vec::new(), BTreeMap::new());
    while ended.len() < count as usize {
        match reader.poll(Duration::from_secs(1)).expect("readable") {
            Event::Records(batch) => found.extend((0..batch.len()).map(|index| batch.get(index).to_record())),
            Event::EndOfPartition(partition, end) => drop(ended.insert(partition.partition, end)),
            _ => {}
        }
    }
    found
}
