//! A full disk: refused, nothing half-written, and on again when there is room.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use beacon_core::log::embedded::{EmbeddedLog, EmbeddedOptions};
use beacon_core::log::{CommitError, Isolation, LogError, LogErrorKind, Record, TopicPartition};

use crate::log_contract::{Subject, numbers, plain};
use crate::small_disk::SmallDisk;
use crate::{open_with, subject_of};

fn options(reserve_bytes: u64) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::default();
    options.reserve_bytes = reserve_bytes;
    options.write_buffer_bytes = 1 << 20;
    options
}

fn open(disk: &Path, reserve_bytes: u64) -> Subject {
    subject_of(open_with(&disk.join("log"), options(reserve_bytes)), ())
}

fn append(subject: &Subject, topic: &Arc<str>, value: &str) -> Result<(), LogError> {
    let record = Record::new(Arc::clone(topic), "k", value);
    subject.appender().append_blocking(vec![record]).map(drop)
}

#[test]
fn writes_are_refused_while_the_reserve_is_all_that_is_left() {
    let disk = SmallDisk::mount();
    let subject = open(&disk.path, 8 << 20);
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    let at = TopicPartition::new(Arc::clone(&input), 0);
    append(&subject, &input, "0").expect("room enough");
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);

    let filler = disk.fill_but(4 << 20);
    let error = append(&subject, &input, "refused").expect_err("less than the reserve is left");
    assert_eq!(error.kind(), LogErrorKind::Full);
    assert!(error.to_string().contains(&*disk.path.to_string_lossy()), "{error}");
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "refused")).expect("sent");
    match member.session.commit(&[(at.clone(), 1)]) {
        Err(CommitError::Abortable(error)) => assert_eq!(error.kind(), LogErrorKind::Full),
        other => panic!("{other:?} instead of a refusal"),
    }
    member.session.abort().expect("aborted");
    assert_eq!(subject.values(&input, 0), numbers(1), "reading goes on");
    assert!(subject.values(&output, 0).is_empty());
    assert!(subject.committed("group", &[&input]).is_empty());
    subject.log.trim(&at, 1).expect("trimming, which makes room, goes on");

    fs::remove_file(filler).expect("removed");
    append(&subject, &input, "0").expect("room again");
    member.session.begin().expect("begun");
    member.session.send(plain(&output, 0, "0")).expect("sent");
    member.session.commit(&[(at, 2)]).expect("committed");
    assert_eq!(subject.values(&output, 0), numbers(1));
}

#[test]
fn a_write_that_hits_the_end_of_the_disk_is_settled_when_there_is_room() {
    let disk = SmallDisk::mount();
    let subject = open(&disk.path, 0);
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 2));
    let at = TopicPartition::new(Arc::clone(&input), 0);
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    let value = "x".repeat(100_000);
    let mut fillers = vec![disk.fill_but(600 << 10)];
    let (mut committed, mut round) = (0, 0);
    // Transactions of 200 kB, until one does not fit.
    let refused = loop {
        assert!(round < 1000, "the disk never gets full");
        round += 1;
        member.session.begin().expect("begun");
        member.session.send(plain(&output, 0, &value)).expect("sent");
        member.session.send(plain(&output, 1, &value)).expect("sent");
        match member.session.commit(&[(at.clone(), round)]) {
            Ok(_) => committed = round,
            Err(error) => break error,
        }
    };
    let (CommitError::Unknown(error) | CommitError::Abortable(error)) = &refused else {
        panic!("{refused} instead of a full disk");
    };
    assert_eq!(error.kind(), LogErrorKind::Full, "{error}");
    // RocksDB gives back, in its own time, what it could not finish: that may be room enough for some more.
    let mut appended = 0;
    let error = loop {
        fillers.push(disk.fill_but(0));
        match append(&subject, &input, &value) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), LogErrorKind::Full, "{error}");
    let visible =
        |subject: &Subject, partition| subject.read_all(&output, partition, Isolation::Committed).len() as u64;
    assert_eq!((visible(&subject, 0), visible(&subject, 1)), (committed, committed), "reading goes on");

    fillers.into_iter().for_each(|filler| fs::remove_file(filler).expect("removed"));
    let landed = match refused {
        CommitError::Unknown(_) => member.session.commit(&[(at.clone(), round)]).is_ok(),
        _ => false,
    };
    if landed {
        committed = round;
    } else {
        member.session.abort().expect("aborted");
    }
    let state = |subject: &Subject| {
        let offset = subject.log.committed(&subject.name("group"), &[&*input]).expect("offsets");
        (visible(subject, 0), visible(subject, 1), offset.first().map_or(0, |(_, offset)| *offset))
    };
    assert_eq!(state(&subject), (committed, committed, committed), "as the log said, and nothing by halves");
    append(&subject, &input, "0").expect("room again");
    member.session.begin().expect("begun");
    member.session.commit(&[(at, committed)]).expect("committed");
    let values = subject.values(&input, 0);
    // The append that failed last may have reached the disk; nobody was told that it did not.
    assert!((appended + 1..=appended + 2).contains(&values.len()), "{} of {appended} and one", values.len());
    assert_eq!(values.last().map(String::as_str), Some("0"));

    let prefix = subject.prefix.clone();
    drop((member, subject));
    let again = Subject { prefix, ..open(&disk.path, 0) };
    assert_eq!(state(&again), (committed, committed, committed), "and so it is on the disk");
}

#[test]
fn a_disk_without_room_to_open_the_log_says_so() {
    let disk = SmallDisk::mount();
    let _filler = disk.fill_but(0);
    let error = EmbeddedLog::open_with(disk.path.join("log"), options(0)).err().expect("no room");
    assert_eq!(error.kind(), LogErrorKind::Full, "{error}");
}
