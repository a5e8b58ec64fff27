//! A member of a group with its transaction.
//!
//! A transaction is in the memory of its session until it is committed, so an open one holds up nobody and
//! [`SessionConfig::transaction_timeout`] has nothing to do here.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::committer::{OffsetWrite, Outcome, Write, WriteError};
use super::feed::{Feed, OnTrimmed};
use super::outbox::Outbox;
use super::{Shared, errors, keys};
use crate::log::model::{FirstRead, Joining, MemberId, Misuse, News, Refusal, Transaction, first_read};
use crate::log::{
    CommitError, CommitReceipt, Event, LogError, LogErrorKind, Offset, SendRecord, Session, SessionConfig, StartFrom,
    TopicPartition,
};

/// A session of an embedded log. Dropping it leaves the group at once.
pub(super) struct EmbeddedSession {
    shared: Arc<Shared>,
    member: MemberId,
    group: String,
    start: StartFrom,
    feed: Feed,
    /// What the last poll asked back.
    revoked: Vec<TopicPartition>,
    transaction: Transaction,
    outbox: Outbox,
    doubt: Option<(CommitReceipt, Arc<Outcome>)>,
}

impl EmbeddedSession {
    pub(super) fn join(shared: Arc<Shared>, config: SessionConfig) -> Result<Self, LogError> {
        let mut topics = Vec::with_capacity(config.topics.len());
        for name in &config.topics {
            let topic = shared.topics.find(name)?;
            topics.push((Arc::clone(&topic.name), topic.count()));
        }
        let feed = Feed::new(OnTrimmed::Skip);
        let joining = Joining {
            group: config.group.clone(),
            transactional_id: config.transactional_id,
            instance_id: config.instance_id,
            topics,
            session_timeout: config.session_timeout,
        };
        let member = shared.membership.join(&joining, feed.signal(), &shared.clock);
        Ok(Self {
            shared,
            member,
            group: config.group,
            start: config.start,
            feed,
            revoked: Vec::new(),
            transaction: Transaction::None,
            outbox: Outbox::default(),
            doubt: None,
        })
    }

    /// What the group or the partitions have for this member now; otherwise until when to wait for it at most.
    fn look(&mut self) -> Result<Result<Event, Option<Duration>>, LogError> {
        match self.shared.membership.poll(self.member, &self.shared.clock) {
            News::Fenced(why) => Err(LogError::new(LogErrorKind::Fenced, format!("group {}: {why}", self.group))),
            News::Lost(partitions) => {
                self.feed.remove(&partitions);
                Ok(Ok(Event::Lost(partitions)))
            }
            News::Revoked(partitions) => {
                self.revoked.clone_from(&partitions);
                Ok(Ok(Event::Revoked(partitions)))
            }
            News::Assigned(partitions) => match self.take_over(&partitions) {
                Ok(assigned) => Ok(Ok(Event::Assigned(assigned))),
                Err(error) => {
                    self.shared.membership.put_back(self.member, &partitions);
                    Err(error)
                }
            },
            News::Nothing { again_at } => Ok(self.feed.next(&self.shared.store)?.ok_or(again_at)),
        }
    }

    fn take_over(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let mut found = Vec::with_capacity(partitions.len());
        for name in partitions {
            let partition = self.shared.topics.partition(name)?;
            let committed = self.shared.group_offset(&self.group, partition.id)?;
            let offset = match first_read(committed, self.start, partition.range()) {
                FirstRead::At(offset) => offset,
                FirstRead::Skipped { wanted, start } => {
                    tracing::warn!(
                        partition = %name, wanted, start, group = self.group,
                        "records were trimmed before this group had read them"
                    );
                    start
                }
            };
            found.push((partition, offset));
        }
        let assigned = found.iter().map(|(partition, offset)| (partition.name.clone(), *offset)).collect();
        for (partition, offset) in found {
            self.feed.add(partition, offset);
        }
        Ok(assigned)
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), LogError> {
        for partition in partitions {
            self.feed.cursor(partition).ok_or_else(|| not_owned(partition))?.set_paused(paused);
        }
        Ok(())
    }

