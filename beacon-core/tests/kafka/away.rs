//! A broker that does not answer for a while: frozen with SIGSTOP, so that connections stay open.

use std::process::Command;
use std::time::{Duration, Instant};

use beacon_core::log::{CommitError, Event, Isolation, Log, LogErrorKind, TopicPartition};

use super::support::*;

const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Freezes the broker, and lets it go on when dropped.
struct Frozen(String);

impl Frozen {
    fn new() -> Self {
        let broker = std::env::var("KAFKA_BROKER_PID").expect("KAFKA_BROKER_PID names a broker that may be stopped");
        let frozen = Self(broker);
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0]).status().expect("kill runs").success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[test]
#[ignore = "stops the broker for seconds: run alone, with its process id in KAFKA_BROKER_PID"]
fn a_broker_away_makes_calls_retriable_and_commits_unknown() {
    for delivered_before in [false, true] {
        commit_while_away(delivered_before);
    }
}

fn commit_while_away(delivered_before: bool) {
    let mut config = config();
    config.timeout = Duration::from_secs(2);
    let log = beacon_core::log::kafka::KafkaLog::connect(config).expect("connected");
    let (input, output) = (make_topic(&*log, "input", 1), make_topic(&*log, "output", 1));
    let mut settings = session_config(&unique("group"), &[&input]);
    settings.session_timeout = Duration::from_secs(30);
    settings.transaction_timeout = TRANSACTION_TIMEOUT;
    let mut session = log.session(settings).expect("a session");
    let partition = wait_assigned(&mut *session).remove(0).0;
    session.begin().expect("begun");
    session.send(send(&output, "a")).expect("sent");
    session.commit(&[(partition.clone(), 0)]).expect("committed");

    session.begin().expect("begun");
    session.send(send(&output, "b")).expect("sent");
    let target = TopicPartition::new(output.as_str(), 0);
    let arrived = || log.offsets(&target, Isolation::Uncommitted).expect("asked").end >= 3;
    let deadline = Instant::now() + PATIENCE;
    while delivered_before && !arrived() {
        assert!(Instant::now() < deadline, "the record never arrived");
    }
    let frozen = Frozen::new();
    let error = log.offsets(&partition, Isolation::Committed).expect_err("nobody answers");
    assert_eq!(error.kind(), LogErrorKind::Retriable, "{error}");
    let started = Instant::now();
    let error = session.commit(&[(partition.clone(), 0)]).expect_err("nobody answers");
    assert!(matches!(error, CommitError::Unknown(_) | CommitError::Abortable(_)), "{error:?}");
    // Offsets are sent for as long as the transaction may live, whatever time-out is asked for.
    let bound = TRANSACTION_TIMEOUT + Duration::from_secs(15);
    assert!(started.elapsed() < bound, "{:?}", started.elapsed());
    let event = session.poll(Duration::from_millis(200)).expect("polls go on");
    assert!(matches!(event, Event::Idle | Event::EndOfPartition(..)), "{event:?}");
    drop(frozen);

    let deadline = Instant::now() + PATIENCE;
    let mut outcome = Err(error);
    while let Err(CommitError::Unknown(error)) = &outcome {
        assert!(Instant::now() < deadline, "never known: {error}");
        outcome = session.commit(&[(partition.clone(), 0)]);
    }
    println!("delivered before: {delivered_before}, outcome {outcome:?} after {:?}", started.elapsed());
    let expected = match outcome {
        Ok(receipt) => {
            assert_eq!(receipt.ends.len(), 1);
            vec!["a", "b"]
        }
        Err(CommitError::Abortable(_) | CommitError::Fenced(_)) => vec!["a"],
        Err(other) => panic!("{other:?}"),
    };
    drop(session);
    let end = |isolation| log.offsets(&target, isolation).map(|range| range.end).ok();
    while end(Isolation::Committed).is_none() || end(Isolation::Committed) != end(Isolation::Uncommitted) {
        assert!(Instant::now() < deadline, "the markers never came");
    }
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0, expected);
}
