//! Transactions and fences.

use std::time::{Duration, Instant};

use beacon_core::log::{CleanupPolicy, CommitError, Event, Isolation, Log, LogErrorKind, SendRecord, TopicPartition};

use super::support::*;

#[test]
fn records_and_offsets_are_committed_as_one() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    fill(&*log, &input, 0, &["a", "b"]);
    let group = unique("group");
    let mut session = open(&*log, &group, &[&input]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    take_records(&mut *session, 2);

    session.begin().expect("begun");
    session.send(send_at_once(&output, "lost")).expect("sent");
    session.abort().expect("aborted");
    assert_eq!(log.committed(&group, &[&input]).expect("asked"), []);

    session.begin().expect("begun");
    session.send(send(&output, "A")).expect("sent");
    session.send(send(&output, "B")).expect("sent");
    let receipt = session.commit(&[(partition.clone(), 2)]).expect("committed");
    assert_eq!(log.committed(&group, &[&input]).expect("asked"), [(partition.clone(), 2)]);

    let target = TopicPartition::new(output.as_str(), 0);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    let (values, _) = read_to_end(&mut *reader, &target, 0).expect("read");
    assert_eq!(values, ["A", "B"]);
    let (values, end) =
        read_to_end(&mut *log.reader(Isolation::Uncommitted).expect("a reader"), &target, 0).expect("read");
    assert!(values == ["lost", "A", "B"] || values == ["A", "B"], "{values:?}");
    assert_eq!(receipt.ends, [(target, end - 1)]);

    session.close().expect("closed");
    let mut next = open(&*log, &group, &[&input]);
    assert_eq!(wait_assigned(&mut *next), [(partition, 2)]);
}

#[test]
fn what_was_sent_ahead_is_of_its_transaction() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    let target = TopicPartition::new(output.as_str(), 0);
    let read = |isolation| read_to_end(&mut *log.reader(isolation).expect("a reader"), &target, 0).expect("read").0;
    let wait_for_in_log = |wanted: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !read(Isolation::Uncommitted).iter().any(|value| value == wanted) {
            assert!(Instant::now() < deadline, "{wanted} is not sent before its commit");
        }
    };
    let group = unique("group");
    let mut session = open(&*log, &group, &[&input]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    session.begin().expect("begun");
    assert!(session.holds_back());
    session.send(send(&output, "a")).expect("sent");
    session.send_ahead().expect("sent ahead");
    wait_for_in_log("a");
    assert!(session.holds_back(), "what comes now waits again");
    session.send(send(&output, "b")).expect("sent");
    assert_eq!(read(Isolation::Uncommitted), ["a"]);
    assert_eq!(read(Isolation::Committed), Vec::<String>::new());
    session.commit(&[(partition.clone(), 0)]).expect("committed");
    assert_eq!(read(Isolation::Committed), ["a", "b"]);
    assert!(session.holds_back(), "so does the next one");

    session.begin().expect("begun");
    session.send(send(&output, "dropped")).expect("sent");
    session.send_ahead().expect("sent ahead");
    wait_for_in_log("dropped");
    session.abort().expect("aborted");
    session.begin().expect("begun");
    session.send_ahead().expect("nothing to send is fine");
    session.send(send_at_once(&output, "large")).expect("sent");
    assert!(!session.holds_back(), "a large commit goes out while it is made");
    session.send_ahead().expect("nothing waits");
    session.commit(&[(partition, 0)]).expect("committed");
    assert_eq!(read(Isolation::Committed).len(), 3);
}

#[test]
fn a_commit_without_offsets_is_refused() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let mut session = open(&*log, &unique("group"), &[&input]);
    wait_assigned(&mut *session);
    session.begin().expect("begun");
    let error = session.commit(&[]).expect_err("not fenced by anything");
    assert!(matches!(error, CommitError::Fatal(_)), "{error:?}");
    session.abort().expect("the transaction is still there");
}

#[test]
fn a_commit_for_a_partition_of_somebody_else_is_refused() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let other = make_topic(&*log, "other", 1);
    let mut session = open(&*log, &unique("group"), &[&input]);
    wait_assigned(&mut *session);
    session.begin().expect("begun");
    let error = session.commit(&[(TopicPartition::new(other.as_str(), 0), 1)]).expect_err("not owned");
    assert!(matches!(error, CommitError::Abortable(_)), "{error:?}");
    session.abort().expect("the transaction is still there");
}

