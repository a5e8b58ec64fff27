//! A Kafka that wants TLS and a password, as most do that somebody else runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scenari::alert::{self, Alert};
use scenari::binaries::workspace;
use scenari::kafka::{PASSWORD, SecuredKafka, USER};
use scenari::ports::free_port;
use scenari::process::{Launch, Process};
use scenari::wait::wait_until;
use scenari::webhook::Webhook;

/// librdkafka's settings in the file that keeps the password from the process list.
fn settings(directory: &Path, authority: &Path, password: &str) -> PathBuf {
    let path = directory.join(format!("kafka-{password}.properties"));
    let text = format!(
        "# as a person would write it\nsecurity.protocol=SASL_SSL\nssl.ca.location={}\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.username={USER}\nsasl.password={password}\n",
        authority.display()
    );
    fs::write(&path, text).expect("written");
    path
}

/// All of Beacon in one process on that Kafka.
fn beacon(kafka: &SecuredKafka, directory: &Path, settings: &Path, webhook: &Webhook) -> (Process, String) {
    let plan = directory.join("alertmanager.yml");
    let url = webhook.url();
    let text = format!(
        "route: {{receiver: pager, group_wait: 200ms}}\nreceivers: [{{name: pager, webhook_configs: [{{url: '{url}'}}]}}]\n"
    );
    fs::write(&plan, text).expect("written");
    let address = format!("127.0.0.1:{}", free_port());
    let launch = Launch::new("beacon", workspace("beacon"), directory)
        .env_remove("KAFKA_BOOTSTRAP_SERVERS")
        .args(["alertmanager", "--partitions", "2", "--config.file"])
        .arg(&plan)
        .arg("--storage.path")
        .arg(directory.join("storage"))
        .args(["--web.listen-address", &address, "--kafka.bootstrap-servers", kafka.bootstrap(), "--kafka.config-file"])
        .arg(settings);
    (launch.start().expect("started"), format!("http://{address}"))
}

#[test]
fn a_page_goes_over_tls_and_a_wrong_password_is_told_and_never_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let (kafka, webhook) = (SecuredKafka::start(), Webhook::start());
    let right = settings(directory.path(), kafka.authority(), PASSWORD);
    let (mut process, url) = beacon(&kafka, directory.path(), &right, &webhook);
    process.wait_ready(&format!("{url}/-/ready"), Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error:#}"));
    let answer = alert::post(&url, &[Alert::named("OverTls")]).and_then(|answer| answer.expect_status(200));
    answer.unwrap_or_else(|answer| panic!("{answer}\n{}", kafka.tail()));
    let page = webhook.wait_for(1, Duration::from_secs(30)).remove(0);
    assert_eq!(page.payload().group_labels.len(), 0);
    assert!(!process.output().contains(PASSWORD), "{}", process.output());
    drop(process);

    let wrong = settings(directory.path(), kafka.authority(), "wrong-horse");
    let (mut process, _) = beacon(&kafka, directory.path(), &wrong, &webhook);
    let says = |process: &Process| process.output().to_lowercase().contains("authentication");
    wait_until("the refusal to be told", Duration::from_secs(60), || {
        if says(&process) || process.ended().is_some() { Ok(()) } else { Err("not yet") }
    });
    assert!(says(&process), "{}", process.output());
    assert!(!process.output().contains("wrong-horse"), "{}", process.output());
}
