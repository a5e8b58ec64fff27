//! The one transport of the engine: a log of topics with partitions.
//!
//! A [`Log`] hands out four things: a [`Session`] (one per stream thread: group membership, records, and the atomic
//! commit of outputs plus offsets), a [`Reader`] (no group: restore and views), an [`Appender`] (durable appends from
//! outside the engine: the gateway, results of calls) and administration. The trait is synchronous: a session lives on
//! a thread of its own, which waits in [`Session::poll`] for records, and in its other calls for no longer than the log
//! takes to answer or is given to.
//!
//! What it deliberately does not do: it knows no operators, no state and no codecs; bytes in, bytes out.
//!
//! Invariants every implementation holds, checked by one contract test suite:
//!
//! * records of a partition are read in the order of their offsets, offsets only grow (gaps are allowed: Kafka's
//!   transaction markers take offsets)
//!   (`tests/log_contract/records.rs: records_of_a_partition_are_read_in_the_order_they_were_appended`);
//! * a committed transaction is visible as a whole, its offsets included, and survives `kill -9` of who committed it and
//!   of the embedded log (on Kafka it is on all in-sync replicas); an aborted one is never visible to a committed read
//!   (`tests/log_contract/transactions.rs: a_commit_writes_many_topics_and_offsets_as_one`,
//!   `tests/log_contract/transactions.rs: an_aborted_transaction_is_never_visible`,
//!   `tests/log_contract_embedded/crash.rs: what_was_acknowledged_survives_kill_9_and_transactions_are_whole`);
//! * after a newer session with the same transactional id exists, or after a partition was taken over by another
//!   member, no commit of the older owner that carries that partition's offset succeeds
//!   (`tests/log_contract/fencing.rs: a_newer_session_with_the_same_transactional_id_fences_the_older_one`,
//!   `tests/log_contract/fencing.rs: a_zombie_whose_partition_moved_cannot_commit_it`).

mod answer;
mod batch;
mod config;
mod error;
mod record;
pub(crate) mod topic_name;

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
#[deny(clippy::disallowed_methods)]
#[doc(hidden)]
pub mod model;
#[deny(clippy::disallowed_methods)]
pub mod partition;
#[deny(clippy::disallowed_methods)]
pub mod simulated;

pub use batch::{OwnedBatch, RecordBatch};
pub use config::{CleanupPolicy, SessionConfig, StartFrom, TopicDescription, TopicSpec};
pub use error::{CommitError, LogError, LogErrorKind};
pub use record::{Header, Offset, Position, Record, RecordRef, SendRecord, TopicPartition};
pub use topic_name::check_topic_name;

use std::time::Duration;

/// Which records a read sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only records of committed transactions and plain appends; ends at the last stable offset.
    Committed,
    /// Everything in the log, open and aborted transactions included; ends at the high watermark.
    Uncommitted,
}

/// First and next offset of a partition, as one reading saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset still in the log; moves forward when the log is trimmed.
    pub start: Offset,
    /// The offset the next visible record will be at or after, under the isolation asked for.
    pub end: Offset,
}

/// A transaction that is not over, as who coordinates it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Who writes in it; of an application of the engine: its name, instance and thread.
    pub transactional_id: String,
    /// When it began, milliseconds since the epoch; `None`: the log does not tell.
    pub since_ms: Option<i64>,
    /// Whether its outcome is known and only the markers are missing that tell readers of it.
    pub is_decided: bool,
    /// Where it has written, and not been marked as over yet. On Kafka with offsets of groups, which are a topic, too.
    pub partitions: Vec<TopicPartition>,
}

