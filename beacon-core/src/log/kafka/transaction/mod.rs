//! One transactional producer: [`sending`], the fast commit, and what was delivered where.
//!
//! It knows nothing of partitions owned. Invariant: the raw commit is called only when every record was reported as
//! delivered and offsets are part of the transaction
//! (`tests/kafka/commit.rs: thousands_of_records_in_one_transaction_are_all_there`,
//! `tests/kafka/commit.rs: a_commit_without_offsets_is_refused`).
//!
//! Why not the safe crate's calls: its flush polls in steps of 100 ms, a floor for every commit. Waiting for deliveries
//! first, which librdkafka's own threads note as they hear of them, and then committing with the raw call takes 4 to 8 ms (Kafka 4.1,
//! one broker).

mod sending;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::log::{CommitError, CommitReceipt, LogError, LogErrorKind, TopicPartition};

use super::error::{Step, commit_error, from_call};
use super::held_back::HeldBack;
use super::ledger::Ledger;
use super::raw::{CallError, Client, Membership, Topic};
use sending::Refusal;

/// How long one call to the coordinator may take before the caller hears "unknown, ask again". Sending offsets to a
/// coordinator that is frozen rather than gone takes up to the transaction's own time-out, whatever is asked for
/// (librdkafka 2.12).
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// So many transactions without a commit between them whose records found no way to a broker are enough of a producer. The first
/// one, or the second, may have met an outage. librdkafka may also have lost sight of who leads a partition, for good, when it
/// was told for a moment that nobody does (its issue 5430): a new producer asks.
pub(super) const TIMED_OUT: u32 = 3;
/// While deliveries are waited for, it is looked this often whether they will ever come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    /// Offsets are part of the transaction.
    OffsetsSent,
    /// The coordinator may have been told to commit: only another commit finds out.
    Committing,
    /// A newer owner exists.
    Over,
}

/// A transactional producer and its at most one open transaction.
pub(super) struct Transactor {
    client: Arc<Client>,
    ledger: Arc<Ledger>,
    topics: Vec<Topic>,
    held: HeldBack,
    /// Handed to librdkafka in this transaction.
    sent: u64,
    state: State,
    id: String,
}

