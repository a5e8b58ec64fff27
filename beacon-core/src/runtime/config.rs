//! Settings of a running application.

use std::path::PathBuf;
use std::time::Duration;

use super::StoreMemory;
use crate::checkpoint::CheckpointConfig;
use crate::log::TopicSpec;

/// Where tasks keep their committed state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateLocation {
    /// In memory; read back from the changelog at every start. For tests and small states.
    Memory,
    /// In a directory of this machine, one RocksDB a task. Only one process may use it. Losing it costs time, never
    /// data: it is a copy of the changelog.
    Directory(PathBuf),
}

/// How the group of an application takes its processes: as those it knows by name, or as they come and go.
///
/// The choice is between a quick return and a quick takeover. All processes of an application should make the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// Known by the instance name. A process that comes back within the session time-out, after an update or `kill -9`,
    /// has its tasks again at once, and no other task moves
    /// (`tests/kafka/staying.rs: one_that_comes_back_in_time_is_noticed_by_nobody`). The price: while it is away its tasks wait for it, for the
    /// whole session time-out, after a stop in good order too. On Kafka this is the classic protocol, under which a
    /// rebalance stops all tasks for a moment (decision 0007).
    #[default]
    Static,
    /// Known by nothing. A process that stops hands its tasks to the others at once, and one that comes is given some at
    /// once. The price: one that was killed and comes back at once is given the tasks of its ghost only when that one's
    /// session has expired. On Kafka this is the protocol of KIP-848 where the broker speaks it and takes the session
    /// time-out asked for (less than 45 s only when its `group.consumer.min.session.timeout.ms` says so): partitions move one by one, and tasks that stay work on through a rebalance. Else it is the classic protocol.
    Dynamic,
}

/// Settings of one process's part of an application.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppConfig {
    /// Partition count of the application: of its internal topics, its changelog, and every input that keeps its key.
    /// More: more parallelism and more files. A power of two can be doubled later without reprocessing.
    pub partitions: u32,
    /// Stream threads of this process, each a member of the group with transactions of its own. More: more of the machine
    /// is used when one core is not enough for the load; fewer: fewer and larger transactions, which cost the log less.
    /// More than cores, or than tasks, gains nothing. Default 1 (decision 0055).
    pub threads: u32,
    /// This process among those of the application: unique, and the same after a restart. It makes up the
    /// transactional ids and the static membership, so two processes with one ordinal fence each other.
    pub instance: String,
    /// How the group takes this process. Default [`Membership::Static`].
    pub membership: Membership,
    /// Where committed state is kept.
    pub state: StateLocation,
    /// Memory for state: entries at hand, and the stores on disk. `None`: what all applications of this process share,
    /// sized from its control group's limit; see [`StoreMemory::of_this_process`].
    pub memory: Option<StoreMemory>,
    /// Tasks of other processes that this one keeps a warm copy of, by reading their changelogs: when one of them moves
    /// here, only a tail has to be read. More: shorter takeovers; each costs the disk of a task and the reading of its
    /// changelog. Each process chooses by itself, so with `n` processes a task has about `n * standbys / partitions`
    /// copies; with two processes and `standbys` of half the partitions or more, each task has one. Default 0.
    pub standbys: u32,
    /// Checkpoints to object storage; `None`: a lost disk is restored from the whole changelog, which is never trimmed.
    pub checkpoints: Option<CheckpointConfig>,
    /// Topics to make before the start, if they do not exist: those the job shares with others.
    pub topics: Vec<TopicSpec>,
    /// Time from the beginning of a commit to that of the next, and so the latest time to the commit of a record that was
    /// read; of a slow log's time, half is left between two commits. Shorter: lower latency under load and a shorter redo
    /// after a crash; longer: fewer commits. Usable from 5 ms; up to 50 ms, commits begin to be written ahead of their time,
    /// where the log gains by it (decision 0077). Default 100 ms.
    pub commit_interval: Duration,
    /// Pending state bytes of a thread that force a commit. Default 16 MiB, or less where the process has little memory:
    /// see [`MemoryBudget::commit_bytes`](super::MemoryBudget::commit_bytes).
    pub commit_bytes: usize,
    /// Whether to commit at once when there is nothing more to read, rather than wait for the interval. Default true:
    /// lowest latency; costs one commit for each lull.
    pub commit_when_idle: bool,
    /// Committed bytes after which a task's state is flushed to disk: bounds the tail that is read after a crash.
    /// Default 32 MiB.
    pub flush_bytes: usize,
    /// Age after which it is flushed. Default 30 s.
    pub flush_interval: Duration,
    /// How often internal topics are trimmed to what the group has committed. Shorter: less of what was read stays on
    /// the log's disk; longer: fewer requests to the log. Default 30 s, as Kafka Streams' `repartition.purge.interval.ms`.
    pub trim_interval: Duration,
    /// Calls a thread has under way at once, of each lane ([`RawCaller::lane`](crate::topology::RawCaller::lane)). More: what is
    /// outside is asked more at once; fewer: less is asked twice when a task moves. Default 1,024.
    pub calls_in_flight: usize,
    /// See [`crate::log::SessionConfig::session_timeout`].
    pub session_timeout: Duration,
    /// See [`crate::log::SessionConfig::transaction_timeout`].
    pub transaction_timeout: Duration,
    /// After a start, timers that are overdue wait for records that are still on their way to them through internal
    /// topics; when the group makes no progress on those for this long, they fire all the same. Longer: a backlog whose
    /// task is stuck or slow to restore still wins; shorter: one stuck partition delays the timers of all others less.
    /// Default 60 s.
    pub backlog_patience: Duration,
    /// How long to wait after an aborted commit or a refused join before the next try. Default 200 ms.
    pub retry_backoff: Duration,
}

impl AppConfig {
    /// Defaults for an application of `partitions` partitions: one thread, instance 0, state in memory.
    pub fn new(partitions: u32) -> Self {
        Self {
            partitions,
            threads: 1,
            instance: "0".to_owned(),
            membership: Membership::default(),
            state: StateLocation::Memory,
            memory: None,
            standbys: 0,
            checkpoints: None,
            topics: Vec::new(),
            commit_interval: Duration::from_millis(100),
            commit_bytes: 16 << 20,
            commit_when_idle: true,
            flush_bytes: 32 << 20,
            flush_interval: Duration::from_secs(30),
            trim_interval: Duration::from_secs(30),
            calls_in_flight: 1024,
            session_timeout: Duration::from_secs(10),
            transaction_timeout: Duration::from_secs(10),
            backlog_patience: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(200),
        }
    }
}
