//! What a job sets aside, late records and dead letters, is counted as it is committed: once.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use beacon_core::log::Record;
use beacon_core::metrics::{Sample, SampleValue, catalogue};
use beacon_core::operator::Count;
use beacon_core::runtime::{App, AppConfig};
use beacon_core::topology::{Topic, Topology, TopologyBuilder, Windows};

use super::rig::Rig;
use crate::support::faulty::FaultyLog;
use crate::support::{read_all, topic, wait_until};

/// Hundreds by key and window of 100 ms. Nobody takes the late ones.
fn job() -> Topology {
    let app = TopologyBuilder::new("set-aside");
    app.dead_letters("dead");
    app.source("in", &Topic::<u64>::new("in"))
        .with_event_time(Duration::ZERO)
        .keyed("all", |_| "all".to_owned())
        .window("window", Windows::tumbling(Duration::from_millis(100)), Count::default())
        .sink("out", &Topic::new("out"));
    app.build().expect("a valid topology")
}

#[test]
fn late_records_and_dead_letters_are_counted_once_although_their_commit_was_dropped() {
    let rig = Rig::new();
    let mut config = AppConfig::new(1);
    config.commit_interval = Duration::from_millis(50);
    config.topics = ["in", "out", "dead"].map(|name| topic(name, 1)).into();
    rig.log.create_topics(&config.topics).expect("made");
    let record = |at_ms: i64, value: &[u8]| {
        let mut record = Record::new("in", "all", value);
        record.timestamp_ms = Some(1_767_225_600_000 + at_ms);
        record
    };
    let number = 7_u64.to_be_bytes();
    // The watermark is at 1,000 when two come for windows that are gone, and one for the window at hand; one is unreadable.
    let records =
        [record(10, &number), record(1000, &number), record(20, &number), record(120, &number), record(1001, &number)];
    let appender = rig.log.appender().expect("an appender");
    appender.append_blocking(records.into_iter().chain([record(1002, b"odd")]).collect()).expect("appended");

    let log = FaultyLog::over(Arc::clone(&rig.log));
    log.faults.aborts.store(1, SeqCst);
    log.faults.unknown.store(1, SeqCst);
    let app = App::start(log, job(), rig.on_disk(config)).expect("started");
    wait_until("all is committed", || read_all(rig.log.as_ref(), "dead").len() == 1 && app.stats().dead_letters > 0);
    let stats = app.stats();
    assert_eq!((stats.aborts, stats.unknown, stats.late, stats.dead_letters), (1, 1, 2, 1), "{stats:?}");
    assert_eq!(read_all(rig.log.as_ref(), "out").len(), 1, "the window that closed");
    let samples = app.watch().samples();
    let told = |metric| match samples.iter().find(|sample: &&Sample| sample.metric == metric).map(|s| &s.value) {
        Some(SampleValue::Number(number)) => *number,
        other => panic!("{other:?}"),
    };
    assert_eq!([told(&catalogue::LATE), told(&catalogue::DEAD_LETTERS)], [2.0, 1.0]);
    app.stop().expect("stopped");
}
