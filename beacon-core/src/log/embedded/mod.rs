//! The embedded log: one process, one directory, no broker.
//!
//! It keeps topics, records and the offsets of groups in one RocksDB, and acknowledges nothing before an `fdatasync`.
//! One committer thread gives out offsets and shares that sync among all who wait; readers sleep on a condition and are
//! woken by it, nothing is polled. Who owns which partition, who is fenced and which commit is refused is decided by
//! the pure [model](super::model).
//!
//! What it deliberately is not: a Kafka clone. There is no network protocol and no replication, and the directory has one
//! owner (`tests/log_contract_embedded/sessions.rs: the_directory_has_one_owner_and_is_free_when_the_log_is_dropped`). Transactions are buffered in their session and written as one batch, so that nothing of an
//! aborted one ever touches the disk and the committed end of a partition is always its true end.
//!
//! Invariants:
//!
//! * what was acknowledged survives `kill -9`
//!   (`tests/log_contract_embedded/crash.rs: what_was_acknowledged_survives_kill_9_and_transactions_are_whole`) and power
//!   loss (`src/log/embedded/store_tests.rs: each_write_is_on_the_disk_when_it_returns`);
//! * a batch is on the disk as a whole or not at all
//!   (`tests/log_contract_embedded/damage.rs: a_torn_end_of_the_write_ahead_log_is_no_damage`);
//! * a damaged directory is refused with the file's name and never opened with a part of its records
//!   (`tests/log_contract_embedded/damage.rs: flipped_bytes_of_tables_are_noticed` and its neighbours,
//!   `tests/log_contract_embedded/damage.rs: missing_files_are_noticed`).

mod admin;
mod appender;
mod batch;
mod chunk;
mod cleaner;
mod clock;
mod committer;
mod compaction;
mod directory;
mod errors;
mod feed;
mod keys;
mod loading;
mod membership;
mod options;
mod outbox;
mod reader;
mod retention;
mod session;
mod signal;
mod store;
mod sync;
mod tail;
mod threads;
mod topic;
mod varint;

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};

pub use options::EmbeddedOptions;

use self::appender::EmbeddedAppender;
use self::cleaner::Cleaner;
use self::clock::Clock;
use self::committer::{Committer, Queue};
use self::directory::Directory;
use self::keys::PartitionId;
use self::membership::Membership;
use self::reader::EmbeddedReader;
use self::session::EmbeddedSession;
use self::store::Store;
use self::threads::Threads;
use self::topic::Topics;
use super::{
    Appender, Isolation, Log, LogError, Offset, OffsetRange, OpenTransaction, Reader, Session, SessionConfig,
    TopicDescription, TopicPartition, TopicSpec,
};

/// What sessions, readers and appenders of one log share.
struct Shared {
    store: Arc<Store>,
    topics: Arc<Topics>,
    membership: Membership,
    clock: Arc<Clock>,
    cleaning: Arc<Mutex<()>>,
    // The fields below are dropped in this order: without its stop the cleaner ends, without a queue the committer
    // does, and then both are joined.
    _stop_cleaning: Sender<()>,
    queue: Queue,
    threads: Threads,
}

impl Shared {
    /// A committed offset of a group. After a failed write this asks the committer to go on first, so that a log that
    /// only reads recovers too.
    fn group_offset(&self, group: &str, id: PartitionId) -> Result<Option<Offset>, LogError> {
        if self.store.is_in_doubt() {
            self.queue.change(Box::new(|_| Ok(Box::new(|| ()))))?;
        }
        self.store.group_offset(group, id)
    }

    fn cleaner(&self) -> Cleaner {
        Cleaner {
            store: Arc::clone(&self.store),
            topics: Arc::clone(&self.topics),
            queue: self.queue.clone(),
            clock: Arc::clone(&self.clock),
            turn: Arc::clone(&self.cleaning),
        }
    }
}

