//! What sessions of the embedded log promise beyond the contract.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{CommitError, Event, Isolation, Log, LogErrorKind, Record, TopicPartition};

use beacon_core::tools::holders;

use crate::log_contract::{numbers, plain};
use crate::subject;

#[test]
fn a_fenced_session_is_told_by_its_next_poll_at_once() {
    let subject = subject();
    let input = subject.topic("input", 1);
    let mut old = subject.log.session(subject.config("group", "id", &[&input])).expect("a session");
    while !matches!(old.poll(subject.patience).expect("polled"), Event::EndOfPartition(..)) {}
    std::thread::scope(|scope| {
        // It waits without a time-out worth the name; only the newer session can wake it.
        let waiting = scope.spawn(move || old.poll(Duration::from_secs(3600)).expect_err("fenced"));
        let _new = subject.join("group", "id", &[&input]);
        let error = waiting.join().expect("no panic");
        assert_eq!(error.kind(), LogErrorKind::Fenced);
        assert!(error.to_string().contains(&subject.name("id")), "{error}");
    });
}

#[test]
fn an_expelled_member_is_told_what_it_lost_and_joins_again() {
    let subject = subject();
    let input = subject.topic("input", 2);
    let mut silent = subject.join("group", "a", &[&input]);
    silent.own(2);
    let mut other = subject.join("group", "b", &[&input]);
    other.own(2);
    silent.session.begin().expect("begun");
    let refused = silent.session.commit(&[(TopicPartition::new(Arc::clone(&input), 0), 1)]).expect_err("expelled");
    assert!(matches!(refused, CommitError::Abortable(_)), "{refused}");
    silent.session.abort().expect("aborted");
    silent.poll_until("the loss", |member| member.lost.len() == 2);
    other.poll_until("a revocation", |member| !member.revoked.is_empty());
    other.poll(Duration::ZERO);
    silent.own(1);
    assert_eq!(other.owned.len(), 1);
}

#[test]
fn a_refused_commit_takes_nothing_until_it_is_aborted() {
    let subject = subject();
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    let not_owned = TopicPartition::new(Arc::clone(&output), 0);
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "refused")).expect("sent");
    assert!(matches!(member.session.commit(&[(not_owned, 1)]), Err(CommitError::Abortable(_))));
    let owned = TopicPartition::new(Arc::clone(&input), 0);
    assert!(member.session.commit(&[(owned.clone(), 1)]).is_err(), "its records would be missing");
    member.session.abort().expect("aborted");
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "0")).expect("sent");
    member.session.commit(&[(owned, 1)]).expect("committed");
    assert_eq!(subject.values(&output, 0), numbers(1));
}

#[test]
fn a_commit_into_a_topic_deleted_since_the_records_were_sent_is_refused_as_a_whole() {
    let subject = subject();
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    let (kept, at) = (subject.topic("kept", 1), TopicPartition::new(Arc::clone(&input), 0));
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    for is_made_again in [true, false] {
        member.session.begin().expect("begun");
        member.session.send(plain(&output, 0, "of a topic that is gone")).expect("sent");
        member.session.send(plain(&kept, 0, "refused with it")).expect("sent");
        subject.log.delete_topics(&[&output]).expect("deleted");
        if is_made_again {
            subject.topic("output", 1);
            // It goes to the new one; those before it do not.
            member.session.send(plain(&output, 0, "refused with them")).expect("sent");
        }
        let refused = member.session.commit(&[(at.clone(), 1)]).expect_err("its records have no place");
        let CommitError::Abortable(error) = &refused else { panic!("{refused}") };
        assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
        assert!(error.to_string().contains(&*output), "{error}");
        member.session.abort().expect("aborted");
        assert_eq!((subject.committed("group", &[&input]), subject.values(&kept, 0)), (vec![], vec![]));
        member.session.begin().expect("begun");
        if is_made_again {
            member.session.send(plain(&output, 0, "0")).expect("sent");
            member.session.commit(&[]).expect("the work is done again");
            assert_eq!(subject.values(&output, 0), numbers(1));
        } else {
            let error = member.session.send(plain(&output, 0, "1")).expect_err("there is no such topic");
            assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
        }
    }
}

