//! Appends outside of transactions.

use std::sync::mpsc::channel;

use beacon_core::log::kafka::KafkaLog;
use beacon_core::log::{Isolation, Log, LogErrorKind, Position, Record, TopicPartition, partition};

use super::support::*;

#[test]
fn positions_come_in_the_order_of_the_records() {
    let log = log();
    let topic = make_topic(&*log, "appended", 4);
    let keys: Vec<String> = (0..50).map(|key| format!("key-{key}")).collect();
    let records: Vec<_> = keys.iter().map(|key| Record::new(topic.as_str(), key.as_str(), "value")).collect();
    let positions = log.appender().expect("an appender").append_blocking(records).expect("appended");
    let mut next = [0; 4];
    for (key, position) in keys.iter().zip(positions) {
        let place = partition::for_key(key.as_bytes(), 4);
        assert_eq!(position, Position { partition: place, offset: next[place as usize] }, "{key}");
        next[place as usize] += 1;
    }
}

#[test]
fn appends_under_way_together_keep_their_order_while_their_topic_is_looked_up() {
    for _ in 0..5 {
        let name = make_topic(&*log(), "ordered", 1);
        // A connection that has not heard of the topic.
        let log = log();
        let appender = log.appender().expect("an appender");
        let (sender, answers) = channel();
        let started = std::time::Instant::now();
        let mut count = 0;
        // Longer than the look-up takes: some come before it ends, some after.
        while started.elapsed() < std::time::Duration::from_millis(60) {
            let sender = sender.clone();
            appender.append(
                vec![Record::new(name.as_str(), "k", count.to_string())],
                Box::new(move |result| sender.send(result).expect("the test waits")),
            );
            count += 1;
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        drop(sender);
        assert!(answers.iter().all(|result| result.is_ok()));
        let mut reader = log.reader(Isolation::Committed).expect("a reader");
        let (values, _) = read_to_end(&mut *reader, &TopicPartition::new(name.as_str(), 0), 0).expect("read");
        let wanted: Vec<_> = (0..count).map(|number: u32| number.to_string()).collect();
        assert!(values == wanted, "{} records in another order than appended", wanted.len());
    }
}

#[test]
fn appends_to_unknown_topics_fail_and_make_nothing() {
    let log = log();
    let topic = unique("never");
    let appender = log.appender().expect("an appender");
    let error = appender.append_blocking(vec![Record::new(topic.as_str(), "k", "v")]).expect_err("unknown");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);
    assert_eq!(log.describe_topic(&topic).expect("asked"), None);
    let made = make_topic(&*log, "known", 1);
    let nowhere = Record::new(made.as_str(), "k", "v").to_partition(7);
    let error = appender.append_blocking(vec![nowhere]).expect_err("no such partition");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);
}

#[test]
fn a_full_queue_answers_each_append_and_says_so() {
    let mut config = config();
    config.extra.insert("queue.buffering.max.messages".into(), "10".into());
    config.append_linger = std::time::Duration::from_millis(500);
    let log = KafkaLog::connect(config).expect("connected");
    let topic = make_topic(&*log, "full", 1);
    let appender = log.appender().expect("an appender");
    appender.append_blocking(vec![Record::new(topic.as_str(), "k", "warm")]).expect("appended");
    let (sender, answers) = channel();
    for _ in 0..50 {
        let sender = sender.clone();
        appender.append(
            vec![Record::new(topic.as_str(), "k", "v")],
            Box::new(move |result| sender.send(result).expect("the test waits")),
        );
    }
    drop(sender);
    let results: Vec<_> = answers.iter().collect();
    assert_eq!(results.len(), 50);
    let written = results.iter().filter(|result| result.is_ok()).count() as u64;
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.kind(), LogErrorKind::Retriable);
        assert!(error.to_string().contains("queue is full"), "{error}");
    }
    assert!((1..50).contains(&written), "{written} of 50 were written");
    let partition = TopicPartition::new(topic.as_str(), 0);
    assert_eq!(log.offsets(&partition, Isolation::Committed).expect("asked").end, written + 1);
}

#[test]
fn too_large_a_record_is_told() {
    let log = log();
    let topic = make_topic(&*log, "large", 1);
    let record = Record::new(topic.as_str(), "k", vec![0; 4 << 20]);
    let error = log.appender().expect("an appender").append_blocking(vec![record]).expect_err("too large");
    assert_eq!(error.kind(), LogErrorKind::TooLarge);
}

#[test]
fn a_dropped_appender_has_answered_everything() {
    let log = log();
    let topic = make_topic(&*log, "dropped", 1);
    let appender = log.appender().expect("an appender");
    let (sender, answers) = channel();
    for _ in 0..100 {
        let sender = sender.clone();
        appender.append(
            vec![Record::new(topic.as_str(), "k", "v")],
            Box::new(move |result| sender.send(result).expect("the test waits")),
        );
    }
    appender.append(Vec::new(), Box::new(move |result| sender.send(result).expect("the test waits")));
    drop(appender);
    assert_eq!(answers.iter().count(), 101);
}
