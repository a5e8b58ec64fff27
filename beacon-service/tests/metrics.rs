//! What a process serves beside its work: metrics for Prometheus, and health for who restarts processes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{CleanupPolicy, Log, Record, TopicSpec};
use beacon_core::runtime::{App, AppConfig};
use beacon_core::topology::{Topic, TopologyBuilder};
use beacon_service::metrics::{Observed, serve};

const PATIENCE: Duration = Duration::from_secs(30);
const RECORDS: usize = 7;

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks as a scraper does.
fn get(at: SocketAddr, path: &str, accept: &str) -> Answer {
    let mut stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
        .expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn wait_for(what: &str, mut probe: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(seen) = probe() {
        assert!(Instant::now() < deadline, "{what}: {seen}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(log: &Arc<dyn Log>) -> App {
    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        partitions: 1,
        cleanup: CleanupPolicy::Delete { retention: None },
    };
    let builder = TopologyBuilder::new("shout");
    let words = builder.source("words", &Topic::<String>::new("words"));
    let louder = words.map("louder", |word: String| word.to_uppercase());
    louder.sink("shouts", &Topic::<String>::new("shouts"), |word| word.clone().into_bytes());
    let mut config = AppConfig::new(1);
    config.topics = vec![topic("words"), topic("shouts")];
    App::start(Arc::clone(log), builder.build().expect("a valid topology"), config).expect("started")
}

#[test]
fn metrics_and_health_are_those_of_the_running_application() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log: Arc<dyn Log> = EmbeddedLog::open(directory.path()).expect("opened");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let observed = Observed::new(Arc::clone(&log));
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let until = async move { drop(stopped.wait_for(|stop| *stop).await) };
    let at = runtime.block_on(serve("127.0.0.1:0", Arc::clone(&observed), until)).expect("an address");

    let app = start(&log);
    observed.add(app.watch());
    wait_for("it is healthy", || {
        let answer = get(at, "/healthz", "*/*");
        match answer.status {
            200 => Ok(()),
            503 if answer.body.contains("application shout is Starting") => Err(answer.body),
            _ => panic!("{} {}", answer.status, answer.body),
        }
    });
    assert_eq!(get(at, "/healthz", "*/*").body, "OK\n");

    let words = (0..RECORDS).map(|number| Record::new("words", number.to_string(), "word")).collect();
    log.appender().expect("an appender").append_blocking(words).expect("appended");
    let labels = "{application=\"shout\",instance=\"0\"}";
    let processed = format!("beacon_process_total{labels} {RECORDS}");
    let committed = format!(
        "beacon_committed_offset{{application=\"shout\",instance=\"0\",topic=\"words\",partition=\"0\"}} {RECORDS}"
    );
    // The lag is as old as five seconds.
    wait_for("all is processed and committed", || {
        let body = get(at, "/metrics", "*/*").body;
        let there = |line: &str| body.lines().any(|found| found == line);
        if there(&processed) && there(&committed) { Ok(()) } else { Err(body) }
    });
    let answer = get(at, "/metrics", "*/*");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", answer.head);
    for line in [
        "# TYPE beacon_process_total counter",
        "# TYPE beacon_commit_latency_seconds histogram",
        "beacon_tasks{application=\"shout\",instance=\"0\",condition=\"running\"} 1",
        "beacon_records_lag{application=\"shout\",instance=\"0\",topic=\"words\",partition=\"0\"} 0",
        "beacon_restore_remaining_seconds{application=\"shout\",instance=\"0\"} 0",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line} is missing:\n{}", answer.body);
    }
    let open = get(at, "/metrics", "application/openmetrics-text; version=1.0.0");
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n") && open.body.contains("# TYPE beacon_process counter"), "{}", open.body);
    assert!(open.body.lines().any(|line| line == processed), "{}", open.body);
    assert_eq!(get(at, "/elsewhere", "*/*").status, 404);

    app.stop().expect("stopped");
    let answer = get(at, "/healthz", "*/*");
    assert_eq!((answer.status, &*answer.body), (503, "application shout is Stopped\n"));
    assert_eq!(get(at, "/metrics", "*/*").status, 200, "what it measured last is told all the same");
    stop.send(true).expect("it serves still");
    wait_for("it listens no more", || match TcpStream::connect(at) {
        Ok(_) => Err("it does".to_owned()),
        Err(_) => Ok(()),
    });
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_its_flag() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log: Arc<dyn Log> = EmbeddedLog::open(directory.path()).expect("opened");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let error = runtime.block_on(serve(&listen, Observed::new(log), std::future::pending())).expect_err("it is taken");
    let text = format!("{error:#}");
    assert!(text.contains("--metrics.listen-address") && text.contains(&listen), "{text}");
}