impl Transactor {
    /// Takes a transactional client made with `ledger`, fences older ones of the same id and finishes what they left.
    ///
    /// # Errors
    /// Retriable when the coordinator does not answer within `timeout`.
    pub fn open(client: Client, ledger: Arc<Ledger>, id: &str, timeout: Duration) -> Result<Self, LogError> {
        let deadline = Instant::now() + timeout;
        // Connects: a registration that finds no connection is put off by half a second.
        client
            .metadata(None, timeout)
            .map_err(|code| super::error::log_error(code, format_args!("transactional id {id}: connecting")))?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match client.init_transactions(left.max(Duration::from_millis(1))) {
                Ok(()) => break,
                Err(error) if error.retriable && !left.is_zero() => {}
                Err(error) => {
                    return Err(from_call(&error, format_args!("transactional id {id}: registration failed")));
                }
            }
        }
        Ok(Self {
            client: Arc::new(client),
            ledger,
            topics: Vec::new(),
            held: HeldBack::default(),
            sent: 0,
            state: State::Closed,
            id: id.to_owned(),
        })
    }

    /// The client, for calls that any client can make.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whether a transaction is open, its outcome undecided or not.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed | State::Over)
    }

    /// Whether another producer is worth a try.
    pub fn gets_nothing_written(&self) -> bool {
        self.ledger.timed_out() >= TIMED_OUT
    }

    pub fn begin(&mut self) -> Result<(), LogError> {
        if self.state != State::Closed {
            return Err(self.misuse("begin"));
        }
        self.client
            .begin_transaction()
            .map_err(|error| from_call(&error, format_args!("transactional id {}: begin failed", self.id)))?;
        self.sent = 0;
        self.held.begin();
        self.ledger.begin();
        for topic in &self.topics {
            topic.state.ends.reset();
        }
        self.state = State::Open;
        Ok(())
    }

    /// Commits; `member` is asked for the membership as late as possible, once.
    ///
    /// Each call goes on where the last one that said "unknown" stopped.
    pub fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        member: impl FnOnce() -> Option<Membership>,
    ) -> Result<CommitReceipt, CommitError> {
        match self.state {
            State::Open => {
                self.release().map_err(|refusal| self.refused(&refusal))?;
                self.drain()?;
                self.send_offsets(offsets, member)?;
            }
            State::OffsetsSent | State::Committing => {}
            State::Closed => return Err(CommitError::Fatal(self.misuse("commit"))),
            State::Over => return Err(CommitError::Fenced(self.over())),
        }
        self.state = State::Committing;
        match self.client.commit_transaction(CALL_TIMEOUT) {
            Ok(()) => {
                self.state = State::Closed;
                self.ledger.committed();
                Ok(self.receipt())
            }
            Err(error) => Err(self.failed(&error, Step::Committing, "commit")),
        }
    }

    /// What it means for a commit that a record was not even queued: nothing was committed.
    fn refused(&mut self, Refusal { error, target }: &Refusal) -> CommitError {
        if let Some((code, _)) = self.client.fatal_error() {
            return self.fatal(code);
        }
        if let Some(cause @ (CommitError::Fatal(_) | CommitError::Fenced(_))) = self.cause(error) {
            return cause;
        }
        match self.failed(error, Step::BeforeCommit, &format!("sending to {target}")) {
            // Never "ask again": what was held back behind this record is gone.
            CommitError::Unknown(error) => CommitError::Abortable(error),
            other => other,
        }
    }

    /// Waits until what became of every record sent is known; a failed one makes the transaction one to abort.
    fn drain(&mut self) -> Result<(), CommitError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            let all = self.client.flush(LOOK_EVERY);
            self.client.serve();
            if all {
                break;
            }
            if let Some((code, _)) = self.client.fatal_error() {
                return Err(self.fatal(code));
            }
            if Instant::now() >= deadline {
                let left = self.client.in_flight();
                return Err(CommitError::Unknown(LogError::new(
                    LogErrorKind::Retriable,
                    format!("transactional id {}: {left} of {} records not written yet", self.id, self.sent),
                )));
            }
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// What it means for the transaction that one of its records was not written.
    fn failure(&mut self) -> Option<CommitError> {
        let failure = self.ledger.failure(format_args!("transactional id {}", self.id))?;
        if matches!(failure, CommitError::Fenced(_)) {
            self.state = State::Over;
        }
        Some(failure)
    }

    fn send_offsets(
        &mut self,
        offsets: &TopicPartitionList,
        member: impl FnOnce() -> Option<Membership>,
    ) -> Result<(), CommitError> {
        let Some(member) = member() else {
            return Err(CommitError::Fenced(LogError::new(
                LogErrorKind::Fenced,
                format!("transactional id {}: this session is not a member of its group any more", self.id),
            )));
        };
        match self.client.send_offsets(offsets, &member, CALL_TIMEOUT) {
            Ok(()) => {
                self.state = State::OffsetsSent;
                Ok(())
            }
            Err(error) => Err(self.failed(&error, Step::BeforeCommit, "offsets")),
        }
    }

    fn receipt(&self) -> CommitReceipt {
        let mut ends = Vec::new();
        for topic in &self.topics {
            let written = topic.state.ends.written().into_iter();
            ends.extend(
                written
                    .map(|(partition, end)| (TopicPartition { topic: Arc::clone(&topic.state.name), partition }, end)),
            );
        }
        CommitReceipt { ends }
    }

    /// Aborts; may be called again after a retriable error.
    pub fn abort(&mut self, timeout: Duration) -> Result<(), LogError> {
        match self.state {
            State::Open | State::OffsetsSent => {}
            State::Committing => {
                return Err(LogError::new(
                    LogErrorKind::Retriable,
                    format!("transactional id {}: the commit's outcome is unknown: commit again", self.id),
                ));
            }
            State::Closed => return Err(self.misuse("abort")),
            State::Over => return Err(self.over()),
        }
        // The raw call purges what is queued and waits for what is in flight.
        match self.client.abort_transaction(timeout) {
            Ok(()) => {
                self.state = State::Closed;
                self.ledger.aborted();
                Ok(())
            }
            Err(error) => {
                if error.fatal {
                    self.state = State::Over;
                }
                Err(from_call(&error, format_args!("transactional id {}: abort failed", self.id)))
            }
        }
    }

    /// Aborts what a fenced session left open, so that committed readers need not wait for it to time out.
    pub fn abandon(&mut self, timeout: Duration) {
        if matches!(self.state, State::Open | State::OffsetsSent)
            && let Err(error) = self.abort(timeout)
        {
            tracing::warn!(%error, "a fenced transaction is left to its time-out");
        }
        self.state = State::Over;
    }

    fn failed(&mut self, error: &CallError, step: Step, what: &str) -> CommitError {
        let context = format!("transactional id {}: {what}", self.id);
        let outcome = commit_error(error, step, &context);
        match &outcome {
            CommitError::Fenced(_) | CommitError::Fatal(_) if error.fatal => self.state = State::Over,
            // librdkafka's transaction is still open and wants to be aborted.
            CommitError::Abortable(_) | CommitError::Fenced(_) => self.state = State::Open,
            _ => {}
        }
        outcome
    }

    fn fatal(&mut self, code: Code) -> CommitError {
        let text = self.client.fatal_error().map_or_else(String::new, |(_, text)| text);
        let error = CallError { code, text, fatal: true, retriable: false, requires_abort: false };
        self.failed(&error, Step::BeforeCommit, "producer")
    }

    fn misuse(&self, call: &str) -> LogError {
        if self.state == State::Over {
            return self.over();
        }
        LogError::new(
            LogErrorKind::Fatal,
            format!("transactional id {}: {call} while the transaction is {:?}", self.id, self.state),
        )
    }

    fn over(&self) -> LogError {
        LogError::new(
            LogErrorKind::Fenced,
            format!("transactional id {}: a newer owner exists, this session is over", self.id),
        )
    }
}
