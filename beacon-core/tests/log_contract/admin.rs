//! Topics: made, described, trimmed.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::{
    CleanupPolicy, Event, Isolation, LogError, LogErrorKind, OffsetRange, Record, TopicDescription, TopicPartition,
    TopicSpec,
};

use super::{Subject, numbers, texts};

fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, cleanup: CleanupPolicy::Delete { retention: None } }
}

pub fn created_topics_are_listed_and_described(subject: &Subject) {
    let (one, two) = (subject.name("one"), subject.name("two"));
    subject.log.create_topics(&[spec(&two, 3), spec(&one, 1)]).expect("made");
    let described = |name: &String, partitions| TopicDescription { name: name.clone(), partitions };
    assert_eq!(subject.log.describe_topic(&two).expect("described"), Some(described(&two, 3)));
    assert_eq!(subject.log.describe_topic(&subject.name("three")).expect("asked"), None);
    let mut listed = subject.log.list_topics().expect("listed");
    assert!(listed.is_sorted_by(|left, right| left.name < right.name), "in the order of names");
    listed.retain(|topic| topic.name.starts_with(&subject.prefix));
    assert_eq!(listed, [described(&one, 1), described(&two, 3)]);
}

pub fn creating_a_topic_again_changes_nothing(subject: &Subject) {
    let topic = subject.topic("again", 2);
    subject.append_numbers(&topic, 1, 3);
    let other = subject.name("other");
    subject.log.create_topics(&[spec(&topic, 2), spec(&other, 1)]).expect("made where missing");
    assert_eq!(subject.values(&topic, 1), numbers(3));
    assert!(subject.log.describe_topic(&other).expect("described").is_some());
}

pub fn another_partition_count_is_a_mismatch_that_names_topic_and_counts(subject: &Subject) {
    let topic = subject.topic("fixed", 2);
    let error = subject.log.create_topics(&[spec(&topic, 53)]).expect_err("the topic has 2 partitions");
    assert_eq!(error.kind(), LogErrorKind::Mismatch);
    let message = error.to_string().replace(&*topic, "TOPIC");
    assert!(message.contains("TOPIC") && message.contains('2') && message.contains("53"), "{error}");
}

pub fn unknown_topics_are_named_in_errors(subject: &Subject) {
    let name: Arc<str> = Arc::from(subject.name("nowhere"));
    let at = TopicPartition::new(Arc::clone(&name), 0);
    let errors = [
        subject.log.offsets(&at, Isolation::Committed).expect_err("offsets of nothing"),
        subject
            .appender()
            .append_blocking(vec![Record::new(Arc::clone(&name), "k", "v")])
            .expect_err("an append to nothing"),
        subject.log.session(subject.config("group", "id", &[&name])).err().expect("a session on nothing"),
    ];
    for error in errors {
        assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
        assert!(error.to_string().contains(&*name), "{error}");
    }
    let known = subject.topic("known", 2);
    let beyond = TopicPartition::new(Arc::clone(&known), 2);
    let error = subject.log.offsets(&beyond, Isolation::Committed).expect_err("there are partitions 0 and 1");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
}

pub fn names_that_no_topic_can_have_are_refused_with_what_is_allowed(subject: &Subject) {
    let refused = |name: &str, error: LogError| {
        assert_eq!(error.kind(), LogErrorKind::Configuration, "{name:?}: {error}");
        let message = error.to_string();
        assert!(message.contains(&format!("{name:?}")) && message.contains("a-z, A-Z, 0-9"), "{name:?}: {error}");
    };
    let beside = subject.name("beside");
    let long = subject.name(&"x".repeat(250));
    for name in ["", ".", "..", "all prices", "a/b", "../a", "a\\b", "a:b", "caf\u{e9}", "a\0b", &long] {
        refused(name, subject.log.create_topics(&[spec(&beside, 1), spec(name, 1)]).expect_err("made"));
        assert_eq!(subject.log.describe_topic(name).expect("asked"), None, "{name:?}");
        let at = TopicPartition::new(name, 0);
        refused(name, subject.log.offsets(&at, Isolation::Committed).expect_err("offsets"));
        refused(name, subject.appender().append_blocking(vec![Record::new(name, "k", "v")]).expect_err("an append"));
        refused(name, subject.log.session(subject.config("group", "id", &[&at.topic])).err().expect("a session"));
    }
    assert_eq!(subject.log.describe_topic(&beside).expect("asked"), None, "all are made, or none");

    let start = subject.name("._-");
    let longest = format!("{start}{}", "x".repeat(249 - start.len()));
    subject.log.create_topics(&[spec(&longest, 1)]).expect("made");
    assert!(subject.log.describe_topic(&longest).expect("asked").is_some());
}

pub fn a_new_partition_is_empty(subject: &Subject) {
    let at = TopicPartition::new(subject.topic("new", 1), 0);
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        assert_eq!(subject.log.offsets(&at, isolation).expect("offsets"), OffsetRange { start: 0, end: 0 });
    }
    assert!(subject.values(&at.topic, 0).is_empty());
}

pub fn a_trimmed_partition_starts_later_and_refuses_readers_below(subject: &Subject) {
    let topic = subject.topic("trimmed", 2);
    let at = TopicPartition::new(Arc::clone(&topic), 1);
    let positions = subject.append_numbers(&topic, 1, 10);
    let before = positions[4].offset;
    subject.log.trim(&at, before).expect("trimmed");
    assert_eq!(subject.log.offsets(&at, Isolation::Committed).expect("offsets").start, before);
    assert_eq!(texts(&subject.read_from(&at, before, Isolation::Committed)), numbers(10)[4..]);

    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(at.clone(), positions[3].offset)]).expect("assigned");
    let error = loop {
        match reader.poll(subject.patience) {
            Ok(Event::Idle) => continue,
            Ok(event) => panic!("{event:?} from before the start"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), LogErrorKind::Trimmed, "{error}");
    assert!(error.to_string().contains(&*topic), "{error}");

    subject.log.trim(&at, positions[2].offset).expect("nothing to do");
    assert_eq!(subject.log.offsets(&at, Isolation::Committed).expect("offsets").start, before, "never back");
    let end = subject.log.offsets(&at, Isolation::Committed).expect("offsets").end;
    subject.log.trim(&at, end).expect("trimmed to the end");
    assert!(subject.values(&topic, 1).is_empty());
    let next = subject.append(Record::new(topic, "k", "v").to_partition(1));
    assert!(next.offset >= end, "offsets go on after everything was trimmed");
}

pub fn a_record_that_is_too_large_is_refused_and_the_next_one_is_not(subject: &Subject) {
    let topic = subject.topic("sizes", 1);
    let large = vec![b'x'; 64 << 20];
    let error = subject
        .appender()
        .append_blocking(vec![Record::new(Arc::clone(&topic), "k", large)])
        .expect_err("64 MiB are too many");
    assert_eq!(error.kind(), LogErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains(&*topic), "{error}");
    let fitting = vec![b'x'; 500_000];
    subject.append(Record::new(Arc::clone(&topic), "k", fitting.clone()));
    let read = subject.read_all(&topic, 0, Isolation::Committed);
    assert_eq!(read.len(), 1);
    assert!(read[0].value.as_deref() == Some(&fitting[..]), "half a megabyte comes back as it was");
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    assert!(matches!(reader.poll(Duration::ZERO), Ok(Event::Idle)), "a reader of nothing is idle");
}
