//! Topics, offsets, trimming, connecting.

use std::time::{Duration, Instant};

use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{CleanupPolicy, Isolation, Log, LogErrorKind, TopicPartition, TopicSpec};

use super::support::*;

fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, cleanup: CleanupPolicy::Compact }
}

#[test]
fn topics_are_made_once_and_listed() {
    let log = log();
    let name = unique("made");
    for _ in 0..2 {
        log.create_topics(&[spec(&name, 3)]).expect("made, then found");
    }
    let found = log.describe_topic(&name).expect("described").expect("exists");
    assert_eq!((found.name.as_str(), found.partitions), (name.as_str(), 3));
    assert!(log.list_topics().expect("listed").contains(&found));
    assert!(log.list_topics().expect("listed").iter().all(|topic| !topic.name.starts_with("__")));
}

#[test]
fn topics_made_at_the_same_time_by_many_are_made() {
    let names: Vec<_> = (0..3).map(|_| unique("race")).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let topics: Vec<_> = names.iter().map(|name| spec(name, 2)).collect();
                log().create_topics(&topics).expect("made by one, found by the others");
            });
        }
    });
}

/// Metadata names the leader of a partition a moment before that broker serves it; under load the moment is long.
#[test]
fn topics_just_made_answer_whoever_asks_first() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let name = make_topic(&*log(), "fresh", 8);
                    let log = log();
                    for number in 0..8 {
                        let partition = TopicPartition::new(name.as_str(), number);
                        for isolation in [Isolation::Committed, Isolation::Uncommitted] {
                            assert_eq!(log.offsets(&partition, isolation).expect("it answers").end, 0);
                        }
                        log.trim(&partition, 0).expect("nothing to trim");
                    }
                    assert_eq!(log.committed(&unique("group"), &[&name]).expect("it answers"), []);
                }
            });
        }
    });
}

#[test]
fn a_topic_with_another_partition_count_is_a_mismatch() {
    let log = log();
    let name = make_topic(&*log, "mismatch", 2);
    let error = log.create_topics(&[spec(&name, 3)]).expect_err("refused");
    assert_eq!(error.kind(), LogErrorKind::Mismatch);
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn asking_for_an_unknown_topic_does_not_make_it() {
    let log = log();
    let name = unique("never");
    assert_eq!(log.describe_topic(&name).expect("asked"), None);
    let partition = TopicPartition::new(name.as_str(), 0);
    let error = log.offsets(&partition, Isolation::Committed).expect_err("unknown");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);
    let error = log.session(session_config(&unique("group"), &[&name])).err().expect("unknown");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);
    assert_eq!(log.describe_topic(&name).expect("asked"), None);
}

#[test]
fn the_true_end_is_told_apart_from_the_stable_one() {
    let log = log();
    let input = make_topic(&*log, "input", 1);
    let output = make_topic(&*log, "output", 1);
    fill(&*log, &input, 0, &["a"]);
    let group = unique("group");
    let mut session = open(&*log, &group, &[&input]);
    let (owned, _) = wait_assigned(&mut *session).remove(0);
    let partition = TopicPartition::new(output.as_str(), 0);

    session.begin().expect("begun");
    session.send(send_at_once(&output, "open")).expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while log.offsets(&partition, Isolation::Uncommitted).expect("asked").end == 0 {
        assert!(Instant::now() < deadline, "the record never arrived");
    }
    assert_eq!(log.offsets(&partition, Isolation::Committed).expect("asked").end, 0);
    let receipt = session.commit(&[(owned, 1)]).expect("committed");
    assert_eq!(receipt.ends, [(partition.clone(), 1)]);
    // The marker takes an offset of its own, a moment later.
    for isolation in [Isolation::Uncommitted, Isolation::Committed] {
        while log.offsets(&partition, isolation).expect("asked").end < 2 {
            assert!(Instant::now() < deadline, "the marker never arrived");
        }
    }
}

#[test]
fn a_trimmed_partition_starts_where_it_was_trimmed() {
    let log = log();
    let topic = make_topic(&*log, "trimmed", 1);
    fill(&*log, &topic, 0, &["a", "b", "c"]);
    let partition = TopicPartition::new(topic.as_str(), 0);
    log.trim(&partition, 2).expect("trimmed");
    let range = log.offsets(&partition, Isolation::Uncommitted).expect("asked");
    assert_eq!((range.start, range.end), (2, 3));

    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    let error = read_to_end(&mut *reader, &partition, 0).expect_err("trimmed away");
    assert_eq!(error.kind(), LogErrorKind::Trimmed);
    assert!(error.to_string().contains(&topic), "{error}");
    let (values, end) = read_to_end(&mut *reader, &partition, 2).expect("the rest is there");
    assert_eq!((values, end), (vec!["c".to_owned()], 3));
}

#[test]
fn nobody_at_home_is_told_with_the_address_and_without_secrets() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let mut config = KafkaConfig::new(address.as_str());
    config.timeout = Duration::from_secs(2);
    config.extra.insert("sasl.password".into(), "hunter2".into());
    let started = Instant::now();
    let error = KafkaLog::connect(config).expect_err("nobody answers");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(error.kind(), LogErrorKind::Retriable);
    let text = format!("{error} {error:?}");
    assert!(text.contains(&address) && !text.contains("hunter2"), "{text}");
}
