//! Transactions: all or nothing, offsets included.

use std::sync::Arc;

use beacon_core::log::{Event, Isolation, Record, TopicPartition};

use super::{Member, Subject, numbers, plain};

/// A member that owns the one partition of a new topic.
fn member(subject: &Subject) -> (Member, TopicPartition) {
    let input = subject.topic("input", 1);
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    (member, TopicPartition::new(input, 0))
}

pub fn a_commit_writes_many_topics_and_offsets_as_one(subject: &Subject) {
    let (one, two) = (subject.topic("one", 2), subject.topic("two", 1));
    let (mut member, input) = member(subject);
    subject.append_numbers(&input.topic, 0, 5);
    member.session.begin().expect("begun");
    for n in 0..10 {
        member.session.send(plain(&one, n % 2, &(n / 2).to_string())).expect("sent");
        member.session.send(plain(&two, 0, &n.to_string())).expect("sent");
    }
    member.session.commit(&[(input.clone(), 3)]).expect("committed");
    assert_eq!(subject.values(&one, 0), numbers(5));
    assert_eq!(subject.values(&one, 1), numbers(5));
    assert_eq!(subject.values(&two, 0), numbers(10));
    assert_eq!(subject.committed("group", &[&input.topic]), [(input, 3)]);
}

pub fn an_aborted_transaction_is_never_visible(subject: &Subject) {
    let output = subject.topic("output", 1);
    let (mut member, input) = member(subject);
    for round in 0..3 {
        member.session.begin().expect("begun");
        member.session.send(plain(&output, 0, "aborted")).expect("sent");
        member.session.abort().expect("aborted");
        member.session.begin().expect("begun");
        member.session.send(plain(&output, 0, &round.to_string())).expect("sent");
        member.session.commit(&[(input.clone(), round)]).expect("committed");
    }
    assert_eq!(subject.values(&output, 0), numbers(3));
    assert_eq!(subject.committed("group", &[&input.topic]), [(input, 2)]);
}

pub fn nothing_of_an_open_transaction_is_visible_to_a_committed_read(subject: &Subject) {
    let output = subject.topic("output", 1);
    let (mut member, input) = member(subject);
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(TopicPartition::new(Arc::clone(&output), 0), 0)]).expect("assigned");
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "0")).expect("sent");
    let until = std::time::Instant::now() + subject.quiet;
    while std::time::Instant::now() < until {
        let event = reader.poll(subject.quiet / 10).expect("polled");
        assert!(!matches!(event, Event::Records(_)), "{event:?} before the commit");
    }
    member.session.commit(&[(input, 0)]).expect("committed");
    loop {
        if let Event::Records(batch) = reader.poll(subject.patience).expect("polled") {
            assert_eq!(batch.get(0).value, Some(&b"0"[..]));
            break;
        }
    }
}

pub fn a_receipt_tells_the_offset_after_the_last_record(subject: &Subject) {
    let (output, other) = (subject.topic("output", 3), subject.topic("other", 1));
    let (mut member, input) = member(subject);
    for _ in 0..3 {
        member.session.begin().expect("begun");
        for n in 0..5 {
            member.session.send(plain(&output, 2, &n.to_string())).expect("sent");
        }
        member.session.send(plain(&other, 0, "one")).expect("sent");
        let receipt = member.session.commit(&[(input.clone(), 0)]).expect("committed");
        let mut ends = receipt.ends;
        ends.sort();
        let last = |topic: &Arc<str>, partition| {
            let read = subject.read_all(topic, partition, Isolation::Committed);
            (TopicPartition::new(Arc::clone(topic), partition), read.last().expect("records").offset + 1)
        };
        let mut expected = vec![last(&output, 2), last(&other, 0)];
        expected.sort();
        assert_eq!(ends, expected);
    }
}

pub fn offsets_can_be_committed_alone(subject: &Subject) {
    let (mut member, input) = member(subject);
    subject.append_numbers(&input.topic, 0, 5);
    for offset in [2, 5, 1] {
        member.session.begin().expect("begun");
        let receipt = member.session.commit(&[(input.clone(), offset)]).expect("committed");
        assert!(receipt.ends.is_empty());
        assert_eq!(subject.committed("group", &[&input.topic]), [(input.clone(), offset)]);
    }
    assert!(subject.committed("another group", &[&input.topic]).is_empty());
}

