//! Whose open transaction holds the last stable offset of a partition back.
//!
//! A reader of committed records stops at the first record of the oldest open transaction. Kafka would tell its
//! producer (DescribeProducers, KIP-664), but librdkafka 2.12 has no such request. What can be told without it: which
//! partitions are held, by which record, since when; whether the writer can be one of the application's own processes,
//! and under which transactional ids those write. On the embedded log nothing is ever held: an open transaction is not
//! in it.

use std::time::Duration;

use crate::log::{Event, Isolation, Log, LogError, Offset, TopicPartition};

/// A partition whose readers wait for a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The partition.
    pub partition: TopicPartition,
    /// Where readers of committed records stop.
    pub stable: Offset,
    /// The end that writers have come to.
    pub end: Offset,
    /// Time of the record they stop at, milliseconds since the epoch; `None`: it was not delivered in time.
    pub since_ms: Option<i64>,
}

/// Looks at every partition of these topics and tells those that are held back, with the time of the record at which.
///
/// A commit in flight holds a partition for some milliseconds: who wants to know about stuck ones looks twice, or at
/// [`Holder::since_ms`].
///
/// # Errors
/// Those of the log.
pub fn holders(log: &dyn Log, topics: &[&str]) -> Result<Vec<Holder>, LogError> {
    let mut found = Vec::new();
    for topic in topics {
        for partition in super::reading::partitions(log, topic)? {
            // The end first: what is committed in between must not look held.
            let end = log.offsets(&partition, Isolation::Uncommitted)?.end;
            let stable = log.offsets(&partition, Isolation::Committed)?.end;
            if stable < end {
                let since_ms = time_at(log, &partition, stable)?;
                found.push(Holder { partition, stable, end, since_ms });
            }
        }
    }
    Ok(found)
}

fn time_at(log: &dyn Log, partition: &TopicPartition, offset: Offset) -> Result<Option<i64>, LogError> {
    let mut reader = log.reader(Isolation::Uncommitted)?;
    reader.assign(&[(partition.clone(), offset)])?;
    // The record is there, so it comes with the first fetch.
    for _ in 0..20 {
        match reader.poll(Duration::from_millis(100))? {
            Event::Records(batch) if !batch.is_empty() => return Ok(Some(batch.get(0).timestamp_ms)),
            Event::EndOfPartition(..) => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}
