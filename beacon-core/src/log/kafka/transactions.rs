//! Which transactions are open, from the topic that Kafka's transaction coordinators keep.
//!
//! Kafka has requests for it (ListTransactions, DescribeTransactions, DescribeProducers: KIP-664), but librdkafka 2.12 speaks
//! none of them. The topic says the same to whoever may read it. For tools only: all of it is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admin::Cluster;
use super::reader::KafkaReader;
use super::transaction_state::{self, Standing};
use crate::log::{Event, Isolation, LogError, LogErrorKind, OpenTransaction, Reader, RecordRef, TopicPartition};

/// Where coordinators keep what they know; the newest record of a transactional id counts.
const TOPIC: &str = "__transaction_state";
/// A reader that hears nothing for this long gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// See [`crate::log::Log::open_transactions`].
pub(super) fn open_transactions(cluster: &Arc<Cluster>) -> Result<Vec<OpenTransaction>, LogError> {
    // Made with the first transaction of the cluster.
    let Some(topic) = cluster.describe_topic(TOPIC)? else { return Ok(Vec::new()) };
    let mut places = Vec::new();
    for number in 0..topic.partitions {
        let partition = TopicPartition::new(TOPIC, number);
        let range = cluster.offsets(&partition, Isolation::Uncommitted)?;
        if range.start < range.end {
            places.push((partition, range.start));
        }
    }
    let mut reader = KafkaReader::open(Arc::clone(cluster), Isolation::Uncommitted)?;
    reader.assign(&places)?;
    let mut unread: Vec<_> = places.into_iter().map(|(partition, _)| partition).collect();
    let mut open = BTreeMap::new();
    let mut heard = Instant::now();
    while !unread.is_empty() {
        match reader.poll(Duration::from_millis(100))? {
            Event::Records(batch) => {
                heard = Instant::now();
                (0..batch.len()).try_for_each(|index| note(&batch.get(index), &mut open))?;
            }
            Event::EndOfPartition(reached, _) => unread.retain(|partition| *partition != reached),
            _ if heard.elapsed() > PATIENCE => {
                let message = format!("{TOPIC} does not come to its end within {PATIENCE:?}");
                return Err(LogError::new(LogErrorKind::Retriable, message));
            }
            _ => {}
        }
    }
    Ok(open.into_values().collect())
}

/// Takes note of a record: it replaces what was known of its transactional id.
fn note(record: &RecordRef<'_>, open: &mut BTreeMap<String, OpenTransaction>) -> Result<(), LogError> {
    let unknown = || {
        let place = format!("{TOPIC}/{} at offset {}", record.partition, record.offset);
        let message = format!("{place}: a record in a form of a later Kafka; ask with kafka-transactions.sh");
        LogError::new(LogErrorKind::Configuration, message)
    };
    let transactional_id = transaction_state::decode_key(record.key.unwrap_or_default()).ok_or_else(unknown)?;
    let value = match record.value {
        // The transactional id has not been used for a week and is forgotten.
        None => None,
        Some(value) => Some(transaction_state::decode_value(value).ok_or_else(unknown)?),
    };
    match value.filter(|value| value.standing != Standing::Over) {
        Some(value) => {
            let is_decided = value.standing == Standing::Decided;
            let (since_ms, partitions) = (Some(value.since_ms), value.partitions);
            let transaction =
                OpenTransaction { transactional_id: transactional_id.clone(), since_ms, is_decided, partitions };
            open.insert(transactional_id, transaction);
        }
        None => drop(open.remove(&transactional_id)),
    }
    Ok(())
}
