//! A view over the embedded log: the same promises as over a scripted reader, with a real log behind it.
#![cfg(feature = "embedded")]

use std::time::Duration;

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{CleanupPolicy, Log, LogErrorKind, Record, TopicSpec};
use beacon_core::view::View;

const LONG: Duration = Duration::from_secs(30);
const TOPIC: &str = "states";

#[test]
fn a_view_reads_its_own_writes_and_everything_from_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(directory.path().join("log")).expect("a new log");
    let error = View::<String, u32>::start(&*log, TOPIC).expect_err("no such topic yet");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);

    let spec = TopicSpec { name: TOPIC.to_owned(), partitions: 3, cleanup: CleanupPolicy::Compact };
    log.create_topics(&[spec]).expect("created");
    let appender = log.appender().expect("an appender");
    let put = |key: &str, value: u32| Record::new(TOPIC, key, value.to_be_bytes());
    appender.append_blocking((0..100).map(|n| put(&format!("before/{n:03}"), n)).collect()).expect("durable");

    let view = View::<String, u32>::start(&*log, TOPIC).expect("started");
    view.wait_until_caught_up(LONG).expect("caught up");
    let listed: Vec<u32> = view.read(|table| table.prefix("before/").map(|(_, value)| **value).collect());
    assert_eq!(listed, (0..100).collect::<Vec<_>>());

    for round in 0..50 {
        let positions = appender.append_blocking(vec![put("own", round)]).expect("durable");
        view.wait_for(positions[0].partition, positions[0].offset, LONG).expect("reflected");
        assert_eq!(view.get("own").as_deref(), Some(&round));
    }
    let tombstone = Record { value: None, ..put("own", 0) };
    let positions = appender.append_blocking(vec![tombstone]).expect("durable");
    view.wait_for(positions[0].partition, positions[0].offset, LONG).expect("reflected");
    assert_eq!(view.get("own"), None);
}
