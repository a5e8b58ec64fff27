//! A log on the broker of the environment, names nobody else uses, and waiting for events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use beacon_core::log::kafka::{GroupProtocol, KafkaConfig, KafkaLog};
use beacon_core::log::{
    CleanupPolicy, Event, Header, Log, LogError, Offset, Reader, Record, SendRecord, Session, SessionConfig,
    TopicPartition, TopicSpec,
};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn servers() -> String {
    std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| {
        panic!(
            "KAFKA_BOOTSTRAP_SERVERS is not set. These tests need a real Kafka (4.0 or newer, one node will do): \
             run `make test`, or set the variable to host:port of a broker"
        )
    })
}

pub fn config() -> KafkaConfig {
    KafkaConfig::new(servers())
}

pub fn log() -> Arc<KafkaLog> {
    KafkaLog::connect(config()).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers")
}

pub fn log_speaking(protocol: GroupProtocol) -> Arc<KafkaLog> {
    let mut config = config();
    config.group_protocol = protocol;
    KafkaLog::connect(config).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers")
}

/// A log with a setting of librdkafka.
pub fn log_with(setting: &str, value: &str) -> Arc<KafkaLog> {
    let mut config = config();
    config.extra.insert(setting.to_owned(), value.to_owned());
    KafkaLog::connect(config).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers")
}

/// A name no other test, process or run uses.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    format!("{what}-{nanos:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn make_topic(log: &dyn Log, what: &str, partitions: u32) -> String {
    make_topic_kept(log, what, partitions, CleanupPolicy::Delete { retention: None })
}

pub fn make_topic_kept(log: &dyn Log, what: &str, partitions: u32, cleanup: CleanupPolicy) -> String {
    let name = unique(what);
    log.create_topics(&[TopicSpec { name: name.clone(), partitions, cleanup }]).expect("the topic is made");
    name
}

pub fn fill(log: &dyn Log, topic: &str, partition: u32, values: &[&str]) {
    let records = values.iter().map(|value| Record::new(topic, *value, *value).to_partition(partition)).collect();
    log.appender().expect("an appender").append_blocking(records).expect("records are written");
}

pub fn session_config(group: &str, topics: &[&str]) -> SessionConfig {
    let mut config =
        SessionConfig::new(group, unique("transactional"), topics.iter().map(|topic| (*topic).to_owned()).collect());
    config.session_timeout = Duration::from_secs(6);
    config
}

pub fn open(log: &dyn Log, group: &str, topics: &[&str]) -> Box<dyn Session> {
    log.session(session_config(group, topics)).expect("a session")
}

pub fn send(topic: &str, value: &'static str) -> SendRecord<'static> {
    SendRecord {
        topic: Box::leak(topic.to_owned().into_boxed_str()),
        partition: Some(0),
        key: Some(value.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
        timestamp_ms: None,
    }
}

/// A record that is too large to be held back until the commit: it is on its way when it was sent.
pub fn send_at_once(topic: &str, value: &'static str) -> SendRecord<'static> {
    static LARGE: std::sync::LazyLock<[Header; 1]> =
        std::sync::LazyLock::new(|| [("filler".to_owned(), vec![b'.'; 64 << 10])]);
    SendRecord { headers: LARGE.as_slice(), ..send(topic, value) }
}

/// Polls until `wanted` makes something of an event.
pub fn wait_for<T>(session: &mut dyn Session, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = session.poll(Duration::from_millis(100)).expect("a poll succeeds");
        if let Some(found) = wanted(event) {
            return found;
        }
        assert!(Instant::now() < deadline, "the event did not come within {PATIENCE:?}");
    }
}

pub fn wait_assigned(session: &mut dyn Session) -> Vec<(TopicPartition, Offset)> {
    wait_for(session, |event| match event {
        Event::Assigned(partitions) => Some(partitions),
        _ => None,
    })
}

/// Polls until `count` records came; their values with their places.
pub fn take_records(session: &mut dyn Session, count: usize) -> Vec<(TopicPartition, Offset, String)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        wait_for(session, |event| collect(event, &mut taken));
    }
    taken
}

fn collect(event: Event, into: &mut Vec<(TopicPartition, Offset, String)>) -> Option<()> {
    let Event::Records(batch) = event else {
        return None;
    };
    assert!(!batch.is_empty(), "polls deliver no empty batch");
    for index in 0..batch.len() {
        let record = batch.get(index);
        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        into.push((record.topic_partition(), record.offset, value));
    }
    Some(())
}

/// Reads a partition from an offset to its end.
pub fn read_to_end(
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    from: Offset,
) -> Result<(Vec<String>, Offset), LogError> {
    reader.assign(&[(partition.clone(), from)])?;
    let deadline = Instant::now() + PATIENCE;
    let mut taken = Vec::new();
    loop {
        match reader.poll(Duration::from_millis(100))? {
            Event::EndOfPartition(ended, offset) => {
                assert_eq!(&ended, partition);
                return Ok((taken.into_iter().map(|(_, _, value)| value).collect(), offset));
            }
            event => {
                let _ = collect(event, &mut taken);
            }
        }
        assert!(Instant::now() < deadline, "no end of {partition} within {PATIENCE:?}");
    }
}
