//! Whether a copy is one: read by librdkafka alone, compared byte for byte with the generator.
//!
//! It does not go through beacon-core: who judges what a program wrote should not read it with the same program.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::input;

const PATIENCE: Duration = Duration::from_secs(300);

/// Checks that a committed reader sees each record once, in the partition and the order of the input, with its bytes.
///
/// # Errors
/// The first record that is missing, doubled, out of order or changed, by its place.
pub fn verify(bootstrap: &str, topic: &str, records: u64) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        // Asked for by the client; without a commit no group is ever made.
        .set("group.id", "bench-oracle")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..input::PARTITIONS as i32 {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut expected: Vec<_> = input::by_partition(records).into_iter().map(Vec::into_iter).collect();
    let started = Instant::now();
    let mut open: BTreeSet<i32> = (0..input::PARTITIONS as i32).collect();
    while !open.is_empty() {
        ensure!(started.elapsed() < PATIENCE, "{topic} has not been read to its end in {PATIENCE:?}");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let place = format!("{topic}/{}@{}", message.partition(), message.offset());
                let Some(number) = expected[message.partition() as usize].next() else {
                    bail!("{place}: a record more than the input has there");
                };
                let same =
                    message.key() == Some(&input::key(number)) && message.payload() == Some(&input::value(number));
                ensure!(same, "{place}: not record {number} of the input, which comes next there");
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            // librdkafka goes on by itself after what it reports here; the deadline above ends a lasting trouble.
            Some(Err(_)) | None => {}
        }
    }
    let missing: usize = expected.iter().map(ExactSizeIterator::len).sum();
    ensure!(missing == 0, "{topic}: {missing} of {records} records are missing");
    Ok(())
}