    /// Writes what was sent, and the offsets, and waits for the disk.
    fn write(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        let mut committed = Vec::with_capacity(offsets.len());
        for (name, offset) in offsets {
            let partition = self.feed.partition(name).ok_or_else(|| CommitError::Abortable(not_owned(name)))?;
            let key = keys::group_offset(&self.group, partition.id);
            committed.push(OffsetWrite { partition: Arc::clone(partition), key, offset: *offset });
        }
        let counts: Vec<(TopicPartition, u32)> =
            self.outbox.counts().map(|(partition, count)| (partition.name.clone(), count)).collect();
        if counts.is_empty() && committed.is_empty() {
            return Ok(CommitReceipt::default());
        }
        let bytes = self.outbox.bytes();
        let (answer, answered) = mpsc::sync_channel(1);
        self.shared.queue.write(Write {
            parts: self.outbox.take(),
            offsets: committed,
            bytes,
            // The session waits below for as long as it takes.
            done: Box::new(move |result| drop(answer.send(result))),
        });
        let receipt = |bases: Vec<Offset>| CommitReceipt {
            ends: counts
                .into_iter()
                .zip(bases)
                .map(|((name, count), base)| (name, base + Offset::from(count)))
                .collect(),
        };
        match answered.recv() {
            Ok(Ok(bases)) => Ok(receipt(bases)),
            Ok(Err(WriteError::Refused(error))) if error.kind() == LogErrorKind::Fatal => {
                Err(CommitError::Fatal(error))
            }
            Ok(Err(WriteError::Refused(error))) => Err(CommitError::Abortable(error)),
            Ok(Err(WriteError::Doubt { error, bases, outcome })) => {
                self.doubt = Some((receipt(bases), outcome));
                Err(CommitError::Unknown(error))
            }
            Err(_) => Err(CommitError::Fatal(errors::closed())),
        }
    }

    /// Asks how a commit in doubt has ended.
    fn settle(&mut self, receipt: CommitReceipt, outcome: Arc<Outcome>) -> Result<CommitReceipt, CommitError> {
        match self.shared.queue.settle(&outcome) {
            Ok(true) => Ok(receipt),
            Ok(false) => Err(CommitError::Abortable(LogError::new(
                LogErrorKind::Abortable,
                "the transaction did not get to the disk; abort it and do the work again",
            ))),
            Err(error) => {
                self.doubt = Some((receipt, outcome));
                Err(CommitError::Unknown(error))
            }
        }
    }

    fn try_commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        if let Some((receipt, outcome)) = self.doubt.take() {
            return self.settle(receipt, outcome);
        }
        self.shared.membership.begin_commit(self.member, offsets).map_err(|refusal| refused(&self.group, &refusal))?;
        let result = self.write(offsets);
        self.shared.membership.end_commit(self.member);
        result
    }
}

impl Session for EmbeddedSession {
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let revoked = std::mem::take(&mut self.revoked);
        self.feed.remove(&revoked);
        let deadline = self.shared.clock.now().saturating_add(timeout);
        loop {
            let again_at = match self.look()? {
                Ok(event) => return Ok(event),
                Err(again_at) => again_at,
            };
            let now = self.shared.clock.now();
            if now >= deadline {
                return Ok(Event::Idle);
            }
            let until = again_at.map_or(deadline, |at| at.min(deadline));
            self.feed.signal().wait(until.saturating_sub(now));
        }
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.set_paused(partitions, true)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.set_paused(partitions, false)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.feed.cursor(partition).ok_or_else(|| not_owned(partition))?.advance(offset);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.transaction.begin().map_err(misuse)
    }

    fn send(&mut self, record: SendRecord<'_>) -> Result<(), LogError> {
        self.transaction.check_send().map_err(misuse)?;
        let now_ms = self.shared.clock.wall_ms();
        self.outbox.push(&record, &self.shared.topics, self.shared.store.options(), now_ms).map(drop)
    }

    fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        self.transaction.check_commit().map_err(|wrong| CommitError::Fatal(misuse(wrong)))?;
        let result = self.try_commit(offsets);
        self.transaction = match &result {
            Ok(_) => Transaction::None,
            Err(CommitError::Unknown(_)) => Transaction::InDoubt,
            Err(_) => Transaction::Refused,
        };
        result
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.transaction.abort().map_err(misuse)?;
        self.outbox.clear();
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), LogError> {
        // Dropping leaves the group.
        Ok(())
    }
}

impl Drop for EmbeddedSession {
    fn drop(&mut self) {
        self.shared.membership.leave(self.member, &self.shared.clock);
    }
}

fn refused(group: &str, refusal: &Refusal) -> CommitError {
    let message = format!("group {group}: {refusal}");
    match refusal {
        Refusal::Fenced(_) => CommitError::Fenced(LogError::new(LogErrorKind::Fenced, message)),
        Refusal::Expelled | Refusal::NotOwned(_) => {
            CommitError::Abortable(LogError::new(LogErrorKind::Abortable, message))
        }
    }
}

fn misuse(wrong: Misuse) -> LogError {
    LogError::new(LogErrorKind::Fatal, wrong.to_string())
}

fn not_owned(partition: &TopicPartition) -> LogError {
    LogError::new(LogErrorKind::Configuration, format!("{partition} is not assigned to this session"))
}
