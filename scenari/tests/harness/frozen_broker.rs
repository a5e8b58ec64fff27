//! A broker that freezes in the middle of a commit: what became of it is unknown, and asking again finds it out.

use std::time::{Duration, Instant};

use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{
    CleanupPolicy, CommitError, CommitReceipt, Event, Header, Log, Offset, SendRecord, Session, SessionConfig,
    TopicPartition, TopicSpec,
};
use scenari::kafka::Kafka;
use scenari::topic::{Entry, read_kafka};
use scenari::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than one call to the coordinator may take (5 s), and shorter than sessions and transactions live.
const FROZEN: Duration = Duration::from_secs(7);
/// How long commits go on before the broker freezes in one of them: at another place of the commit each time.
const AFTER: [Duration; 3] = [Duration::from_millis(201), Duration::from_millis(304), Duration::from_millis(407)];

fn topic(name: &str) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions: 1, cleanup: CleanupPolicy::Delete { retention: None } }
}

fn open(log: &dyn Log) -> Box<dyn Session> {
    let mut config = SessionConfig::new("group", "frozen-broker", vec!["input".to_owned()]);
    // A frozen broker hears no heartbeat, and counts the time when it goes on.
    config.session_timeout = Duration::from_secs(60);
    config.transaction_timeout = Duration::from_secs(90);
    let mut session = log.session(config).expect("a session");
    let deadline = Instant::now() + PATIENCE;
    while !matches!(session.poll(Duration::from_millis(100)).expect("polled"), Event::Assigned(_)) {
        assert!(Instant::now() < deadline, "no partition within {PATIENCE:?}");
    }
    session
}

/// A record; a large one is on its way at once, a small one is held back until the commit.
fn send(session: &mut dyn Session, number: u64, large: bool) {
    let key = number.to_string();
    let filler: [Header; 1] = [("filler".to_owned(), vec![b'.'; 64 << 10])];
    let record = SendRecord {
        topic: "output",
        partition: Some(0),
        key: Some(key.as_bytes()),
        value: Some(b"once"),
        headers: if large { &filler } else { &[] },
        timestamp_ms: None,
    };
    session.send(record).expect("sent");
}

/// Commits, asking again as long as nobody knows; how often that was.
fn commit(session: &mut dyn Session, offset: Offset) -> (CommitReceipt, u32) {
    let deadline = Instant::now() + PATIENCE;
    let mut unknown = 0;
    loop {
        match session.commit(&[(TopicPartition::new("input", 0), offset)]) {
            Ok(receipt) => return (receipt, unknown),
            Err(CommitError::Unknown(_)) => unknown += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert!(Instant::now() < deadline, "nobody knows after {PATIENCE:?}");
    }
}

#[test]
fn a_commit_whose_outcome_nobody_knows_is_asked_for_again_and_counts_once() {
    let kafka = Kafka::own();
    let log = KafkaLog::connect(KafkaConfig::new(kafka.bootstrap())).expect("the broker answers");
    log.create_topics(&[topic("input"), topic("output")]).expect("made");
    let mut session = open(log.as_ref());
    session.begin().expect("begun");
    send(&mut *session, 0, false);
    commit(&mut *session, 1);

    // Frozen before the record is there: that is certain to be unknown.
    session.begin().expect("begun");
    kafka.pause();
    send(&mut *session, 1, true);
    let error = session.commit(&[(TopicPartition::new("input", 0), 2)]).expect_err("nobody answers");
    assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
    assert!(error.to_string().contains("frozen-broker"), "it says who: {error}");
    kafka.resume();
    let (receipt, _) = commit(&mut *session, 2);
    // The marker of the first transaction lies between the two records.
    assert_eq!(receipt.ends, [(TopicPartition::new("output", 0), 3)]);
    let mut written = 2;

    // Frozen anywhere in a commit, under load.
    let mut unknown = 0;
    for after in AFTER {
        std::thread::scope(|scope| {
            let freezing = scope.spawn(|| {
                std::thread::sleep(after);
                kafka.pause();
                std::thread::sleep(FROZEN);
                kafka.resume();
            });
            while !freezing.is_finished() {
                session.poll(Duration::ZERO).expect("polled");
                session.begin().expect("begun");
                send(&mut *session, written, false);
                written += 1;
                unknown += commit(&mut *session, written).1;
            }
        });
    }
    println!("{written} commits, {unknown} of them of unknown outcome besides the first");

    // The last markers may be a moment away.
    let entries = wait_until("all records", PATIENCE, || {
        let entries = read_kafka(kafka.bootstrap(), "output").map_err(|error| error.to_string())?;
        if entries.len() as u64 >= written { Ok(entries) } else { Err(format!("{} of {written}", entries.len())) }
    });
    let key = |entry: &Entry| String::from_utf8_lossy(&entry.key).parse::<u64>().expect("a number");
    let keys: Vec<u64> = entries.iter().map(key).collect();
    assert!(keys.iter().copied().eq(0..written), "each once, in order: {keys:?}");
    let committed = log.committed("group", &["input"]).expect("asked");
    assert_eq!(committed, [(TopicPartition::new("input", 0), written)]);
    session.close().expect("closed");
}
