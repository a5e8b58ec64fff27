//! How long a commit takes with next to nothing in it: one record to each of some partitions, and one offset.
//!
//! Measured from `begin` to the answer that it is durable, one after the other, on one session. Yardsticks from the same
//! run: on Kafka librdkafka's raw calls for the same transaction, on the embedded log a write and `fdatasync` of the same
//! bytes in the same directory.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{
    CleanupPolicy, Event, Log, Offset, Record, SendRecord, Session, SessionConfig, TopicPartition, TopicSpec,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset as NativeOffset, TopicPartitionList};
use serde::Serialize;

use crate::broker::Broker;
use crate::latency::{Percentiles, Times};

const VALUE: [u8; 100] = [b'x'; 100];
const WIDTHS: [u32; 3] = [1, 4, 8];
const PATIENCE: Duration = Duration::from_secs(30);

/// The same commit on a log and by its yardstick.
#[derive(Clone, Debug, Serialize)]
pub struct Commit {
    /// `kafka` or `embedded`.
    pub log: &'static str,
    /// Output partitions, one record each.
    pub partitions: u32,
    /// The session's.
    pub session: Percentiles,
    /// The raw calls', or the disk's.
    pub yardstick: Percentiles,
}

/// Measures both logs; `rounds` commits each.
///
/// # Errors
/// A commit that failed, or a part that is missing.
pub fn measure(broker: &Broker, rounds: u32) -> Result<Vec<Commit>> {
    let mut commits = Vec::new();
    let kafka = KafkaLog::connect(KafkaConfig::new(broker.bootstrap()))?;
    for partitions in WIDTHS {
        let prefix = broker.prefix(&format!("commit-{partitions}"));
        let session = session_times(kafka.as_ref(), &prefix, partitions, rounds)?;
        let yardstick = raw_times(broker.bootstrap(), &prefix, partitions, rounds)?;
        commits.push(Commit { log: "kafka", partitions, session, yardstick });
    }
    let directory = tempfile::tempdir().context("cannot make a directory for the embedded log")?;
    let embedded = EmbeddedLog::open(directory.path().join("log"))?;
    for partitions in WIDTHS {
        let session = session_times(embedded.as_ref(), &format!("commit-{partitions}."), partitions, rounds)?;
        let yardstick = disk_times(directory.path(), partitions, rounds)?;
        commits.push(Commit { log: "embedded", partitions, session, yardstick });
    }
    Ok(commits)
}

/// Times the second half of twice as many rounds: a broker that was just started takes a while to get fast.
fn times(rounds: u32, mut round: impl FnMut(u32) -> Result<()>) -> Result<Percentiles> {
    let mut times = Times::new();
    for number in 0..2 * rounds {
        let started = Instant::now();
        round(number)?;
        if number >= rounds {
            times.add(started.elapsed());
        }
    }
    Ok(times.percentiles())
}

fn session_times(log: &dyn Log, prefix: &str, partitions: u32, rounds: u32) -> Result<Percentiles> {
    let (input, output) = (format!("{prefix}in"), format!("{prefix}out"));
    let spec = |name: &str, partitions| TopicSpec {
        name: name.to_owned(),
        partitions,
        cleanup: CleanupPolicy::Delete { retention: None },
    };
    log.create_topics(&[spec(&input, 1), spec(&output, partitions)])?;
    // Offsets to commit must exist.
    let records = (0..2 * rounds).map(|_| Record::new(input.as_str(), "key", VALUE).to_partition(0)).collect();
    log.appender()?.append_blocking(records)?;
    let group = format!("{prefix}session");
    let mut session = log.session(SessionConfig::new(group.as_str(), group.as_str(), vec![input.clone()]))?;
    joined(session.as_mut())?;
    let place = TopicPartition::new(input, 0);
    let times = times(rounds, |number| {
        session.begin()?;
        for partition in 0..partitions {
            session.send(SendRecord {
                topic: &output,
                partition: Some(partition),
                key: None,
                value: Some(&VALUE),
                headers: &[],
                timestamp_ms: None,
            })?;
        }
        let receipt = session.commit(&[(place.clone(), Offset::from(number + 1))])?;
        ensure!(receipt.ends.len() == partitions as usize, "a commit reached {receipt:?}, not {partitions} partitions");
        Ok(())
    })?;
    session.close()?;
    let committed = log.committed(&group, &[&place.topic])?;
    ensure!(
        committed == [(place, Offset::from(2 * rounds))],
        "after the last commit the group is at {committed:?}, not at {}",
        2 * rounds,
    );
    Ok(times)
}

fn joined(session: &mut dyn Session) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Event::Assigned(_) = session.poll(Duration::from_millis(100))? {
            return Ok(());
        }
    }
    bail!("the session was given no partition in {PATIENCE:?}")
}

/// The same transaction by librdkafka's own calls, with the same settings.
fn raw_times(bootstrap: &str, prefix: &str, partitions: u32, rounds: u32) -> Result<Percentiles> {
    let (input, output, group) = (format!("{prefix}in"), format!("{prefix}out"), format!("{prefix}raw"));
    let mut common = ClientConfig::new();
    common.set("bootstrap.servers", bootstrap);
    // Not joined: the coordinator takes offsets of a group without members from anybody.
    let consumer: BaseConsumer = common.clone().set("group.id", &group).create()?;
    let producer: BaseProducer = common
        .set("transactional.id", &group)
        .set("linger.ms", "0")
        .set("retry.backoff.ms", "1")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.init_transactions(PATIENCE)?;
    let member = consumer.group_metadata().context("a consumer with a group has metadata")?;
    times(rounds, |number| {
        producer.begin_transaction()?;
        for partition in 0..partitions as i32 {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&output).partition(partition).payload(&VALUE);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&input, 0, NativeOffset::Offset(i64::from(number) + 1))?;
        producer.send_offsets_to_transaction(&offsets, &member, PATIENCE)?;
        commit_raw(&producer)
    })
}

/// The safe crate's commit polls in steps of 100 ms, which would flatter whoever is compared with it.
fn commit_raw(producer: &BaseProducer) -> Result<()> {
    // SAFETY: a live client; the error, if any, is destroyed once and not used after.
    let code = unsafe {
        let error = rdkafka_sys::rd_kafka_commit_transaction(producer.client().native_ptr(), -1);
        let code = rdkafka_sys::rd_kafka_error_code(error);
        rdkafka_sys::rd_kafka_error_destroy(error);
        code
    };
    let code = rdkafka::error::RDKafkaErrorCode::from(code);
    ensure!(code == rdkafka::error::RDKafkaErrorCode::NoError, "the raw commit failed: {code}");
    Ok(())
}

fn disk_times(directory: &Path, partitions: u32, rounds: u32) -> Result<Percentiles> {
    let path = directory.join(format!("yardstick-{partitions}"));
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let bytes = VALUE.repeat(partitions as usize + 1);
    times(rounds, |_| {
        file.write_all(&bytes)?;
        Ok(file.sync_data()?)
    })
}