/// A log: topics, sessions, readers, appenders, administration. Shared by all threads of a process.
pub trait Log: Send + Sync + 'static {
    /// What this log is, for messages: `kafka at 10.0.0.1:9092`, `embedded log in ./beacon-data/log`.
    fn describe(&self) -> String;

    /// Makes the topics that do not exist yet; returns when they can be written.
    ///
    /// A topic that exists with another partition count is an error of kind [`LogErrorKind::Mismatch`] that names it;
    /// other settings of existing topics are left alone. With a name that no topic can have ([`check_topic_name`]) nothing is
    /// made, and the error is of kind [`LogErrorKind::Configuration`], as it is wherever such a topic is read or written.
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError>;

    /// All topics, in the order of their names; internal topics of the log itself are left out.
    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError>;

    /// One topic, or `None` when there is no such topic.
    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError>;

    /// Start and end of a partition. With [`Isolation::Uncommitted`] the true end, never the last stable offset.
    fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError>;

    /// The offsets a group has committed for the partitions of these topics; partitions without one are left out. A commit
    /// that has returned is seen.
    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError>;

    /// Deletes the records of a partition before `before`; afterwards the partition starts there.
    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError>;

    /// What tells this making of a topic from an earlier one of the same name that was deleted. `None`: there is no such
    /// topic, or this log cannot tell.
    fn topic_id(&self, _topic: &str) -> Result<Option<String>, LogError> {
        Ok(None)
    }

    /// Deletes topics with all their records; those that do not exist are left out. Returns when they are gone. What
    /// groups have committed there is forgotten, on Kafka some moments later. Sessions and appenders that have written there
    /// go on in a topic made again under that name, with as many partitions as before
    /// (`tests/log_contract/upkeep.rs: a_session_goes_on_in_a_topic_made_again`,
    /// `tests/log_contract/upkeep.rs: an_appender_goes_on_in_a_topic_made_again`).
    ///
    /// # Errors
    /// [`LogErrorKind::Configuration`] when this log deletes no topics, or does not let this client.
    fn delete_topics(&self, _topics: &[&str]) -> Result<(), LogError> {
        Err(LogError::new(LogErrorKind::Configuration, format!("{} deletes no topics", self.describe())))
    }

    /// Who is in a group now, as its sessions named themselves. A process that was killed is in until its session
    /// expires.
    ///
    /// # Errors
    /// [`LogErrorKind::Configuration`] when this log does not tell.
    fn members(&self, _group: &str) -> Result<Vec<String>, LogError> {
        Err(LogError::new(LogErrorKind::Configuration, format!("{} does not tell who is in a group", self.describe())))
    }

    /// Sets where a group goes on reading. For tools: a running member does not hear of it, so it is refused while there
    /// is one.
    ///
    /// # Errors
    /// [`LogErrorKind::Fenced`] when the group has members; stop them first.
    fn set_committed(&self, _group: &str, _offsets: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        Err(LogError::new(LogErrorKind::Configuration, format!("{} sets no offsets of groups", self.describe())))
    }

    /// All transactions that are not over, whoever writes in them. For tools: on Kafka a topic is read for it.
    ///
    /// # Errors
    /// [`LogErrorKind::Configuration`] when this log does not tell, or not this client.
    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, LogError> {
        let message = format!("{} does not tell which transactions are open", self.describe());
        Err(LogError::new(LogErrorKind::Configuration, message))
    }

    /// Joins a group with a transactional producer of its own, fencing an older session of the same transactional id.
    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError>;

    /// A reader without group or commits.
    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>, LogError>;

    /// A writer of durable, idempotent appends outside any transaction. Clones nothing: share it in an `Arc`.
    fn appender(&self) -> Result<Box<dyn Appender>, LogError>;
}

/// What a session or reader has to say at one poll.
#[derive(Debug)]
pub enum Event {
    /// Partitions that are this member's from now on, each with the offset it will be read from next (the group's
    /// committed offset, or where [`StartFrom`] says). Records follow from the next poll on, unless paused before it.
    Assigned(Vec<(TopicPartition, Offset)>),
    /// Partitions asked back. They are still owned, and may be committed, until the next call of [`Session::poll`].
    Revoked(Vec<TopicPartition>),
    /// Partitions already taken by somebody else (session expired): what is uncommitted on them must be dropped.
    Lost(Vec<TopicPartition>),
    /// Records, each partition's in offset order.
    Records(Box<dyn RecordBatch>),
    /// Everything visible in this partition has been delivered; the next record will be at or after the offset.
    /// Comes once each time the end is reached, also for a partition that was at its end when it was assigned.
    EndOfPartition(TopicPartition, Offset),
    /// Nothing happened before the time-out.
    Idle,
}

/// What the log says of a finished commit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CommitReceipt {
    /// For each partition written in the transaction, the offset after the last record written there.
    pub ends: Vec<(TopicPartition, Offset)>,
}

