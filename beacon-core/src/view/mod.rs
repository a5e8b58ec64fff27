//! Views: process-local pictures of compacted topics, for reading state from outside a job.
//!
//! A [`View`] holds the newest committed value of every key of one topic, all partitions, in memory. It gives point
//! reads, ordered lists, a stream of changes, and the offsets its answers reflect; a caller can wait until it reflects
//! an offset, which is how a process reads its own writes.
//!
//! What it deliberately does not do: it never writes, joins no group, and has no history; a key whose value is broken
//! keeps its older value, and the broken record is counted and logged
//! (`src/view/tests.rs: a_broken_value_is_counted_and_the_older_one_stays`). Processes stay connected by topics only.
//!
//! Invariant: whoever has seen an offset reached sees, in every later read, each committed record up to it, and the
//! observer has been told of each of them (`src/view/tests.rs: reads_see_what_was_waited_for_with_its_offsets`,
//! `src/view/tests.rs: the_observer_hears_every_change_before_anybody_who_waits`).

mod follow;
mod progress;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::log::{Isolation, Log, LogError, LogErrorKind, Offset, Reader, TopicPartition, topic_name};

pub use progress::{Progress, Reached, WaitError};
pub use table::{Answer, Change, Table};

/// An in-memory picture of one compacted topic, kept up to date by a thread of its own.
///
/// Dropping it stops the thread, within a tenth of a second or when the observer is done with what it was told.
pub struct View<K, V> {
    shared: Arc<Shared<K, V>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<K, V> {
    topic: Arc<str>,
    table: RwLock<Table<K, V>>,
    /// Moves after the table and after the observer, so that who waits here sees the work of both.
    progress: Progress,
    /// Where each partition ended when the view began.
    ends_at_start: Vec<Offset>,
    broken: AtomicU64,
    stop: AtomicBool,
}

impl<K, V> View<K, V>
where
    K: Codec + Ord + Clone + Send + Sync + 'static,
    V: Codec + Send + Sync + 'static,
{
    /// Begins to read `topic` from its start; returns before it is read (see [`View::wait_until_caught_up`]).
    ///
    /// Asks the log for the topic's partitions and ends, so it blocks for some round trips. Partitions added to the
    /// topic later are not seen.
    ///
    /// # Errors
    /// Those of the log; [`LogErrorKind::UnknownTopic`] when there is no such topic: create it first.
    pub fn start(log: &dyn Log, topic: &str) -> Result<Self, LogError> {
        Self::start_observed(log, topic, |_| ())
    }

    /// The same, with an observer that is told of every change, in the order of each partition, from the thread of the
    /// view. It is called after the table has changed and holds no lock: it may read the view, and delays it while it
    /// runs.
    ///
    /// # Errors
    /// As [`View::start`].
    pub fn start_observed(
        log: &dyn Log,
        topic: &str,
        observer: impl FnMut(&Change<K, V>) + Send + 'static,
    ) -> Result<Self, LogError> {
        let description = log.describe_topic(topic)?.ok_or_else(|| {
            topic_name::missing(topic, || {
                format!("there is no topic {topic} in {}: create it, or check the topic prefix", log.describe())
            })
        })?;
        let topic: Arc<str> = topic.into();
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for partition in 0..description.partitions {
            let partition = TopicPartition::new(Arc::clone(&topic), partition);
            let range = log.offsets(&partition, Isolation::Committed)?;
            starts.push((partition, range.start));
            ends.push(range.end);
        }
        let mut reader = log.reader(Isolation::Committed)?;
        reader.assign(&starts)?;
        Self::over(topic, ends, reader, observer)
    }

    /// A view over a reader that is already assigned all partitions of the topic.
    fn over(
        topic: Arc<str>,
        ends_at_start: Vec<Offset>,
        reader: Box<dyn Reader>,
        observer: impl FnMut(&Change<K, V>) + Send + 'static,
    ) -> Result<Self, LogError> {
        let partitions = u32::try_from(ends_at_start.len()).expect("a topic has at most 2^32 partitions");
        let shared = Arc::new(Shared {
            table: RwLock::new(Table::new(partitions)),
            progress: Progress::new(partitions),
            ends_at_start,
            broken: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            topic: Arc::clone(&topic),
        });
        let thread = std::thread::Builder::new()
            .name(format!("view {topic}"))
            .spawn({
                let shared = Arc::clone(&shared);
                move || follow::follow(&shared, reader, observer)
            })
            .map_err(|error| {
                LogError::new(LogErrorKind::Fatal, format!("no thread for the view of {topic}")).with_source(error)
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The value of one key.
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.read(|table| table.get(key).cloned())
    }

    /// The value of one key with the offsets that it reflects, both of one moment: what an answer to somebody else needs
    /// so that they can tell whether it is newer than what they know, or ask again until it reflects what they wrote.
    ///
    /// Costs a small allocation more than [`View::get`]; for several keys of one moment take [`View::read`].
    pub fn get_with_offsets<Q>(&self, key: &Q) -> Answer<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.read(|table| table.answer(key))
    }
}

impl<K, V> View<K, V> {
    /// Reads under one lock, so that all that `read` looks at is of one moment, with the offsets of
    /// [`Table::reflects`]. The view stands still meanwhile: take what you need and go.
    pub fn read<R>(&self, read: impl FnOnce(&Table<K, V>) -> R) -> R {
        read(&self.shared.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The topic it shows.
    pub fn topic(&self) -> &str {
        &self.shared.topic
    }

    /// How far it has come, and async waiting: `view.progress().reached(partition, offset).await`.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// How many records could not be understood; each was logged with its place and reason.
    pub fn broken_records(&self) -> u64 {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Why it does not go on any more, if so: its reader failed, or it was stopped. What was read stays readable.
    pub fn ended(&self) -> Option<String> {
        self.shared.progress.ended()
    }

    /// Blocks until the record at `offset` is reflected.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] when it takes longer than `timeout`; [`WaitError::Ended`] when it never will be.
    pub fn wait_for(&self, partition: u32, offset: Offset, timeout: Duration) -> Result<(), WaitError> {
        self.shared.progress.wait(partition, offset, timeout)
    }

    /// Blocks until everything that was in the topic when the view began is reflected.
    ///
    /// # Errors
    /// As [`View::wait_for`].
    pub fn wait_until_caught_up(&self, timeout: Duration) -> Result<(), WaitError> {
        let begun = Instant::now();
        for (partition, offset) in self.last_at_start() {
            self.wait_for(partition, offset, timeout.saturating_sub(begun.elapsed()))?;
        }
        Ok(())
    }

    /// [`View::wait_until_caught_up`] for async code, without a time limit of its own.
    ///
    /// # Errors
    /// [`WaitError::Ended`] when it never will be.
    pub async fn caught_up(&self) -> Result<(), WaitError> {
        for (partition, offset) in self.last_at_start() {
            self.shared.progress.reached(partition, offset).await?;
        }
        Ok(())
    }

    /// Whether everything that was in the topic when the view began is reflected.
    pub fn is_caught_up(&self) -> bool {
        self.last_at_start().all(|(partition, offset)| self.shared.progress.has_reached(partition, offset))
    }

    fn last_at_start(&self) -> impl Iterator<Item = (u32, Offset)> {
        (0..).zip(&self.shared.ends_at_start).filter_map(|(partition, end)| Some((partition, end.checked_sub(1)?)))
    }

    /// Stops the thread and waits for it: at most a tenth of a second, or as long as the observer takes. All waits end.
    /// What was read stays readable.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread (of the observer, or of a codec) was reported and has ended the progress.
            let _ = thread.join();
        }
    }
}

impl<K, V> Drop for View<K, V> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<K, V> fmt::Debug for View<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("topic", &self.shared.topic)
            .field("progress", &self.shared.progress)
            .finish_non_exhaustive()
    }
}
