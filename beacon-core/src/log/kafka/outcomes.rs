//! Which records of which appends are on their way, and the answer that each append gets.
//!
//! Invariant: an answer is given by the thread that asks for it, never inside a callback of librdkafka, and one that panics holds
//! up no other (`tests/log_contract/records.rs: an_answer_that_panics_holds_up_no_other`).

use std::sync::{Arc, Mutex};

use crate::log::answer::answer;
use crate::log::{AppendDone, LogError, Position};

use super::batch::{offset_of, partition_of};
use super::error::log_error;
use super::raw::{Delivery, DeliverySink, lock};

/// An append whose records are on their way.
pub(super) struct Pending {
    progress: Mutex<Progress>,
}

struct Progress {
    positions: Vec<Position>,
    waiting: usize,
    error: Option<LogError>,
    done: Option<AppendDone>,
}

impl Pending {
    pub fn new(records: usize, done: AppendDone) -> Arc<Self> {
        let nowhere = Position { partition: 0, offset: 0 };
        Arc::new(Self {
            progress: Mutex::new(Progress {
                positions: vec![nowhere; records],
                waiting: records,
                error: None,
                done: Some(done),
            }),
        })
    }

    /// Notes what became of one record; the answer if it was the last one.
    fn settle(&self, index: usize, outcome: Result<Position, LogError>) -> Option<Answer> {
        let mut progress = lock(&self.progress);
        match outcome {
            Ok(position) => progress.positions[index] = position,
            Err(error) => {
                progress.error.get_or_insert(error);
            }
        }
        progress.waiting -= 1;
        if progress.waiting > 0 {
            return None;
        }
        let done = progress.done.take()?;
        let result = match progress.error.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut progress.positions)),
        };
        Some(Answer { done, result })
    }
}

/// An answer to be given, by the delivery thread and outside of librdkafka's callback.
struct Answer {
    done: AppendDone,
    result: Result<Vec<Position>, LogError>,
}

/// One record of an append.
struct Slot {
    pending: Arc<Pending>,
    index: usize,
}

/// Records in flight, by the token that travels through librdkafka with each.
#[derive(Default)]
struct Slots {
    taken: Vec<Option<Slot>>,
    free: Vec<usize>,
}

impl Slots {
    fn insert(&mut self, slot: Slot) -> usize {
        match self.free.pop() {
            Some(token) => {
                self.taken[token] = Some(slot);
                token
            }
            None => {
                self.taken.push(Some(slot));
                self.taken.len() - 1
            }
        }
    }

    fn remove(&mut self, token: usize) -> Option<Slot> {
        let slot = self.taken.get_mut(token)?.take()?;
        self.free.push(token);
        Some(slot)
    }

    fn in_flight(&self) -> usize {
        self.taken.len() - self.free.len()
    }
}

/// Turns delivery reports into answers.
#[derive(Default)]
pub(super) struct Outcomes {
    slots: Mutex<Slots>,
    answers: Mutex<Vec<Answer>>,
}

impl Outcomes {
    /// Waits for a record of an append; the token that travels with it.
    pub fn await_record(&self, pending: &Arc<Pending>, index: usize) -> usize {
        lock(&self.slots).insert(Slot { pending: Arc::clone(pending), index })
    }

    /// Records that no report has come of.
    pub fn in_flight(&self) -> usize {
        lock(&self.slots).in_flight()
    }

    /// Fails every record of an append, none of which was sent, with the same reason.
    pub fn fail(&self, pending: &Arc<Pending>, records: usize, error: &LogError) {
        for index in 0..records {
            let error = LogError::new(error.kind(), error.to_string());
            lock(&self.answers).extend(pending.settle(index, Err(error)));
        }
    }

    /// Has an append of nothing answered.
    pub fn succeed_at_once(&self, pending: &Arc<Pending>) {
        let done = lock(&pending.progress).done.take();
        lock(&self.answers).extend(done.map(|done| Answer { done, result: Ok(Vec::new()) }));
    }

    /// Gives up on everything in flight.
    pub fn give_up(&self, reason: impl Fn() -> LogError) {
        let tokens = lock(&self.slots).taken.len();
        (0..tokens).for_each(|token| self.settle(token, Err(reason())));
    }

    pub fn settle(&self, token: usize, outcome: Result<Position, LogError>) {
        // Taken out before it is settled: the lock is not held while the append is locked.
        let slot = lock(&self.slots).remove(token);
        if let Some(slot) = slot {
            lock(&self.answers).extend(slot.pending.settle(slot.index, outcome));
        }
    }

    /// Gives the answers that are due; runs callers' code, so never inside a callback of librdkafka.
    pub fn give_answers(&self) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        for Answer { done, result } in answers {
            answer(done, result);
        }
    }
}

impl DeliverySink for Outcomes {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let outcome = match delivery.error {
            None => Ok(Position { partition: partition_of(delivery.partition), offset: offset_of(delivery.offset) }),
            Some(code) => {
                Err(log_error(code, format_args!("appending to {}/{}", delivery.topic.name, delivery.partition)))
            }
        };
        self.settle(delivery.token, outcome);
    }
}