#[test]
fn what_was_read_of_a_deleted_input_does_not_count_for_the_one_made_in_its_place() {
    let subject = subject();
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    let at = TopicPartition::new(Arc::clone(&input), 0);
    subject.append_numbers(&input, 0, 3);
    let mut member = subject.join("group", "id", &[&input]);
    member.poll_until("all of it", |member| member.read.len() == 3);
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "of an input that is gone")).expect("sent");
    subject.log.delete_topics(&[&input]).expect("deleted");
    subject.topic("input", 1);
    let refused = member.session.commit(&[(at.clone(), 3)]).expect_err("it has read another one");
    let CommitError::Abortable(error) = &refused else { panic!("{refused}") };
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
    assert!(error.to_string().contains(&*input), "{error}");
    member.session.abort().expect("aborted");
    let error = member.session.poll(Duration::ZERO).expect_err("it goes on with neither");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic, "{error}");
    assert_eq!((subject.committed("group", &[&input]), subject.values(&output, 0)), (vec![], vec![]));
    drop(member);
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    assert_eq!(member.owned[&at], 0);
}

#[test]
fn a_group_whose_next_records_were_trimmed_goes_on_at_the_start() {
    let subject = subject();
    let topic = subject.topic("input", 1);
    let at = TopicPartition::new(Arc::clone(&topic), 0);
    subject.append_numbers(&topic, 0, 10);
    let mut member = subject.join("group", "id", &[&topic]);
    member.own(1);
    subject.log.trim(&at, 4).expect("trimmed");
    member.poll_until("what is left", |member| member.read.len() == 6);
    assert_eq!(member.values(&at), numbers(10)[4..]);
    member.session.begin().expect("begun");
    member.session.commit(&[(at.clone(), 5)]).expect("committed");
    drop(member);
    subject.log.trim(&at, 7).expect("trimmed");
    let mut member = subject.join("group", "id", &[&topic]);
    member.own(1);
    assert_eq!(member.owned[&at], 7);
}

#[test]
fn the_error_of_one_partition_costs_no_record_of_another() {
    let subject = subject();
    let topic = subject.topic("input", 3);
    let at = |partition| TopicPartition::new(Arc::clone(&topic), partition);
    for partition in 0..3 {
        subject.append_numbers(&topic, partition, 5);
    }
    subject.log.trim(&at(1), 3).expect("trimmed");
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(at(0), 0), (at(1), 0), (at(2), 0)]).expect("assigned");
    let (mut records, mut refusals) = (0, 0);
    for _ in 0..30 {
        match reader.poll(Duration::ZERO) {
            Ok(Event::Records(batch)) => records += batch.len(),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), LogErrorKind::Trimmed, "{error}");
                refusals += 1;
            }
        }
    }
    assert_eq!(records, 10, "of the two whole partitions");
    assert!(refusals >= 5, "told again and again, not once and then forgotten");
}

#[test]
fn the_directory_has_one_owner_and_is_free_when_the_log_is_dropped() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = EmbeddedLog::open(directory.path()).expect("opened");
    let error = EmbeddedLog::open(directory.path()).err().expect("owned already");
    assert_eq!(error.kind(), LogErrorKind::Locked);
    let path = directory.path().canonicalize().expect("there").display().to_string();
    for part in [&path, &std::process::id().to_string(), "Kafka"] {
        assert!(error.to_string().contains(part), "{error} does not name {part}");
    }
    drop(log);
    EmbeddedLog::open(directory.path()).expect("free again");
}

#[test]
fn appends_are_answered_after_the_log_was_dropped() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = EmbeddedLog::open(directory.path()).expect("opened");
    let appender = log.appender().expect("an appender");
    let (answer, answered) = std::sync::mpsc::channel();
    drop(log);
    for _ in 0..2 {
        let answer = answer.clone();
        let done = Box::new(move |result: Result<_, _>| answer.send(result.is_err()).expect("the test waits"));
        appender.append(vec![Record::new("nowhere", "k", "v")], done);
    }
    drop(appender);
    drop(answer);
    assert_eq!(answered.iter().collect::<Vec<_>>(), [true, true], "each exactly once");
}

#[test]
fn an_open_transaction_holds_nobody_back() {
    let subject = subject();
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    let look = || holders(subject.log.as_ref(), &[&input, &output]).expect("looked");
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "open")).expect("sent");
    assert_eq!(look(), []);
    subject.append_numbers(&output, 0, 1);
    // What came after it is read before it.
    assert_eq!((look(), subject.values(&output, 0)), (Vec::new(), numbers(1)));
    assert_eq!(subject.log.open_transactions().expect("told"), []);
    member.session.commit(&[(TopicPartition::new(Arc::clone(&input), 0), 0)]).expect("committed");
    assert_eq!(look(), []);
}
