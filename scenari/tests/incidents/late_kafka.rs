//! Brokers and Beacon start together after a power cut, and Beacon is first: it answers, says why it cannot take alerts
//! yet, and is still there when nobody answered for longer than a call waits.

use std::fs;
use std::time::Duration;

use scenari::alert::{self, Alert};
use scenari::binaries::workspace;
use scenari::http;
use scenari::ports::free_port;
use scenari::process::Launch;
use scenari::wait::wait_until;

/// A call to a broker that does not answer takes ten seconds.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_gateway_answers_before_kafka_does() {
    answers_before_kafka_does(&["gateway"]);
}

#[test]
fn beacon_alertmanager_answers_before_kafka_does() {
    answers_before_kafka_does(&["alertmanager", "--storage.path", "storage"]);
}

fn answers_before_kafka_does(command: &[&str]) {
    let directory = tempfile::tempdir().expect("a directory");
    let plan = directory.path().join("alertmanager.yml");
    fs::write(&plan, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").expect("written");
    let (address, nobody) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let storage = directory.path().join("storage");
    let command =
        command.iter().map(|argument| if *argument == "storage" { storage.as_os_str() } else { argument.as_ref() });
    let mut process = Launch::new("beacon", workspace("beacon"), directory.path())
        .env_remove("KAFKA_BOOTSTRAP_SERVERS")
        .env_remove("BEACON_TOPIC_PREFIX")
        .args(command)
        .arg("--config.file")
        .arg(&plan)
        .args(["--web.listen-address", &address, "--kafka.bootstrap-servers", &nobody])
        .start()
        .expect("started");
    let url = format!("http://{address}");
    process.wait_ready(&format!("{url}/-/healthy"), PATIENCE).unwrap_or_else(|error| panic!("{error:#}"));
    wait_until("the reason in the answer to an alert", PATIENCE, || {
        let answer = alert::post(&url, &[Alert::named("Early")])?.expect_status(503)?;
        if answer.body.contains("no answer from Kafka") { Ok(()) } else { Err(answer.body) }
    });
    assert_eq!(http::get(&format!("{url}/-/ready")).map(|answer| answer.status), Ok(503));
    assert!(process.ended().is_none(), "it waits for Kafka\n{}", process.tail());
    let status = process.terminate(PATIENCE);
    assert!(status.success(), "{status}\n{}", process.tail());
}
