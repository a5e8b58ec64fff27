//! Reading: ends, pauses, seeks, starts and waits.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use beacon_core::log::{Event, Isolation, Record, SessionConfig, StartFrom, TopicPartition};

use super::{Subject, numbers};

/// What a poll takes at most over the time it was given.
const IDLE_AT_MOST: Duration = Duration::from_secs(4);

pub fn the_end_of_a_partition_is_told_each_time_it_is_reached(subject: &Subject) {
    let topic = subject.topic("ends", 1);
    let at = TopicPartition::new(Arc::clone(&topic), 0);
    subject.append_numbers(&topic, 0, 3);
    let mut member = subject.join("group", "id", &[&topic]);
    member.poll_until("the end", |member| member.ends.len() == 1);
    assert_eq!(member.read.len(), 3, "records come before the end");
    assert!(member.ends[0].1 > member.read[2].offset);
    member.poll_for(subject.quiet);
    assert_eq!(member.ends.len(), 1, "once, as long as nothing new comes");
    let next = subject.append(Record::new(topic, "k", "v").to_partition(0));
    member.poll_until("the next end", |member| member.ends.len() == 2);
    assert_eq!(member.read.len(), 4);
    assert!(member.ends[0].1 <= next.offset, "the next record is at or after the end that was told");
    assert!(member.ends[1].1 > next.offset);
    assert!(member.ends.iter().all(|(partition, _)| *partition == at));
}

pub fn a_member_is_told_of_the_end_of_an_empty_partition(subject: &Subject) {
    let topic = subject.topic("empty", 3);
    let mut member = subject.join("group", "id", &[&topic]);
    member.poll_until("three ends", |member| member.ends.len() == 3);
    member.ends.sort();
    assert_eq!(member.ends, (0..3).map(|p| (TopicPartition::new(Arc::clone(&topic), p), 0)).collect::<Vec<_>>());
}

pub fn a_paused_partition_delivers_nothing_until_resumed(subject: &Subject) {
    let topic = subject.topic("paused", 2);
    let (zero, one) = (TopicPartition::new(Arc::clone(&topic), 0), TopicPartition::new(Arc::clone(&topic), 1));
    subject.append_numbers(&topic, 0, 3);
    subject.append_numbers(&topic, 1, 3);
    let mut member = subject.join("group", "id", &[&topic]);
    member.own(2);
    if member.read.is_empty() {
        // Paused before the first poll after the assignment: not a single record comes.
        member.session.pause(std::slice::from_ref(&zero)).expect("paused");
    }
    member.poll_until("the other partition", |member| member.values(&one).len() == 3);
    member.poll_for(subject.quiet);
    assert!(member.values(&zero).is_empty());
    member.session.resume(std::slice::from_ref(&zero)).expect("resumed");
    member.poll_until("the resumed partition", |member| member.values(&zero).len() == 3);
    assert_eq!(member.values(&zero), numbers(3));
    member.session.pause(&[zero.clone(), one]).expect("paused");
    subject.append_numbers(&topic, 0, 1);
    member.poll_for(subject.quiet);
    assert_eq!(member.values(&zero).len(), 3);
}

pub fn a_sought_offset_is_delivered_next(subject: &Subject) {
    let topic = subject.topic("sought", 1);
    let at = TopicPartition::new(Arc::clone(&topic), 0);
    let positions = subject.append_numbers(&topic, 0, 10);
    let mut member = subject.join("group", "id", &[&topic]);
    member.poll_until("all records and the end", |member| member.read.len() == 10 && member.ends.len() == 1);
    member.session.seek(&at, positions[6].offset).expect("sought back");
    member.poll_until("the rest again", |member| member.read.len() == 14);
    assert_eq!(member.values(&at)[10..], numbers(10)[6..]);
    member.poll_until("the end again", |member| member.ends.len() == 2);
    member.session.seek(&at, positions[9].offset).expect("sought");
    member.session.seek(&at, positions[8].offset).expect("sought again before a poll");
    member.poll_until("the last two", |member| member.read.len() == 16);
    assert_eq!(member.values(&at)[14..], numbers(10)[8..]);
}

pub fn a_group_goes_on_at_its_committed_offset(subject: &Subject) {
    let topic = subject.topic("input", 2);
    let at = |partition| TopicPartition::new(Arc::clone(&topic), partition);
    subject.append_numbers(&topic, 0, 5);
    subject.append_numbers(&topic, 1, 5);
    let mut member = subject.join("group", "id", &[&topic]);
    member.own(2);
    member.session.begin().expect("begun");
    member.session.commit(&[(at(0), 4)]).expect("committed");
    member.session.close().expect("closed");
    let mut member = subject.join("group", "id", &[&topic]);
    member.own(2);
    assert_eq!((member.owned[&at(0)], member.owned[&at(1)]), (4, 0));
    member.poll_until("what is left", |member| member.read.len() == 6);
    assert_eq!(member.values(&at(0)), ["4"]);
    assert_eq!(member.values(&at(1)), numbers(5));
}

