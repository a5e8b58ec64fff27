//! The copy of `kafka_plain_copy` through the log contract: what the contract costs, without any engine.
//!
//! The same environment, the same output. Runs until SIGTERM.

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{Event, Log, SendRecord, SessionConfig, TopicPartition};

fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("set {name}"));
    let (input, output, group) = (variable("IN_TOPIC")?, variable("OUT_TOPIC")?, variable("GROUP_ID")?);
    let interval = Duration::from_millis(variable("COMMIT_MS").unwrap_or_else(|_| "100".into()).parse()?);
    let mut config = KafkaConfig::new(variable("KAFKA_BOOTSTRAP_SERVERS")?);
    config.extra.insert("compression.type".into(), "lz4".into());
    let log = KafkaLog::connect(config)?;
    let mut session = log.session(SessionConfig::new(&group, format!("{group}-session"), vec![input]))?;

    let mut positions: HashMap<TopicPartition, u64> = HashMap::new();
    let mut due: Option<Instant> = None;
    let (mut copied, mut commits, mut report) = (0_u64, Vec::new(), Instant::now() + Duration::from_secs(5));
    loop {
        let wait = due.map_or(Duration::from_millis(100), |due| due.saturating_duration_since(Instant::now()));
        match session.poll(wait)? {
            Event::Assigned(_) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
                println!("STATE RUNNING {}", now.as_millis());
            }
            Event::Records(batch) => {
                if due.is_none() {
                    session.begin()?;
                    due = Some(Instant::now() + interval);
                }
                for record in (0..batch.len()).map(|index| batch.get(index)) {
                    session.send(SendRecord {
                        topic: &output,
                        partition: Some(record.partition),
                        key: record.key,
                        value: record.value,
                        headers: &[],
                        timestamp_ms: Some(record.timestamp_ms),
                    })?;
                    match positions.get_mut(&record.topic_partition()) {
                        Some(position) => *position = record.offset + 1,
                        None => drop(positions.insert(record.topic_partition(), record.offset + 1)),
                    }
                }
                copied += batch.len() as u64;
            }
            Event::Revoked(_) | Event::Lost(_) => return Err("another member came: run one at a time".into()),
            Event::EndOfPartition(..) | Event::Idle => {}
        }
        if due.is_some_and(|due| Instant::now() >= due) {
            let started = Instant::now();
            let offsets: Vec<_> = positions.drain().collect();
            session.commit(&offsets)?;
            commits.push(started.elapsed());
            due = None;
        }
        if Instant::now() >= report {
            commits.sort();
            let at = |share: usize| commits.get(commits.len() * share / 100).copied().unwrap_or_default();
            println!("copied {copied} records; {} commits, p50 {:?} p99 {:?}", commits.len(), at(50), at(99));
            commits.clear();
            report = Instant::now() + Duration::from_secs(5);
        }
    }
}
