//! Whose open transaction holds the last stable offset of a partition back.
//!
//! A reader of committed records stops at the first record of the oldest open transaction. Kafka would tell its producer
//! (DescribeProducers, KIP-664), but librdkafka 2.12 has no such request. So three things that can be asked are put together:
//! stable and true end of each partition, the time of the record between them, and what the transaction coordinators wrote
//! down of the transactions that are not over ([`Log::open_transactions`]). On the embedded log nothing is ever held: an
//! open transaction is not in it.

use std::time::Duration;

use crate::log::{Event, Isolation, Log, LogError, Offset, OpenTransaction, TopicPartition};

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
    /// The transactions that are not over and have written to the partition, most often one. Empty: no coordinator knows of
    /// one, so it ended a moment ago, or it *hangs* and will never end by itself (KIP-890). `None`: the log does not tell
    /// this client; a warning says why.
    pub writers: Option<Vec<OpenTransaction>>,
}

/// Looks at every partition of these topics and tells those that are held back, since when, and by whom.
///
/// A commit in flight holds a partition for some milliseconds: who wants to know about stuck ones looks twice, or at
/// [`Holder::since_ms`]. Blocks for two round trips a partition, and on Kafka, when something is held, for a reading of the
/// topic `__transaction_state`, which needs the right to read it.
///
/// # Errors
/// Those of the log, but not that it does not name the writers.
pub fn holders(log: &dyn Log, topics: &[&str]) -> Result<Vec<Holder>, LogError> {
    let mut found = Vec::new();
    for topic in topics {
        for partition in super::reading::partitions(log, topic)? {
            // The end first: what is committed in between must not look held.
            let end = log.offsets(&partition, Isolation::Uncommitted)?.end;
            let stable = log.offsets(&partition, Isolation::Committed)?.end;
            if stable < end {
                let since_ms = time_at(log, &partition, stable)?;
                found.push(Holder { partition, stable, end, since_ms, writers: None });
            }
        }
    }
    if found.is_empty() {
        return Ok(found);
    }
    match log.open_transactions() {
        Ok(open) => found.iter_mut().for_each(|holder| holder.writers = Some(writers(&open, &holder.partition))),
        Err(error) => tracing::warn!(%error, "who holds partitions back cannot be named"),
    }
    Ok(found)
}

/// The transactions that have written to a partition.
fn writers(open: &[OpenTransaction], partition: &TopicPartition) -> Vec<OpenTransaction> {
    open.iter().filter(|transaction| transaction.partitions.contains(partition)).cloned().collect()
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