#[test]
fn a_newer_session_of_the_same_transactional_id_fences_the_older() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    let config = session_config(&unique("group"), &[&input]);
    let mut older = log.session(config.clone()).expect("a session");
    let partition = wait_assigned(&mut *older).remove(0).0;
    older.begin().expect("begun");
    older.send(send_at_once(&output, "old")).expect("sent");

    let mut elsewhere = config;
    elsewhere.group = unique("group");
    let newer = log.session(elsewhere).expect("a session");
    let error = older.commit(&[(partition, 1)]).expect_err("fenced");
    assert!(matches!(error, CommitError::Fenced(_)), "{error:?}");
    assert_eq!(older.begin().expect_err("over").kind(), LogErrorKind::Fenced);
    newer.close().expect("closed");
    let target = TopicPartition::new(output.as_str(), 0);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0, Vec::<String>::new());
}

#[test]
fn a_dropped_session_blocks_nobody() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    let group = unique("group");
    let mut dropped = open(&*log, &group, &[&input]);
    wait_assigned(&mut *dropped);
    dropped.begin().expect("begun");
    dropped.send(send_at_once(&output, "undecided")).expect("sent");
    drop(dropped);
    let started = Instant::now();
    let mut next = open(&*log, &group, &[&input]);
    wait_assigned(&mut *next);
    let target = TopicPartition::new(output.as_str(), 0);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0, Vec::<String>::new());
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
}

/// The safe client's own calls take 101 ms at least, because they poll in steps of 100.
const FLOOR: Duration = Duration::from_millis(80);

#[test]
fn a_commit_is_fast() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    for partitions in [1, 4, 8] {
        let output = make_topic(&*log, "output", partitions);
        let mut session = open(&*log, &unique("group"), &[&input]);
        let partition = wait_assigned(&mut *session).remove(0).0;
        let mut took = Vec::new();
        for round in 0..300_u64 {
            session.poll(Duration::ZERO).expect("polled");
            let started = Instant::now();
            session.begin().expect("begun");
            for target in 0..partitions {
                let mut record = send(&output, "100 bytes would be no slower");
                record.partition = Some(target);
                session.send(record).expect("sent");
            }
            let receipt = session.commit(&[(partition.clone(), round)]).expect("committed");
            assert_eq!(receipt.ends.len(), partitions as usize);
            took.push(started.elapsed());
        }
        took.sort();
        println!(
            "commit to {partitions} partitions: p50 {:?} p99 {:?} max {:?}",
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            took[took.len() - 1]
        );
        // The fastest and not the half of them: a busy machine makes most commits slow, a floor makes all of them slow.
        assert!(took[0] < FLOOR, "commits to {partitions} partitions wait for something: {:?} at best", took[0]);
        session.close().expect("closed");
    }
}

#[test]
fn thousands_of_records_in_one_transaction_are_all_there() {
    // So that the local queue is full all the time.
    let log = log_with("queue.buffering.max.messages", "100");
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    let mut session = open(&*log, &unique("group"), &[&input]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    session.begin().expect("begun");
    for _ in 0..5000 {
        session.send(send(&output, "x")).expect("room is waited for");
    }
    session.commit(&[(partition, 0)]).expect("committed");
    let target = TopicPartition::new(output.as_str(), 0);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0.len(), 5000);
}

/// Of some it is not known whether they are written, and others wait to be sent.
#[test]
fn an_abort_takes_back_thousands_of_records_on_their_way() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 2);
    let mut session = open(&*log, &unique("group"), &[&input]);
    let partition = wait_assigned(&mut *session).remove(0).0;
    session.begin().expect("begun");
    for number in 0..5000 {
        session.send(SendRecord { partition: Some(number % 2), ..send(&output, "x") }).expect("sent");
    }
    session.abort().expect("aborted, in time");
    session.begin().expect("begun");
    session.send(send(&output, "y")).expect("sent");
    let receipt = session.commit(&[(partition, 0)]).expect("committed");
    let target = TopicPartition::new(output.as_str(), 0);
    let (values, end) =
        read_to_end(&mut *log.reader(Isolation::Committed).expect("a reader"), &target, 0).expect("read");
    assert_eq!(values, ["y"]);
    assert_eq!(receipt.ends, [(target, end - 1)], "of what was aborted nothing is told");
}

const YEAR_2100: i64 = 4_102_444_800_000;
/// Of a broker that takes 1 MiB and no more, a record that librdkafka takes.
static TOO_LARGE: [u8; 2 << 20] = [b'x'; 2 << 20];

fn too_large(topic: &str) -> SendRecord<'_> {
    SendRecord { value: Some(&TOO_LARGE), ..send(topic, "large") }
}

fn nothing_is_in(log: &dyn Log, topic: &str) {
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    let target = TopicPartition::new(topic, 0);
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0, Vec::<String>::new());
}

