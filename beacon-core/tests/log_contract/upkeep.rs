//! What tools do to topics and groups that nobody is at work on.

use std::sync::Arc;
use std::time::Instant;

use beacon_core::log::{
    CleanupPolicy, Isolation, LogErrorKind, OffsetRange, Record, SessionConfig, TopicPartition, TopicSpec,
};

use super::{Subject, numbers, plain};

/// Makes a topic of this full name, unlike [`Subject::topic`].
fn make(subject: &Subject, name: &str, partitions: u32) {
    let cleanup = CleanupPolicy::Delete { retention: None };
    subject.log.create_topics(&[TopicSpec { name: name.to_owned(), partitions, cleanup }]).expect("made");
}

fn wait_until(subject: &Subject, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + subject.patience;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

pub fn a_deleted_topic_is_gone_and_its_name_is_free(subject: &Subject) {
    let topic = subject.topic("deleted", 2);
    let kept = subject.topic("kept", 1);
    subject.append_numbers(&topic, 1, 5);
    subject.append_numbers(&kept, 0, 5);
    let ends = [(TopicPartition::new(Arc::clone(&topic), 1), 5), (TopicPartition::new(Arc::clone(&kept), 0), 5)];
    subject.log.set_committed(&subject.name("group"), &ends).expect("set");
    let never = subject.name("never");
    subject.log.delete_topics(&[&topic, &never]).expect("deleted, and one that was not there left out");
    assert_eq!(subject.log.describe_topic(&topic).expect("asked"), None);
    assert!(subject.log.list_topics().expect("listed").iter().all(|found| found.name != *topic));
    assert_eq!(subject.values(&kept, 0), numbers(5), "others stay");
    let error = subject
        .log
        .offsets(&TopicPartition::new(Arc::clone(&topic), 0), Isolation::Committed)
        .expect_err("there is no such topic");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");

    make(subject, &topic, 3);
    assert_eq!(subject.log.describe_topic(&topic).expect("asked").map(|found| found.partitions), Some(3));
    for partition in 0..3 {
        let at = TopicPartition::new(Arc::clone(&topic), partition);
        let range = subject.log.offsets(&at, Isolation::Uncommitted).expect("offsets");
        assert_eq!(range, OffsetRange { start: 0, end: 0 }, "{at}");
    }
    wait_until(subject, "offsets in the old topic to be forgotten, and no others", || {
        subject.committed("group", &[&topic, &kept]) == ends[1..]
    });
    subject.append_numbers(&topic, 2, 4);
    assert_eq!(subject.values(&topic, 2), numbers(4));
}

pub fn a_topic_made_again_has_another_id_that_is_good_for_paths(subject: &Subject) {
    let topic = subject.topic("again", 1);
    let id = |name: &str| subject.log.topic_id(name).expect("asked");
    assert_eq!(id(&subject.name("never")), None);
    let mut seen = Vec::new();
    // Enough that an alphabet with other characters shows.
    for _ in 0..4 {
        let first = id(&topic).expect("it has one");
        assert_eq!(id(&topic).as_ref(), Some(&first), "asked again, the same");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        assert!(!first.is_empty() && first.bytes().all(plain), "{first} is no part of a path");
        assert!(!seen.contains(&first), "{first} was an earlier one's");
        seen.push(first);
        subject.log.delete_topics(&[&topic]).expect("deleted");
        assert_eq!(id(&topic), None);
        make(subject, &topic, 1);
    }
}

pub fn an_appender_goes_on_in_a_topic_made_again(subject: &Subject) {
    let topic = subject.topic("rewritten", 2);
    let appender = subject.appender();
    let append = |partition: u32, value: &str| {
        let record = Record::new(Arc::clone(&topic), "k", value).to_partition(partition);
        appender.append_blocking(vec![record]).expect("appended")[0]
    };
    append(0, "old");
    append(1, "old");
    subject.log.delete_topics(&[&topic]).expect("deleted");
    // With as many partitions as before: a writer of Kafka's that has seen a topic does not ask again for minutes.
    make(subject, &topic, 2);
    append(0, "new");
    append(1, "new");
    assert_eq!(subject.values(&topic, 0), ["new"]);
    assert_eq!(subject.values(&topic, 1), ["new"]);
}

pub fn a_session_goes_on_in_a_topic_made_again(subject: &Subject) {
    let (input, output) = (subject.topic("input", 1), subject.topic("rewritten", 2));
    let at = TopicPartition::new(Arc::clone(&input), 0);
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    let mut write = |value: &str, position: u64| {
        member.session.begin().expect("begun");
        for partition in 0..2 {
            member.session.send(plain(&output, partition, value)).expect("sent");
        }
        member.session.commit(&[(at.clone(), position)])
    };
    write("old", 1).expect("committed");
    write("old", 2).expect("committed");
    subject.log.delete_topics(&[&output]).expect("deleted");
    // With as many partitions as before: a writer of Kafka's that has seen a topic does not ask again for minutes.
    make(subject, &output, 2);
    let receipt = write("new", 3).expect("committed");
    for partition in 0..2 {
        assert_eq!(subject.values(&output, partition), ["new"]);
        let read = subject.read_all(&output, partition, Isolation::Committed);
        let end = (TopicPartition::new(Arc::clone(&output), partition), read[0].offset + 1);
        assert!(receipt.ends.contains(&end), "{end:?} is not in {receipt:?}");
    }
    assert_eq!(subject.committed("group", &[&input]), [(at, 3)]);
}

pub fn members_are_told_while_they_are_in(subject: &Subject) {
    let input = subject.topic("input", 2);
    let members = || subject.log.members(&subject.name("group")).expect("asked");
    assert_eq!(members(), [""; 0], "nobody ever joined");
    let mut first = subject.join("group", "a", &[&input]);
    first.own(2);
    assert_eq!(members().len(), 1, "{:?}", members());
    let mut second = subject.join("group", "b", &[&input]);
    let deadline = Instant::now() + subject.patience;
    while members().len() < 2 {
        assert!(Instant::now() < deadline, "the second is not told: {:?}", members());
        first.poll(std::time::Duration::from_millis(20));
        second.poll(std::time::Duration::from_millis(20));
    }
    assert!(members().iter().all(|name| !name.is_empty()), "{:?}", members());
    first.session.close().expect("closed");
    second.session.close().expect("closed");
    wait_until(subject, "both to be gone", || members().is_empty());
}

pub fn a_static_member_is_told_by_its_instance_id(subject: &Subject) {
    let input = subject.topic("input", 1);
    let config =
        SessionConfig { instance_id: Some(subject.name("instance")), ..subject.config("group", "a", &[&input]) };
    let mut member = subject.join_with(config);
    member.own(1);
    assert_eq!(subject.log.members(&subject.name("group")).expect("asked"), [subject.name("instance")]);
}

pub fn offsets_of_a_group_are_set_while_nobody_is_in_it(subject: &Subject) {
    let input = subject.topic("input", 1);
    let at = TopicPartition::new(Arc::clone(&input), 0);
    subject.append_numbers(&input, 0, 5);
    let set = |offset| subject.log.set_committed(&subject.name("group"), &[(at.clone(), offset)]);
    set(3).expect("set for a group that nobody was ever in");
    assert_eq!(subject.committed("group", &[&input]), [(at.clone(), 3)]);
    let mut member = subject.join("group", "a", &[&input]);
    member.poll_until("the rest", |member| member.read.len() == 2);
    assert_eq!(member.values(&at), numbers(5)[3..], "it goes on where it was set to");
    let error = set(0).expect_err("somebody is at work");
    assert_eq!(error.kind(), LogErrorKind::Fenced, "{error}");
    assert!(error.to_string().contains(&subject.name("group")), "{error}");
    member.session.close().expect("closed");
    wait_until(subject, "it to be gone", || set(1).is_ok());
    assert_eq!(subject.committed("group", &[&input]), [(at, 1)]);
    let never = TopicPartition::new(subject.name("never"), 0);
    let error = subject.log.set_committed(&subject.name("group"), &[(never, 0)]).expect_err("no such topic");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
}