/// One member of a group with one transactional producer: owned by one thread.
///
/// At most one transaction is open at a time. Order of calls: `begin`, any number of `send`, then `commit` or `abort`.
/// Any error of kind [`LogErrorKind::Fenced`] means that this session is over: drop it and make a new one.
pub trait Session: Send {
    /// Waits at most `timeout` for the next event. A zero time-out asks without waiting.
    ///
    /// Calling it answers the last `Revoked`: those partitions are given up now.
    ///
    /// # Errors
    /// Those of the log. Records that were trimmed before the group had read them are [`LogErrorKind::Trimmed`] on Kafka and
    /// in simulation, and an application ends with it; the embedded log warns and goes on at the first record that is left
    /// (decision 0066).
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError>;

    /// Whether a revocation asks back all partitions at once, to be followed by an assignment that names all over again
    /// (Kafka's classic protocol). Such a member may get most of them back in a moment; an assignment that follows a
    /// revocation is then told even if it is empty.
    fn revokes_all(&self) -> bool {
        false
    }

    /// Stops delivery from these partitions until [`Session::resume`]; membership and position stay. A partition that
    /// goes takes its pause with it: it flows when it is given again.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Takes up delivery again.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Sets the offset that is delivered next; records already fetched but not delivered are forgotten.
    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError>;

    /// Opens a transaction.
    fn begin(&mut self) -> Result<(), LogError>;

    /// Adds a record to the open transaction. Returns before it is written; a failed write fails the commit.
    fn send(&mut self, record: SendRecord<'_>) -> Result<(), LogError>;

    /// Whether what is sent now waits in memory for the commit. Where it does, a commit is the shorter the more of it was
    /// sent ahead.
    fn holds_back(&self) -> bool {
        false
    }

    /// Sends on what waits in memory: the commit is some time away. What is sent afterwards may wait again. It changes nothing
    /// else: it is visible with the commit, and not without it.
    ///
    /// # Errors
    /// As [`Session::send`].
    fn send_ahead(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Commits the records sent and these offsets (each the next one to read) as one.
    ///
    /// Returns when the outcome is durable. `offsets` must hold at least one owned partition: a transaction without
    /// offsets is not fenced by the group (measured on Kafka 4.1).
    ///
    /// # Errors
    /// [`CommitError::Abortable`]: call [`Session::abort`], seek back, do the work again. [`CommitError::Fenced`]:
    /// nothing more will be committed by this session; drop it. [`CommitError::Unknown`]: call `commit` again with
    /// the same offsets until it says something else; it is not an abort. If that is `Fenced`, the log may have
    /// committed or not: the committed offsets tell. [`CommitError::Fatal`]: a person has to act, since the same work
    /// would be refused again, such as for a record that its topic takes at no time.
    fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError>;

    /// Drops the open transaction; nothing of it ever becomes visible to a committed read.
    fn abort(&mut self) -> Result<(), LogError>;

    /// Leaves the group at once (others need not wait for the session to expire). An open transaction is aborted.
    fn close(self: Box<Self>) -> Result<(), LogError>;
}

/// Reads given partitions from given offsets, without a group.
pub trait Reader: Send {
    /// Replaces what is read. An offset before the start of the log is an error of kind [`LogErrorKind::Trimmed`]
    /// at the next poll.
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<(), LogError>;

    /// Waits at most `timeout`: [`Event::Records`], [`Event::EndOfPartition`] or [`Event::Idle`].
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError>;
}

/// Called once, from a thread of the log, when an append is durable or has failed. A panic in it is logged and goes no
/// further.
pub type AppendDone = Box<dyn FnOnce(Result<Vec<Position>, LogError>) + Send>;

/// Durable appends from outside the engine. Safe to share between threads.
pub trait Appender: Send + Sync {
    /// Appends records; `done` gets their positions, in the order given, when **all** are durable (Kafka: acks=all,
    /// idempotent; embedded: fsync). Never blocks longer than it takes to enqueue.
    ///
    /// The records of one call are not a transaction: after an error some may be in the log. Callers retry the whole.
    fn append(&self, records: Vec<Record>, done: AppendDone);

    /// Appends and waits. For tests, tools and threads that may block.
    fn append_blocking(&self, records: Vec<Record>) -> Result<Vec<Position>, LogError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.append(records, Box::new(move |result| drop(sender.send(result))));
        receiver
            .recv()
            .unwrap_or_else(|_| Err(LogError::new(LogErrorKind::Fatal, "the log dropped an append without an answer")))
    }
}