/// A log in a directory of this machine, owned by this process.
///
/// The directory is free again when the log and everything made from it is dropped.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, making it when there is none, with options that suit the memory of this process
    /// ([`EmbeddedOptions::of_this_process`]).
    ///
    /// # Errors
    /// [`Locked`](super::LogErrorKind::Locked): another process has it open. [`Damaged`](super::LogErrorKind::Damaged):
    /// stored bytes fail their check; nothing was changed. [`Full`](super::LogErrorKind::Full): no room to open it.
    /// [`Configuration`](super::LogErrorKind::Configuration): no permission, or the directory was written by a newer
    /// version.
    pub fn open(dir: impl AsRef<Path>) -> Result<Arc<Self>, LogError> {
        Self::open_with(dir, EmbeddedOptions::of_this_process())
    }

    /// Opens the log in `dir`; see [`EmbeddedLog::open`].
    pub fn open_with(dir: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Arc<Self>, LogError> {
        let store = Arc::new(Store::open(Directory::claim(dir.as_ref())?, options)?);
        let topics = Arc::new(loading::load_topics(&store)?);
        let committer = Committer::new(Arc::clone(&store), Arc::clone(&topics))?;
        let (queue, jobs, queued_bytes) = Queue::new();
        let threads = Threads::default();
        threads.spawn("log-commit", move || committer.run(jobs, queued_bytes))?;
        let (stop_cleaning, stop) = mpsc::channel();
        let shared = Shared {
            store,
            topics,
            membership: Membership::default(),
            clock: Arc::new(Clock::start()),
            cleaning: Arc::default(),
            _stop_cleaning: stop_cleaning,
            queue,
            threads,
        };
        let cleaner = shared.cleaner();
        shared.threads.spawn("log-clean", move || cleaner.run(stop, options.cleaning_interval))?;
        Ok(Arc::new(Self { shared: Arc::new(shared) }))
    }

    /// Carries out retention and compaction now and on this thread, as the background does at each
    /// [`cleaning_interval`](EmbeddedOptions::cleaning_interval). For tools, and for who needs the room at once.
    ///
    /// # Errors
    /// As a write or a read; what was cleaned before the error stays cleaned.
    pub fn clean_now(&self) -> Result<(), LogError> {
        self.shared.cleaner().pass(|| false)
    }
}

impl Log for EmbeddedLog {
    fn describe(&self) -> String {
        format!("embedded log in {}", self.shared.store.path().display())
    }

    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        admin::create_topics(&self.shared.store, &self.shared.topics, &self.shared.queue, topics)
    }

    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        Ok(self.shared.topics.all().iter().map(|topic| describe(topic)).collect())
    }

    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        Ok(self.shared.topics.get(topic).map(|topic| describe(&topic)))
    }

    fn offsets(&self, partition: &TopicPartition, _: Isolation) -> Result<OffsetRange, LogError> {
        Ok(self.shared.topics.partition(partition)?.range())
    }

    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let mut committed = Vec::new();
        for name in topics {
            for partition in &self.shared.topics.find(name)?.partitions {
                if let Some(offset) = self.shared.group_offset(group, partition.id)? {
                    committed.push((partition.name.clone(), offset));
                }
            }
        }
        Ok(committed)
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        let partition = self.shared.topics.partition(partition)?;
        admin::trim_partition(&self.shared.store, &self.shared.queue, partition, before)
    }

    fn topic_id(&self, topic: &str) -> Result<Option<String>, LogError> {
        let Some(topic) = self.shared.topics.get(topic) else { return Ok(None) };
        Ok(Some(match self.shared.store.id() {
            Some(log) => format!("{log:016x}-{}", topic.id),
            None => topic.id.to_string(),
        }))
    }

    fn delete_topics(&self, topics: &[&str]) -> Result<(), LogError> {
        admin::delete_topics(&self.shared.store, &self.shared.topics, &self.shared.queue, topics)
    }

    fn members(&self, group: &str) -> Result<Vec<String>, LogError> {
        Ok(self.shared.membership.members(group))
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        errors::refuse_members(group, &self.members(group)?)?;
        admin::set_committed(&self.shared.topics, &self.shared.queue, group, offsets)
    }

    /// None: what is not committed is in its session and nowhere in the log.
    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, LogError> {
        Ok(Vec::new())
    }

    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError> {
        Ok(Box::new(EmbeddedSession::join(Arc::clone(&self.shared), config)?))
    }

    fn reader(&self, _: Isolation) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(EmbeddedReader::new(Arc::clone(&self.shared))))
    }

    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        Ok(Box::new(EmbeddedAppender::new(Arc::clone(&self.shared))))
    }
}

fn describe(topic: &topic::Topic) -> TopicDescription {
    TopicDescription { name: topic.name.to_string(), partitions: topic.count() }
}
