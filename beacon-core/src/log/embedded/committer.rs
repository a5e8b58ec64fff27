//! The committer: one thread that decides the order of all writes and shares one `fdatasync` among those that wait.
//!
//! It takes everything that is queued, gives each record its offset, writes one RocksDB batch, and only when that is on
//! the disk makes the records visible and answers. While the disk works the next batch gathers. One thread rather than
//! RocksDB's own write groups, because offsets must become visible in the order they were given out. It goes on whatever those
//! who wait do with their answers (`tests/log_contract/records.rs: an_answer_that_panics_holds_up_no_other`), and refuses what
//! comes too late for its topic
//! (`tests/log_contract_embedded/sessions.rs: a_commit_into_a_topic_deleted_since_the_records_were_sent_is_refused_as_a_whole`).
//!
//! A failed write is the hard case: its bytes may or may not be on the disk. Every batch carries a number; after a
//! failure nothing is written until the database was opened again, and the number found there tells what happened.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, OnceLock};

use rocksdb::WriteBatch;

use super::chunk::Chunk;
use super::errors;
use super::keys;
use super::loading;
use super::store::Store;
use super::tail::TailBudget;
use super::topic::{Partition, Topics};
use crate::log::answer::answer;
use crate::log::model::reserve;
use crate::log::{LogError, LogErrorKind, Offset};

/// Encoded records for one partition.
pub(super) struct PartitionWrite {
    pub(super) partition: Arc<Partition>,
    /// The bytes of chunks, in order.
    pub(super) chunks: Vec<Vec<u8>>,
}

/// What a group has done of a partition.
pub(super) struct OffsetWrite {
    /// The one that was read, which need not be the one that has its name now.
    pub(super) partition: Arc<Partition>,
    pub(super) key: Vec<u8>,
    pub(super) offset: Offset,
}

/// Answers a [`Write`]: the base offset of each of its parts.
pub(super) type WriteDone = Box<dyn FnOnce(Result<Vec<Offset>, WriteError>) + Send>;

/// Records and offsets that become durable and visible together.
pub(super) struct Write {
    pub(super) parts: Vec<PartitionWrite>,
    pub(super) offsets: Vec<OffsetWrite>,
    pub(super) bytes: usize,
    pub(super) done: WriteDone,
}

/// Why a write did not happen, or may not have.
pub(super) enum WriteError {
    /// Nothing was written.
    Refused(LogError),
    /// It failed on the way to the disk.
    Doubt {
        error: LogError,
        /// Where the parts are if they got there.
        bases: Vec<Offset>,
        outcome: Arc<Outcome>,
    },
}

impl WriteError {
    pub(super) fn into_error(self) -> LogError {
        match self {
            Self::Refused(error) | Self::Doubt { error, .. } => error,
        }
    }
}

/// Whether a failed write got to the disk after all; empty until the database could be opened again.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    landed: OnceLock<bool>,
}

/// What to do in memory when a change is durable.
pub(super) type Publish = Box<dyn FnOnce() + Send>;
/// Decides a change against the state all earlier writes have left, and puts it into the batch.
pub(super) type Decide = Box<dyn FnOnce(&mut WriteBatch) -> Result<Publish, LogError> + Send>;

pub(super) enum Job {
    Write(Write),
    /// A change of topics, starts or chunks; written alone.
    Change {
        decide: Decide,
        done: SyncSender<Result<(), LogError>>,
    },
    /// Asks for an outcome.
    Settle {
        outcome: Arc<Outcome>,
        done: SyncSender<Result<bool, LogError>>,
    },
    /// An append refused before it was queued; its caller is answered from this thread like all others.
    Refuse {
        error: LogError,
        done: WriteDone,
    },
}

