//! Settings of topics and sessions.

use std::time::Duration;

/// What happens to old records of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CleanupPolicy {
    /// Deleted when older than this; `None` keeps them until trimmed.
    Delete {
        /// How long a record is kept at least.
        retention: Option<Duration>,
    },
    /// The newest record of each key is kept; older ones and, in time, tombstones go.
    Compact,
}

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Full name.
    pub name: String,
    /// More partitions: more parallelism, more files and longer commits. Fixed once made.
    pub partitions: u32,
    /// What happens to old records.
    pub cleanup: CleanupPolicy,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Full name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
}

/// Where a partition is read from when its group has committed nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFrom {
    /// The first record still in the log.
    Earliest,
    /// Records written from now on.
    Latest,
}

/// How a stream thread joins.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Consumer group; the application's name.
    pub group: String,
    /// Stable across restarts of the same thread of the same instance; a newer session with it fences an older one.
    pub transactional_id: String,
    /// Static membership: a restart under the same id gets its partitions back at once instead of waiting for its own
    /// ghost to expire. `None`: dynamic member.
    pub instance_id: Option<String>,
    /// What to read. Partition p of all topics of equal partition count goes to the same member (range assignment).
    pub topics: Vec<String>,
    /// For partitions without committed offset.
    pub start: StartFrom,
    /// A member not heard of for this long loses its partitions. Shorter: faster takeover, but a pause of the process
    /// (a long disk stall) costs a rebalance. Default 10 s.
    pub session_timeout: Duration,
    /// A transaction of a dead process blocks committed reads for at most this long. Default 10 s.
    pub transaction_timeout: Duration,
}

impl SessionConfig {
    /// Settings with defaults: earliest start, 10 s session and transaction time-outs, dynamic membership.
    pub fn new(group: impl Into<String>, transactional_id: impl Into<String>, topics: Vec<String>) -> Self {
        Self {
            group: group.into(),
            transactional_id: transactional_id.into(),
            instance_id: None,
            topics,
            start: StartFrom::Earliest,
            session_timeout: Duration::from_secs(10),
            transaction_timeout: Duration::from_secs(10),
        }
    }
}
