//! Internal topics end where the group has read them: what it has committed is trimmed away.
//!
//! They have no retention by time. A busy application would fill the disk with a week of records that nobody reads again,
//! and one that sleeps for longer than that would lose what it had not read. Kafka Streams does the same with its
//! repartition topics (KIP-220).
//!
//! Invariant: nothing is trimmed that the group has not committed. Offsets of a group only grow, so it does not matter
//! that a partition may have another owner by the time it is done
//! (`tests/embedded/trimming.rs: what_was_read_is_trimmed_and_what_was_not_waits`,
//! `tests/kafka/trimming.rs: what_was_read_is_trimmed_and_what_was_not_waits`,
//! `tests/simulation/main.rs: every_seed_of_trims_at_once_ends_as_a_calm_run_does`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::environment::Background;
use super::fault::Fault;
use super::thread::StreamThread;
use crate::log::{Isolation, Log, LogError, LogErrorKind, Offset, TopicPartition};
use crate::planted::{self, Planted};

/// What one thread trims, and when.
#[derive(Default)]
pub(super) struct Trimming {
    due: Duration,
    shared: Arc<Shared>,
}

/// What the thread and its work in the background tell each other.
#[derive(Default)]
struct Shared {
    under_way: AtomicBool,
    abandoned: AtomicBool,
    /// Said once: a client that may not delete records would say it twice a minute.
    warned: AtomicBool,
    done: Mutex<BTreeMap<TopicPartition, Offset>>,
}

impl Drop for Trimming {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
    }
}

impl StreamThread {
    /// Has trimmed what was committed since the last time, if that is due.
    pub(super) fn trim_internal(&mut self) {
        let now = self.environment.now();
        let shared = &self.trimming.shared;
        if now < self.trimming.due || shared.under_way.load(Ordering::Acquire) {
            return;
        }
        let first = std::mem::replace(&mut self.trimming.due, now + self.config.trim_interval).is_zero();
        if first {
            return;
        }
        let queue: VecDeque<_> = {
            let done = shared.done.lock().unwrap_or_else(PoisonError::into_inner);
            let internal = self.topology.internal_topics();
            let inputs = self.slots.values().flat_map(|slot| slot.task.positions.committed_offsets());
            inputs
                .filter(|(partition, _)| internal.iter().any(|topic| topic.name == partition.topic))
                .filter(|(partition, committed)| done.get(partition).copied().unwrap_or(0) < *committed)
                .collect()
        };
        if queue.is_empty() {
            return;
        }
        shared.under_way.store(true, Ordering::Release);
        let work = Trim { log: Arc::clone(&self.log), shared: Arc::clone(shared), queue };
        let name = format!("{}-trim-{}", self.blame.application, self.number);
        if let Err(error) = self.environment.start(name, Box::new(work)) {
            tracing::warn!(%error, application = self.blame.application, "no thread to trim internal topics with");
        }
    }

    /// What follows from an input that could not be read.
    ///
    /// One that was away for longer than its session may ask for records before it hears that its tasks are others', who have
    /// read on and trimmed: it has lost nothing and joins again. That what the *group* has not read is gone is not to be mended.
    pub(super) fn unread(&self, error: LogError) -> Fault {
        if error.kind() != LogErrorKind::Trimmed || planted::is_in(Planted::TrimTakenForLoss) {
            return self.blame.log(error);
        }
        match self.group_has_read_on() {
            Ok(true) => Fault::Rejoin(format!("others of the group have read on meanwhile: {error}")),
            Ok(false) => self.blame.log(error),
            Err(error) => self.blame.log(error),
        }
    }

    /// Whether something of this thread's inputs is gone, and all of that was committed by the group.
    fn group_has_read_on(&self) -> Result<bool, LogError> {
        let mut gone = false;
        for positions in self.slots.values().map(|slot| &slot.task.positions) {
            for partition in positions.partitions() {
                let start = self.log.offsets(partition, Isolation::Committed)?.start;
                if positions.next(partition).is_some_and(|next| next < start) {
                    gone = true;
                    let committed = self.log.committed(self.topology.application(), &[&*partition.topic])?;
                    if !committed.iter().any(|(at, offset)| at == partition && *offset >= start) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(gone)
    }
}

/// One round through the partitions of a thread.
struct Trim {
    log: Arc<dyn Log>,
    shared: Arc<Shared>,
    queue: VecDeque<(TopicPartition, Offset)>,
}

impl Background for Trim {
    fn step(&mut self, _: Duration) -> Option<Duration> {
        if self.shared.abandoned.load(Ordering::Acquire) {
            return None;
        }
        let (partition, before) = self.queue.pop_front()?;
        match self.log.trim(&partition, before) {
            Ok(()) => {
                self.shared.done.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, before);
            }
            // Tried again in the next round: until then there is only more on the disk than there need be.
            Err(error) if !self.shared.warned.swap(true, Ordering::AcqRel) => {
                tracing::warn!(%partition, before, %error, "an internal topic cannot be trimmed and grows until it can");
            }
            Err(error) => tracing::debug!(%partition, before, %error, "an internal topic cannot be trimmed yet"),
        }
        Some(Duration::ZERO)
    }
}

impl Drop for Trim {
    fn drop(&mut self) {
        self.shared.under_way.store(false, Ordering::Release);
    }
}
