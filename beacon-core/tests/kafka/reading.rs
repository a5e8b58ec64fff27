//! What is read, and how delivery is steered.

use std::time::{Duration, Instant};

use beacon_core::log::{Event, Isolation, Log, Record, TopicPartition};

use super::support::*;

#[test]
fn a_record_comes_back_as_it_was_sent() {
    let log = log();
    let topic = make_topic(&*log, "whole", 1);
    let whole = Record {
        topic: topic.as_str().into(),
        partition: Some(0),
        key: Some(b"key".to_vec()),
        value: Some(vec![0, 159, 146, 150]),
        headers: vec![("first".into(), b"1".to_vec()), ("first".into(), Vec::new())],
        timestamp_ms: Some(1_700_000_000_123),
    };
    let tombstone = Record { value: None, headers: Vec::new(), ..whole.clone() };
    let empty = Record { key: Some(Vec::new()), value: Some(Vec::new()), ..tombstone.clone() };
    let keyless = Record { key: None, ..whole.clone() };
    let sent = vec![whole, tombstone, empty, keyless];
    log.appender().expect("an appender").append_blocking(sent.clone()).expect("appended");

    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(TopicPartition::new(topic.as_str(), 0), 0)]).expect("assigned");
    let mut read = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while read.len() < sent.len() {
        if let Event::Records(batch) = reader.poll(Duration::from_millis(100)).expect("polled") {
            read.extend((0..batch.len()).map(|index| batch.get(index).to_record()));
        }
        assert!(Instant::now() < deadline);
    }
    assert_eq!(read, sent);
}

#[test]
fn a_batch_outlives_its_reader() {
    let log = log();
    let topic = make_topic(&*log, "outlives", 1);
    fill(&*log, &topic, 0, &["a"]);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(TopicPartition::new(topic.as_str(), 0), 0)]).expect("assigned");
    let batch = loop {
        if let Event::Records(batch) = reader.poll(PATIENCE).expect("polled") {
            break batch;
        }
    };
    drop(reader);
    std::thread::spawn(move || assert_eq!(batch.get(0).value, Some(&b"a"[..]))).join().expect("readable");
}

#[test]
fn the_end_is_told_with_its_partition_also_if_there_is_nothing() {
    let log = log();
    let topic = make_topic(&*log, "ends", 2);
    fill(&*log, &topic, 1, &["a", "b"]);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    for (partition, values, end) in [(0, 0, 0), (1, 2, 2)] {
        let partition = TopicPartition::new(topic.as_str(), partition);
        let read = read_to_end(&mut *reader, &partition, 0).expect("read");
        assert_eq!((read.0.len(), read.1), (values, end));
    }
}

#[test]
fn a_pause_at_the_end_skips_nothing() {
    let log = log();
    let topic = make_topic(&*log, "paused", 1);
    fill(&*log, &topic, 0, &["a"]);
    let mut session = open(&*log, &unique("group"), &[&topic]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    assert_eq!(take_records(&mut *session, 1)[0].2, "a");
    wait_for(&mut *session, |event| matches!(event, Event::EndOfPartition(..)).then_some(()));
    session.pause(std::slice::from_ref(&partition)).expect("paused");
    fill(&*log, &topic, 0, &["b", "c"]);
    let quiet = Instant::now() + Duration::from_millis(700);
    while Instant::now() < quiet {
        let event = session.poll(Duration::from_millis(50)).expect("polled");
        assert!(!matches!(event, Event::Records(_)), "a paused partition delivers nothing");
    }
    session.resume(&[partition]).expect("resumed");
    let values: Vec<_> = take_records(&mut *session, 2).into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(values, ["b", "c"]);
}

#[test]
fn partitions_paused_or_moved_when_assigned_start_so() {
    let log = log();
    let topic = make_topic(&*log, "held", 1);
    fill(&*log, &topic, 0, &["a", "b", "c"]);
    let mut session = open(&*log, &unique("group"), &[&topic]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    session.pause(std::slice::from_ref(&partition)).expect("paused");
    session.seek(&partition, 1).expect("moved");
    let quiet = Instant::now() + Duration::from_millis(500);
    while Instant::now() < quiet {
        let event = session.poll(Duration::from_millis(50)).expect("polled");
        assert!(!matches!(event, Event::Records(_)), "{event:?}");
    }
    session.resume(&[partition]).expect("resumed");
    assert_eq!(take_records(&mut *session, 1)[0].2, "b");
}

#[test]
fn a_seek_delivers_again_from_there() {
    let log = log();
    let topic = make_topic(&*log, "sought", 2);
    fill(&*log, &topic, 0, &["a", "b", "c", "d"]);
    let mut session = open(&*log, &unique("group"), &[&topic]);
    wait_assigned(&mut *session);
    let partition = TopicPartition::new(topic.as_str(), 0);
    for _ in 0..3 {
        let values: Vec<_> = take_records(&mut *session, 4).into_iter().map(|(_, _, value)| value).collect();
        assert_eq!(values, ["a", "b", "c", "d"]);
        session.seek(&partition, 0).expect("moved");
    }
    session.seek(&partition, 3).expect("moved");
    assert_eq!(take_records(&mut *session, 1)[0].2, "d");
}

#[test]
fn a_session_comes_back_from_a_trimmed_offset_by_seeking() {
    let log = log();
    let topic = make_topic(&*log, "behind", 1);
    fill(&*log, &topic, 0, &["a", "b", "c"]);
    let mut session = open(&*log, &unique("group"), &[&topic]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    take_records(&mut *session, 3);
    log.trim(&partition, 2).expect("trimmed");
    session.seek(&partition, 0).expect("moved");
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match session.poll(Duration::from_millis(100)) {
            Ok(event) => assert!(!matches!(event, Event::Records(_)), "{event:?}"),
            Err(error) => break error,
        }
        assert!(Instant::now() < deadline, "no error about the trimmed offset");
    };
    assert_eq!(error.kind(), beacon_core::log::LogErrorKind::Trimmed);
    session.seek(&partition, 2).expect("moved");
    assert_eq!(take_records(&mut *session, 1)[0].2, "c");
}

#[test]
fn a_reader_that_is_dropped_with_records_on_hand_lets_go_of_them() {
    let log = log();
    let topic = make_topic(&*log, "on-hand", 8);
    let all: Vec<_> = (0..8).map(|partition| (TopicPartition::new(topic.as_str(), partition), 0)).collect();
    for partition in 0..8 {
        fill(&*log, &topic, partition, &["a", "b", "c"]);
    }
    for _ in 0..5 {
        let mut reader = log.reader(Isolation::Committed).expect("a reader");
        reader.assign(&all).expect("assigned");
        // What comes at once is records and ends in turn; all but the first are on hand then.
        while !matches!(reader.poll(PATIENCE).expect("polled"), Event::Records(_)) {}
        let (dropped, is_dropped) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(reader);
            dropped.send(()).expect("the test waits");
        });
        is_dropped.recv_timeout(PATIENCE).expect("a reader can be dropped at any time");
    }
}