/// The way to the committer, which ends when the last of these is dropped.
#[derive(Clone)]
pub(super) struct Queue {
    jobs: Sender<Job>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Queue {
    pub(super) fn new() -> (Self, Receiver<Job>, Arc<AtomicUsize>) {
        let (jobs, receiver) = mpsc::channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        (Self { jobs, queued_bytes: Arc::clone(&queued_bytes) }, receiver, queued_bytes)
    }

    /// Bytes that wait to be written.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    /// Queues a write; its `done` is always called.
    pub(super) fn write(&self, write: Write) {
        self.queued_bytes.fetch_add(write.bytes, Ordering::Relaxed);
        self.post(Job::Write(write));
    }

    /// Answers `done` with `error` from the committer's thread.
    pub(super) fn refuse(&self, error: LogError, done: WriteDone) {
        self.post(Job::Refuse { error, done });
    }

    /// Makes a change and waits until it is durable and visible.
    pub(super) fn change(&self, decide: Decide) -> Result<(), LogError> {
        let (done, answer) = mpsc::sync_channel(1);
        self.post(Job::Change { decide, done });
        answer.recv().unwrap_or_else(|_| Err(errors::closed()))
    }

    /// Whether the failed write got to the disk; an error while that is still unknown.
    pub(super) fn settle(&self, outcome: &Arc<Outcome>) -> Result<bool, LogError> {
        let (done, answer) = mpsc::sync_channel(1);
        self.post(Job::Settle { outcome: Arc::clone(outcome), done });
        answer.recv().unwrap_or_else(|_| Err(errors::closed()))
    }

    fn post(&self, job: Job) {
        // The committer is gone only after a panic in it. Who waits for a dropped channel sees that by itself.
        if let Err(mpsc::SendError(Job::Write(Write { done, .. }) | Job::Refuse { done, .. })) = self.jobs.send(job) {
            answer(done, Err(WriteError::Refused(errors::closed())));
        }
    }
}

/// A write whose fate is unknown.
struct Doubt {
    number: u64,
    outcome: Arc<Outcome>,
    kind: LogErrorKind,
    message: String,
}

/// The state of the committer's thread.
pub(super) struct Committer {
    store: Arc<Store>,
    topics: Arc<Topics>,
    tail: TailBudget,
    last_write: u64,
    doubt: Option<Doubt>,
}

/// A write with its place.
struct Placed {
    chunks: Vec<(Arc<Partition>, Vec<Arc<Chunk>>)>,
    bases: Vec<Offset>,
    done: WriteDone,
}

impl Committer {
    pub(super) fn new(store: Arc<Store>, topics: Arc<Topics>) -> Result<Self, LogError> {
        let last_write = store.last_write()?;
        let tail = TailBudget::new(store.options().tail_cache_bytes);
        Ok(Self { store, topics, tail, last_write, doubt: None })
    }

    /// Works until the last [`Queue`] is dropped.
    pub(super) fn run(mut self, jobs: Receiver<Job>, queued_bytes: Arc<AtomicUsize>) {
        let mut next = jobs.recv().ok();
        while let Some(job) = next.take() {
            match job {
                Job::Write(first) => {
                    let (writes, other) = gather(first, &jobs, self.store.options().batch_bytes());
                    next = other;
                    let bytes: usize = writes.iter().map(|write| write.bytes).sum();
                    self.write(writes, bytes);
                    queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                }
                // Who asked may have gone; that changes nothing.
                Job::Change { decide, done } => drop(done.send(self.change(decide))),
                Job::Settle { outcome, done } => drop(done.send(self.settle(&outcome))),
                Job::Refuse { error, done } => answer(done, Err(WriteError::Refused(error))),
            }
            if next.is_none() {
                next = jobs.recv().ok();
            }
        }
    }

    fn write(&mut self, writes: Vec<Write>, bytes: usize) {
        let writes: Vec<Write> = writes.into_iter().filter_map(refuse_late).collect();
        if writes.is_empty() {
            return;
        }
        if let Err(error) = self.recover().and_then(|()| self.store.check_space(bytes)) {
            for write in writes {
                answer(write.done, Err(WriteError::Refused(copy(&error))));
            }
            return;
        }
        let mut batch = WriteBatch::default();
        let mut ends = Ends::default();
        let placed: Vec<Placed> = writes.into_iter().map(|write| place(write, &mut ends, &mut batch)).collect();
        match self.write_numbered(batch) {
            Ok(()) => {
                for Placed { chunks, bases, done } in placed {
                    for (partition, chunks) in chunks {
                        self.tail.publish(&partition, chunks);
                    }
                    answer(done, Ok(bases));
                }
            }
            Err((error, outcome)) => {
                for Placed { bases, done, .. } in placed {
                    answer(done, Err(WriteError::Doubt { error: copy(&error), bases, outcome: Arc::clone(&outcome) }));
                }
            }
        }
    }

    fn change(&mut self, decide: Decide) -> Result<(), LogError> {
        self.recover()?;
        let mut batch = WriteBatch::default();
        let publish = decide(&mut batch)?;
        if !batch.is_empty() {
            self.write_numbered(batch).map_err(|(error, _)| error)?;
        }
        publish();
        Ok(())
    }

    fn settle(&mut self, outcome: &Outcome) -> Result<bool, LogError> {
        self.recover()?;
        // Every outcome belongs to the doubt that recovery has just cleared or to an earlier one.
        Ok(outcome.landed.get().copied().unwrap_or(false))
    }