/// Another record of it was refused: what to do is the same whether that is told by a send or by the commit.
#[test]
fn a_send_in_a_transaction_that_has_failed_says_why() {
    let log = log_with("message.max.bytes", "8000000");
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    let mut session = open(&*log, &unique("group"), &[&input]);
    wait_assigned(&mut *session);
    session.begin().expect("begun");
    session.send(too_large(&output)).expect("librdkafka takes it");
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        match session.send(send_at_once(&output, "small")) {
            Ok(()) => assert!(Instant::now() < deadline, "the transaction does not fail"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), LogErrorKind::TooLarge, "{error}");
    drop(session);
    nothing_is_in(&*log, &output);
}

#[test]
fn a_record_that_its_topic_refuses_is_not_tried_again() {
    let log = log_with("message.max.bytes", "8000000");
    let a_day = CleanupPolicy::Delete { retention: Some(Duration::from_secs(86_400)) };
    let compacted = make_topic_kept(&*log, "compacted", 1, CleanupPolicy::Compact);
    let kept_a_day = make_topic_kept(&*log, "day", 1, a_day);
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);

    let timely = |topic| send(topic, "good");
    let early = |topic| SendRecord { timestamp_ms: Some(YEAR_2100), ..send(topic, "bad") };
    let refused = [
        (LogErrorKind::TooLarge, "max.message.bytes", vec![too_large(&output)]),
        (LogErrorKind::Fatal, "key", vec![SendRecord { key: None, ..send(&compacted, "k") }]),
        (LogErrorKind::Fatal, "timestamp", vec![early(&kept_a_day)]),
        // The broker names one record of a batch, or several, and the good ones have failed with them.
        (LogErrorKind::Fatal, "timestamp", vec![timely(&kept_a_day), early(&kept_a_day)]),
        (LogErrorKind::Fatal, "timestamp", vec![timely(&kept_a_day), early(&kept_a_day), early(&kept_a_day)]),
    ];
    for (kind, what, records) in refused {
        let topic = records[0].topic;
        let mut session = open(&*log, &unique("group"), &[&input]);
        let partition = wait_assigned(&mut *session).remove(0).0;
        session.begin().expect("begun");
        for record in records {
            session.send(record).expect("librdkafka takes it");
        }
        let error = session.commit(&[(partition, 0)]).expect_err("the broker does not");
        let CommitError::Fatal(error) = &error else { panic!("{error:?}") };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(topic) && error.to_string().contains(what), "{error}");
        println!("{error}");
        drop(session);
        nothing_is_in(&*log, topic);
    }
}

#[test]
fn sending_to_an_unknown_topic_makes_nothing() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let mut session = open(&*log, &unique("group"), &[&input]);
    wait_assigned(&mut *session);
    session.begin().expect("begun");
    let nowhere = unique("never");
    let error = session.send(send(&nowhere, "x")).expect_err("unknown");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);
    session.abort().expect("aborted");
    assert_eq!(log.describe_topic(&nowhere).expect("asked"), None);
}

/// What a session that was taken for dead may still do: nothing.
#[test]
fn a_member_that_did_not_poll_in_time_is_refused() {
    let log = log_with("max.poll.interval.ms", "6000");
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    fill(&*log, &input, 0, &["a"]);
    let group = unique("group");
    let mut config = session_config(&group, &[&input]);
    // Longer than anybody reads below: the broker does not end its transaction for it.
    config.transaction_timeout = 10 * PATIENCE;
    let mut slow = log.session(config).expect("a session");
    let partition = wait_assigned(&mut *slow).remove(0).0;
    take_records(&mut *slow, 1);
    slow.begin().expect("begun");
    slow.send(send_at_once(&output, "zombie")).expect("sent");

    let mut next = open(&*log, &group, &[&input]);
    assert_eq!(wait_assigned(&mut *next), [(partition.clone(), 0)]);
    take_records(&mut *next, 1);
    next.begin().expect("begun");
    next.send(send(&output, "owner")).expect("sent");
    next.commit(&[(partition.clone(), 1)]).expect("the owner commits");

    let error = slow.commit(&[(partition.clone(), 1)]).expect_err("the partition moved");
    assert!(matches!(error, CommitError::Fenced(_)), "{error:?}");
    // The fenced session is still there, and what it left behind no longer holds readers up.
    let target = TopicPartition::new(output.as_str(), 0);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    let deadline = Instant::now() + PATIENCE;
    let mut read = Vec::new();
    while read.is_empty() {
        assert!(Instant::now() < deadline, "its transaction is open");
        read = read_to_end(&mut *reader, &target, 0).expect("read").0;
    }
    assert_eq!(read, ["owner"]);
    drop(slow);
    wait_for(&mut *next, |event| matches!(event, Event::Idle | Event::EndOfPartition(..)).then_some(()));
}
