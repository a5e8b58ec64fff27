//! What a run has left in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::codec::Codec;
use crate::log::simulated::SimulatedLog;
use crate::log::{Event, Isolation, Log, LogError, Offset, Record, TopicPartition};
use crate::state::layout::is_logged;
use crate::state::{Change, Entries};
use crate::task::decode_chunk;
use crate::topology::{Topic, Topology};

/// The values under each key of a topic, `None` for a tombstone, in the order of their partition.
pub type ByKey = BTreeMap<Vec<u8>, Vec<Option<Vec<u8>>>>;

/// A run that has come to rest: its log, as an invariant looks at it.
pub struct Finished<'a> {
    pub(super) log: &'a SimulatedLog,
    pub(super) topology: &'a Topology,
    pub(super) partitions: u32,
}

impl Finished<'_> {
    /// All committed records of a topic with their offsets, partition by partition.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn records(&self, topic: &str) -> Result<Vec<(Offset, Record)>, LogError> {
        self.read(topic, Isolation::Committed)
    }

    /// Where a partition begins: after 0 when it was trimmed.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn begins_at(&self, partition: &TopicPartition) -> Result<Offset, LogError> {
        Ok(self.log.offsets(partition, Isolation::Committed)?.start)
    }

    pub(super) fn read(&self, topic: &str, isolation: Isolation) -> Result<Vec<(Offset, Record)>, LogError> {
        let count = self.log.describe_topic(topic)?.map_or(1, |topic| topic.partitions);
        let mut records = Vec::new();
        for number in 0..count {
            let at = TopicPartition::new(topic, number);
            let start = self.log.offsets(&at, isolation)?.start;
            let mut reader = self.log.reader(isolation)?;
            reader.assign(&[(at, start)])?;
            while let Event::Records(batch) = reader.poll(Duration::ZERO)? {
                records.extend((0..batch.len()).map(|index| (batch.get(index).offset, batch.get(index).to_record())));
            }
        }
        Ok(records)
    }

    /// The committed values of a topic by key.
    ///
    /// # Errors
    /// As [`Finished::records`].
    pub fn by_key(&self, topic: &str) -> Result<ByKey, LogError> {
        let mut found = ByKey::new();
        for (_, record) in self.records(topic)? {
            found.entry(record.key.unwrap_or_default()).or_default().push(record.value);
        }
        Ok(found)
    }

    /// The committed values of a topic, decoded, by key; tombstones left out.
    ///
    /// # Errors
    /// A text that names the topic, when it is not there or a value cannot be decoded.
    pub fn values<V: Codec>(&self, topic: &Topic<V>) -> Result<BTreeMap<Vec<u8>, Vec<V>>, String> {
        let by_key = self.by_key(topic.name()).map_err(|error| error.to_string())?;
        let decode =
            |value: Vec<u8>| V::decode(&value).map_err(|error| format!("a value of {}: {error}", topic.name()));
        by_key
            .into_iter()
            .map(|(key, values)| Ok((key, values.into_iter().flatten().map(decode).collect::<Result<_, _>>()?)))
            .collect()
    }

    /// The state of each task as its changelog tells it: key and value as bytes, in key order.
    ///
    /// # Errors
    /// A text that names the changelog, when it cannot be read.
    pub fn state(&self) -> Result<Vec<Entries>, String> {
        let topic = self.topology.changelog();
        let mut tasks = vec![BTreeMap::new(); self.partitions as usize];
        for (offset, record) in self.records(&topic).map_err(|error| error.to_string())? {
            let number = record.partition.unwrap_or(0);
            let value = record.value.unwrap_or_default();
            let changes = decode_chunk(&value).map_err(|error| format!("{topic}/{number}@{offset}: {error}"))?;
            let Some(state) = tasks.get_mut(number as usize) else { continue };
            for change in changes {
                match change {
                    Change::Put(key, value) if is_logged(key) => drop(state.insert(key.to_vec(), value.to_vec())),
                    Change::Put(..) => {}
                    Change::Delete(key) => drop(state.remove(key)),
                }
            }
        }
        Ok(tasks.into_iter().map(|state| state.into_iter().collect()).collect())
    }
}