    fn write_numbered(&mut self, mut batch: WriteBatch) -> Result<(), (LogError, Arc<Outcome>)> {
        let number = self.last_write + 1;
        batch.put(keys::LAST_WRITE, number.to_be_bytes());
        let spare = self.store.has_failed_in_background().then(|| WriteBatch::from_data(batch.data()));
        let Err((error, outcome)) = self.attempt(batch, number) else { return Ok(()) };
        match spare {
            // It failed for what is past; if that is over, the database opened again takes the same batch.
            Some(spare) if self.recover().is_ok() => {
                if outcome.landed.get() == Some(&true) {
                    Ok(())
                } else {
                    self.attempt(spare, number)
                }
            }
            _ => Err((error, outcome)),
        }
    }

    fn attempt(&mut self, batch: WriteBatch, number: u64) -> Result<(), (LogError, Arc<Outcome>)> {
        match self.store.write(batch) {
            Ok(()) => {
                self.last_write = number;
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = %error, "the embedded log could not write");
                let outcome = Arc::new(Outcome::default());
                let (kind, message) = (error.kind(), error.to_string());
                self.store.set_doubt(Some((kind, message.clone())));
                self.doubt = Some(Doubt { number, outcome: Arc::clone(&outcome), kind, message });
                Err((error, outcome))
            }
        }
    }

    /// After a failed write: opens the database again, if that can succeed, and finds out what is on the disk.
    fn recover(&mut self) -> Result<(), LogError> {
        let Some(doubt) = &self.doubt else { return Ok(()) };
        match doubt.kind {
            // Opening takes room of its own; until there is some the old handle still serves readers.
            LogErrorKind::Full => self.store.check_space(self.store.options().write_buffer_bytes)?,
            LogErrorKind::Damaged => return Err(LogError::new(doubt.kind, doubt.message.clone())),
            _ => {}
        }
        let last_write = self.store.reopen()?;
        loading::reload_topics(&self.store, &self.topics)?;
        let landed = last_write >= doubt.number;
        tracing::warn!(landed, "the embedded log goes on after a failed write");
        // Set by this thread only, and only here.
        let _ = doubt.outcome.landed.set(landed);
        self.last_write = last_write;
        self.doubt = None;
        self.store.set_doubt(None);
        Ok(())
    }
}

/// Takes what else is queued, up to the first job that must be alone, and no more once it has `most` bytes: those that
/// came first should not wait for everything else.
fn gather(first: Write, jobs: &Receiver<Job>, most: usize) -> (Vec<Write>, Option<Job>) {
    let mut bytes = first.bytes;
    let mut writes = vec![first];
    while bytes < most {
        match jobs.try_recv() {
            Ok(Job::Write(write)) => {
                bytes += write.bytes;
                writes.push(write);
            }
            Ok(other) => return (writes, Some(other)),
            Err(_) => break,
        }
    }
    (writes, None)
}

/// Refuses a write as a whole if a topic of it was deleted after it was put together. Written, its records would be under an
/// id that nobody reads or cleans up, or are of an input that there is no more.
fn refuse_late(write: Write) -> Option<Write> {
    let mut outputs = write.parts.iter().map(|part| &part.partition);
    let mut inputs = write.offsets.iter().map(|write| &write.partition);
    let error = if let Some(late) = outputs.find(|partition| partition.is_gone()) {
        errors::deleted_topic(&late.name.topic)
    } else if let Some(late) = inputs.find(|partition| partition.is_gone()) {
        errors::deleted_input(&late.name.topic)
    } else {
        return Some(write);
    };
    answer(write.done, Err(WriteError::Refused(error)));
    None
}

/// Where partitions will end when the batch that is being put together is written.
type Ends = std::collections::HashMap<keys::PartitionId, crate::log::OffsetRange>;

fn place(write: Write, ends: &mut Ends, batch: &mut WriteBatch) -> Placed {
    let mut bases = Vec::with_capacity(write.parts.len());
    let mut placed = Vec::with_capacity(write.parts.len());
    for PartitionWrite { partition, chunks } in write.parts {
        let range = ends.entry(partition.id).or_insert_with(|| partition.range());
        bases.push(range.end);
        let mut at_place = Vec::with_capacity(chunks.len());
        for bytes in chunks {
            // A chunk writer makes nothing shorter than its prologue.
            let Some(chunk) = Chunk::new(range.end, bytes) else { continue };
            let (base, after) = reserve(*range, chunk.count());
            batch.put(keys::chunk(partition.id, base), chunk.bytes());
            *range = after;
            at_place.push(Arc::new(chunk));
        }
        placed.push((partition, at_place));
    }
    for OffsetWrite { key, offset, .. } in write.offsets {
        batch.put(key, offset.to_be_bytes());
    }
    Placed { chunks: placed, bases, done: write.done }
}

fn copy(error: &LogError) -> LogError {
    LogError::new(error.kind(), error.to_string())
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
