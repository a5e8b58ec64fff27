//! How records get into a transaction: held back first, then handed to librdkafka, and what a refusal means.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::error::{from_call, log_error};
use super::super::partitions::native_target;
use super::super::raw::{CallError, Outgoing};
use super::{LOOK_EVERY, State, Transactor};
use crate::log::{CommitError, LogError, SendRecord};

/// Errors are collected at least every so many sends, so that they do not pile up.
const SERVE_EVERY: u64 = 1024;
/// How often a full queue is looked at for room.
const ROOM_EVERY: Duration = Duration::from_millis(1);

/// How long the report of why a transaction has failed is waited for.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);

/// A record that librdkafka did not take.
pub(super) struct Refusal {
    pub error: CallError,
    pub target: String,
}

impl Refusal {
    pub fn into_error(self) -> LogError {
        from_call(&self.error, format_args!("sending to {}", self.target))
    }
}

impl Transactor {
    /// Queues a record; `partitions` is asked once per topic how many it has.
    pub fn send(
        &mut self,
        record: &SendRecord<'_>,
        partitions: impl FnOnce(&str) -> Result<u32, LogError>,
    ) -> Result<(), LogError> {
        if self.state != State::Open {
            return Err(self.misuse("send"));
        }
        let index = self.topic_index(record.topic, partitions)?;
        let outgoing = Outgoing {
            partition: native_target(record.partition),
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms,
            token: 0,
        };
        if self.held.take(index, &outgoing) {
            return Ok(());
        }
        self.release().and_then(|()| self.produce(index, &outgoing)).map_err(|refusal| {
            match self.cause(&refusal.error) {
                Some(CommitError::Fatal(error) | CommitError::Fenced(error)) => error,
                _ => refusal.into_error(),
            }
        })
    }

    /// Whether what is sent now, or first in the next transaction, waits for the commit.
    pub fn holds_back(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::Open => self.held.holds(),
            State::OffsetsSent | State::Committing | State::Over => false,
        }
    }

    /// Hands librdkafka what waits for the commit; what comes after it waits again.
    pub fn send_ahead(&mut self) -> Result<(), LogError> {
        if self.state == State::Open && self.held.holds() {
            self.release().map_err(Refusal::into_error)?;
            self.held.hold_again();
        }
        Ok(())
    }

    /// Hands librdkafka what was held back.
    pub(super) fn release(&mut self) -> Result<(), Refusal> {
        let mut held = std::mem::take(&mut self.held);
        let released = held.release(|index, outgoing| self.produce(index, outgoing));
        self.held = held;
        released
    }

    fn produce(&mut self, index: usize, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        let topic = &self.topics[index];
        loop {
            match self.client.produce(topic, outgoing) {
                Ok(()) => break,
                // The local queue is full: room comes with deliveries, at the latest when they time out.
                Err(error) if error.code == Code::QueueFull => {
                    self.client.serve();
                    thread::sleep(ROOM_EVERY);
                }
                Err(mut error) => {
                    // The transaction has failed already, for a reason that the abort ends.
                    error.requires_abort |= error.code == Code::State;
                    return Err(Refusal { error, target: target(&topic.state.name, outgoing.partition) });
                }
            }
        }
        self.sent += 1;
        if self.sent.is_multiple_of(SERVE_EVERY) {
            self.client.serve();
        }
        Ok(())
    }

    fn topic_index(
        &mut self,
        name: &str,
        partitions: impl FnOnce(&str) -> Result<u32, LogError>,
    ) -> Result<usize, LogError> {
        if let Some(index) = self.topics.iter().position(|topic| &*topic.state.name == name) {
            return Ok(index);
        }
        let partitions = partitions(name)?;
        let topic = self.client.topic(name).map_err(|code| log_error(code, name))?;
        topic.state.ends.make_room(partitions);
        self.topics.push(topic);
        Ok(self.topics.len() - 1)
    }

    /// Why a transaction has failed that therefore takes no record, if it is for another one: that says what to do. The report of it
    /// may still be on its way: librdkafka fails a transaction a moment before it tells of the record, and of those behind it.
    pub(super) fn cause(&mut self, refusal: &CallError) -> Option<CommitError> {
        if !refusal.requires_abort {
            return None;
        }
        let deadline = Instant::now() + REPORT_PATIENCE;
        loop {
            let all = self.client.flush(LOOK_EVERY);
            self.client.serve();
            match self.failure() {
                Some(failure @ (CommitError::Fatal(_) | CommitError::Fenced(_))) => return Some(failure),
                other if all || Instant::now() >= deadline => return other,
                _ => {}
            }
        }
    }
}

fn target(topic: &str, partition: i32) -> String {
    if partition < 0 { topic.to_owned() } else { format!("{topic}/{partition}") }
}