pub fn latest_starts_at_the_end_and_earliest_at_the_start(subject: &Subject) {
    let topic = subject.topic("input", 1);
    let at = TopicPartition::new(Arc::clone(&topic), 0);
    subject.append_numbers(&topic, 0, 3);
    let config = SessionConfig { start: StartFrom::Latest, ..subject.config("late", "late", &[&topic]) };
    let mut latest = subject.join_with(config);
    latest.own(1);
    assert!(latest.owned[&at] >= 3);
    latest.poll_until("the end", |member| !member.ends.is_empty());
    subject.append(Record::new(Arc::clone(&topic), "k", "new"));
    latest.poll_until("the new record", |member| !member.read.is_empty());
    assert_eq!(latest.values(&at), ["new"]);
    let mut earliest = subject.join("early", "early", &[&topic]);
    earliest.poll_until("everything", |member| member.read.len() == 4);
}

pub fn a_poll_ends_idle_when_nothing_happens(subject: &Subject) {
    let topic = subject.topic("idle", 1);
    let mut member = subject.join("group", "id", &[&topic]);
    member.poll_until("the end", |member| !member.ends.is_empty());
    let started = Instant::now();
    assert!(!member.poll(Duration::from_millis(300)));
    let waited = started.elapsed();
    // The bound is for a machine under load. What a poll could wait for besides records is longer: a request to a broker.
    assert!((Duration::from_millis(250)..IDLE_AT_MOST).contains(&waited), "it waits as long as it may: {waited:?}");
    let started = Instant::now();
    assert!(!member.poll(Duration::ZERO));
    assert!(started.elapsed() < IDLE_AT_MOST, "it does not wait");
}

pub fn a_waiting_reader_gets_a_record_when_it_is_appended(subject: &Subject) {
    let topic = subject.topic("wait", 1);
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(TopicPartition::new(Arc::clone(&topic), 0), 0)]).expect("assigned");
    assert!(matches!(reader.poll(subject.patience).expect("polled"), Event::EndOfPartition(_, 0)));
    thread::scope(|scope| {
        let waiting = scope.spawn(move || reader.poll(subject.patience).expect("polled"));
        // Whether the append comes before or during the wait, the poll must return it long before it times out.
        let started = Instant::now();
        subject.append(Record::new(topic, "k", "v"));
        let event = waiting.join().expect("no panic");
        assert!(matches!(&event, Event::Records(batch) if batch.len() == 1), "{event:?}");
        assert!(started.elapsed() < subject.patience / 2);
    });
}

pub fn a_reader_reads_several_partitions_each_in_order(subject: &Subject) {
    let topic = subject.topic("several", 3);
    let at = |partition| TopicPartition::new(Arc::clone(&topic), partition);
    for partition in 0..3 {
        subject.append_numbers(&topic, partition, 100);
    }
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(at(0), 0), (at(1), 50), (at(2), 99)]).expect("assigned");
    let (mut read, mut ends) = (vec![Vec::new(); 3], 0);
    while ends < 3 {
        match reader.poll(subject.patience).expect("polled") {
            Event::Records(batch) => {
                for record in (0..batch.len()).map(|index| batch.get(index)) {
                    let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
                    read[record.partition as usize].push(value);
                }
            }
            Event::EndOfPartition(..) => ends += 1,
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(read[0], numbers(100));
    assert_eq!(read[1], numbers(100)[50..]);
    assert_eq!(read[2], numbers(100)[99..]);
    reader.assign(&[(at(2), 98)]).expect("assigned anew");
    match reader.poll(subject.patience).expect("polled") {
        Event::Records(batch) => assert_eq!((batch.len(), batch.get(0).offset), (2, 98)),
        event => panic!("{event:?}"),
    }
}

/// librdkafka waits for every message that was handed out before it lets go of a client.
pub fn a_reader_and_a_session_are_dropped_with_records_not_told_yet(subject: &Subject) {
    let topic = subject.topic("unread", 3);
    (0..3).for_each(|partition| drop(subject.append_numbers(&topic, partition, 10)));
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    let all: Vec<_> = (0..3).map(|partition| (TopicPartition::new(Arc::clone(&topic), partition), 0)).collect();
    reader.assign(&all).expect("assigned");
    let mut member = subject.join("group", "a", &[&topic]);
    member.poll_until("the first records", |member| !member.read.is_empty());
    let deadline = Instant::now() + subject.patience;
    while !matches!(reader.poll(subject.quiet).expect("polled"), Event::Records(_)) {
        assert!(Instant::now() < deadline, "no records");
    }
    let (done, waits) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(reader);
        drop(member);
        done.send(())
    });
    waits.recv_timeout(subject.patience).expect("dropping them hangs");
}