pub fn a_large_transaction_arrives_whole_and_in_order(subject: &Subject) {
    let output = subject.topic("output", 2);
    let (mut member, input) = member(subject);
    member.session.begin().expect("begun");
    for n in 0..20_000_u32 {
        member.session.send(plain(&output, n % 2, &(n / 2).to_string())).expect("sent");
    }
    member.session.commit(&[(input, 0)]).expect("committed");
    assert_eq!(subject.values(&output, 0), numbers(10_000));
    assert_eq!(subject.values(&output, 1), numbers(10_000));
}

pub fn calls_out_of_order_are_refused(subject: &Subject) {
    let output = subject.topic("output", 1);
    let (mut member, input) = member(subject);
    assert!(member.session.send(plain(&output, 0, "x")).is_err(), "send before begin");
    assert!(member.session.commit(&[(input.clone(), 0)]).is_err(), "commit before begin");
    member.session.begin().expect("begun");
    assert!(member.session.begin().is_err(), "begin twice");
    member.session.send(plain(&output, 0, "0")).expect("sent");
    member.session.commit(&[(input, 0)]).expect("committed");
    assert_eq!(subject.values(&output, 0), numbers(1));
}

pub fn the_uncommitted_end_is_the_true_end(subject: &Subject) {
    let output = subject.topic("output", 1);
    let at = TopicPartition::new(Arc::clone(&output), 0);
    let (mut member, input) = member(subject);
    member.session.begin().expect("begun");
    for n in 0..7 {
        member.session.send(plain(&output, 0, &n.to_string())).expect("sent");
    }
    let receipt = member.session.commit(&[(input, 0)]).expect("committed");
    let end = |isolation| subject.log.offsets(&at, isolation).expect("offsets").end;
    assert!(end(Isolation::Uncommitted) >= receipt.ends[0].1, "the true end is past the last record");
    assert!(end(Isolation::Committed) >= receipt.ends[0].1, "with nothing open, the stable end is too");
    assert!(end(Isolation::Committed) <= end(Isolation::Uncommitted));
    assert_eq!(subject.read_all(&output, 0, Isolation::Uncommitted).len(), 7);
}

/// A restore whose own commit has no markers yet stands there: at what it knows to be committed, past what is stable.
pub fn a_committed_reader_past_the_stable_end_waits_there(subject: &Subject) {
    let output = subject.topic("output", 1);
    let at = TopicPartition::new(Arc::clone(&output), 0);
    let (mut member, input) = member(subject);
    member.session.begin().expect("begun");
    for n in 0..3 {
        member.session.send(plain(&output, 0, &n.to_string())).expect("sent");
    }
    // How much of an open transaction is in the log is the log's own affair: the embedded one has none of it there.
    member.poll_for(subject.quiet);
    let end = subject.log.offsets(&at, Isolation::Uncommitted).expect("offsets").end;
    let mut reader = subject.log.reader(Isolation::Committed).expect("a reader");
    reader.assign(&[(at.clone(), end)]).expect("assigned");
    match reader.poll(subject.quiet).expect("a reader waits there") {
        Event::Idle | Event::EndOfPartition(..) => {}
        event => panic!("{event:?}"),
    }
    member.session.commit(&[(input, 0)]).expect("committed");
    let last = subject.append(Record::new(Arc::clone(&output), "k", "after").to_partition(0));
    let mut read = Vec::new();
    while read.last().is_none_or(|(offset, _)| *offset < last.offset) {
        if let Event::Records(batch) = reader.poll(subject.patience).expect("polled") {
            read.extend((0..batch.len()).map(|index| {
                let record = batch.get(index);
                (record.offset, String::from_utf8(record.value.expect("a value").to_vec()).expect("text"))
            }));
        }
    }
    let wanted = ["0", "1", "2", "after"].into_iter().skip(end as usize).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(read.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), wanted);
}
