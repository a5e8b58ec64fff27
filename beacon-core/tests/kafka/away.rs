//! A broker that does not answer for a while: frozen with SIGSTOP, so that connections stay open.

use std::process::Command;
use std::time::{Duration, Instant};

use beacon_core::log::{CommitError, Event, Isolation, Log, LogErrorKind, TopicPartition};

use super::support::*;

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
    let mut config = config();
    config.timeout = Duration::from_secs(2);
    let log = beacon_core::log::kafka::KafkaLog::connect(config).expect("connected");
    let (input, output) = (make_topic(&*log, "input", 1), make_topic(&*log, "output", 1));
    let mut settings = session_config(&unique("group"), &[&input]);
    settings.session_timeout = Duration::from_secs(30);
    settings.transaction_timeout = Duration::from_secs(30);
    let mut session = log.session(settings).expect("a session");
    let partition = wait_assigned(&mut *session).remove(0).0;
    session.begin().expect("begun");
    session.send(send(&output, "a")).expect("sent");
    session.commit(&[(partition.clone(), 0)]).expect("committed");

    session.begin().expect("begun");
    session.send(send(&output, "b")).expect("sent");
    let frozen = Frozen::new();
    let error = log.offsets(&partition, Isolation::Committed).expect_err("nobody answers");
    assert_eq!(error.kind(), LogErrorKind::Retriable, "{error}");
    let started = Instant::now();
    let error = session.commit(&[(partition.clone(), 0)]).expect_err("nobody answers");
    assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let event = session.poll(Duration::from_millis(200)).expect("polls go on");
    assert!(matches!(event, Event::Idle | Event::EndOfPartition(..)), "{event:?}");
    drop(frozen);

    let deadline = Instant::now() + PATIENCE;
    loop {
        match session.commit(&[(partition.clone(), 0)]) {
            Ok(receipt) => {
                assert_eq!(receipt.ends.len(), 1);
                break;
            }
            Err(CommitError::Unknown(_)) => assert!(Instant::now() < deadline, "never known"),
            Err(other) => panic!("{other:?}"),
        }
    }
    let target = TopicPartition::new(output.as_str(), 0);
    while log.offsets(&target, Isolation::Committed).map(|range| range.end).unwrap_or(0) < 4 {
        assert!(Instant::now() < deadline, "the markers never came");
    }
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0, ["a", "b"]);
}
