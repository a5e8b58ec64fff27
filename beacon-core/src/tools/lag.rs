//! How far an application is behind, partition by partition.

use std::collections::HashMap;
use std::sync::Arc;

use super::reading::partitions;
use crate::log::{Isolation, Log, LogError, Offset, TopicPartition};
use crate::topology::Topology;

/// What an input is to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// A topic that somebody else writes.
    Source,
    /// A topic between two of its own steps.
    Internal,
}

/// One input partition, as one look at the log saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// Which.
    pub partition: TopicPartition,
    /// What it is to the application.
    pub kind: InputKind,
    /// The first offset still in the log.
    pub start: Offset,
    /// Next offset to read, as the group has committed it; `None`: nothing yet, it begins at `start`.
    pub committed: Option<Offset>,
    /// Last stable offset: readers of committed records get no further.
    pub stable: Offset,
    /// End, what is not committed included.
    pub end: Offset,
}

impl PartitionLag {
    fn next(&self) -> Offset {
        self.committed.unwrap_or(0).max(self.start)
    }

    /// Offsets to the end. Transaction markers on Kafka count, so one or two at rest are none.
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.next())
    }

    /// Offsets that could be read now.
    pub fn stable_lag(&self) -> u64 {
        self.stable.saturating_sub(self.next())
    }
}

/// Looks at every input of an application. Topics that do not exist yet are left out. Blocks for two round trips a
/// partition.
///
/// # Errors
/// Those of the log.
pub fn lag(log: &dyn Log, topology: &Topology) -> Result<Vec<PartitionLag>, LogError> {
    let sources = topology.sources().iter().map(|source| (Arc::clone(&source.topic), InputKind::Source));
    let internal = topology.internal_topics().iter().map(|topic| (Arc::clone(&topic.name), InputKind::Internal));
    let mut inputs = Vec::new();
    for (topic, kind) in sources.chain(internal) {
        inputs.extend(partitions(log, &topic)?.into_iter().map(|partition| (partition, kind)));
    }
    let mut topics: Vec<&str> = inputs.iter().map(|(partition, _)| &*partition.topic).collect();
    topics.dedup();
    let committed: HashMap<_, _> = log.committed(topology.application(), &topics)?.into_iter().collect();
    inputs
        .into_iter()
        .map(|(partition, kind)| {
            let stable = log.offsets(&partition, Isolation::Committed)?;
            let end = log.offsets(&partition, Isolation::Uncommitted)?.end;
            let committed = committed.get(&partition).copied();
            let (start, stable) = (stable.start, stable.end);
            Ok(PartitionLag { partition, kind, start, committed, stable, end: end.max(stable) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_trimmed_is_no_lag() {
        let mut lag = PartitionLag {
            partition: TopicPartition::new("t", 0),
            kind: InputKind::Source,
            start: 40,
            committed: None,
            stable: 50,
            end: 60,
        };
        assert_eq!((lag.lag(), lag.stable_lag()), (20, 10));
        lag.committed = Some(10);
        assert_eq!((lag.lag(), lag.stable_lag()), (20, 10));
        lag.committed = Some(55);
        assert_eq!((lag.lag(), lag.stable_lag()), (5, 0));
    }
}
