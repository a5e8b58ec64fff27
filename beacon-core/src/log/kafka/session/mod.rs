//! A group member with a transactional producer: how the parts around it work together at a poll and at a commit.
//!
//! Invariant: no commit carries the offset of a partition that this member does not own, and none goes out without
//! an offset, because the coordinator fences by offsets only
//! (`tests/kafka/commit.rs: a_commit_for_a_partition_of_somebody_else_is_refused`,
//! `tests/kafka/commit.rs: a_commit_without_offsets_is_refused`).
//!
//! [`joining`] is its beginning, [`assignment`] what a poll does about its group, [`seeking`] where partitions are read,
//! [`second_look`] finds out what it was told wrongly.

mod assignment;
mod joining;
#[cfg(test)]
mod renewal_tests;
mod second_look;
mod seeking;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::log::{
    CommitError, CommitReceipt, Event, LogError, LogErrorKind, Offset, SendRecord, Session, SessionConfig,
    TopicPartition,
};

use self::joining::{choose_protocol, join, open_transactor};
use self::second_look::SecondLook;
use super::admin::Cluster;
use super::error::{from_call, kind_of, log_error};
use super::inbox::Inbox;
use super::membership::Membership;
use super::partitions::{list, list_at};
use super::protocol::{AfterFatal, Protocol, after_fatal};
use super::raw::Client;
use super::transaction::Transactor;

/// While committed offsets are waited for, other partitions' records are looked for this often.
const RESOLVE_EVERY: Duration = Duration::from_millis(20);
/// How often a static member asks whether its ghost has expired.
const GHOST_RETRY: Duration = Duration::from_millis(250);
/// How long closing waits for the coordinator to confirm an abort.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may take to leave its group: far longer than a request to a broker that does not answer.
const LEAVE_PATIENCE: Duration = Duration::from_secs(30);

/// A session on Kafka; see [`Session`].
pub(super) struct KafkaSession {
    cluster: Arc<Cluster>,
    config: SessionConfig,
    transactor: Transactor,
    client: Arc<Client>,
    inbox: Inbox,
    membership: Membership,
    protocol: Protocol,
    second_look: SecondLook,
    rejoin_at: Option<Instant>,
    /// The caller heard of a revocation and not of what followed it.
    revoked: bool,
    closed: bool,
}

impl KafkaSession {
    /// Fences older sessions of the same transactional id, then joins the group.
    pub fn open(cluster: Arc<Cluster>, config: SessionConfig) -> Result<Self, LogError> {
        for topic in &config.topics {
            cluster.require_topic(topic)?;
        }
        // First the fence, then the group: offsets a predecessor left undecided are decided before they are read.
        let transactor = open_transactor(&cluster, &config)?;
        let (protocol, reason) = choose_protocol(&cluster, &config, &transactor)?;
        tracing::info!(group = %config.group, ?protocol, ?reason, "joining the group");
        let client = join(&cluster, &config, protocol)?;
        let inbox = Inbox::new(Arc::clone(&client), cluster.config().max_batch);
        Ok(Self {
            cluster,
            config,
            transactor,
            client,
            inbox,
            membership: Membership::default(),
            protocol,
            second_look: SecondLook::default(),
            rejoin_at: None,
            revoked: false,
            closed: false,
        })
    }

    /// Handles an error that ended the consumer; `None` if the session goes on with a new one.
    fn recover(&mut self, code: Code) -> Result<Option<Event>, LogError> {
        match after_fatal(self.cluster.config().group_protocol, self.protocol, code) {
            AfterFatal::Report => {
                let text = self.client.fatal_error().map_or_else(String::new, |(_, text)| text);
                Err(LogError::new(kind_of(code), format!("group {}: the consumer is over: {text}", self.config.group)))
            }
            AfterFatal::FallBack => {
                tracing::info!(group = %self.config.group, "the broker does not speak KIP-848: joining with the classic protocol");
                self.cluster.note_lack_of_kip_848();
                self.protocol = Protocol::Classic;
                self.rejoin()
            }
            AfterFatal::WaitForGhost => {
                tracing::warn!(
                    group = %self.config.group,
                    instance = self.config.instance_id.as_deref().unwrap_or_default(),
                    "waiting for the session of an earlier process with this instance id to expire"
                );
                self.rejoin_at = Some(Instant::now() + GHOST_RETRY);
                Ok(None)
            }
        }
    }

    fn rejoin(&mut self) -> Result<Option<Event>, LogError> {
        self.rejoin_at = None;
        self.client = join(&self.cluster, &self.config, self.protocol)?;
        self.inbox = Inbox::new(Arc::clone(&self.client), self.cluster.config().max_batch);
        let lost = self.membership.reset();
        Ok((!lost.is_empty()).then_some(Event::Lost(lost)))
    }

    /// Offsets to commit as librdkafka wants them, all of them of owned partitions.
    fn offsets_to_commit(&self, offsets: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList, CommitError> {
        if offsets.is_empty() {
            return Err(CommitError::Fatal(LogError::new(
                LogErrorKind::Fatal,
                format!(
                    "group {}: a commit without offsets is refused: the group's coordinator fences by offsets only, \
                     add the position of an owned partition",
                    self.config.group
                ),
            )));
        }
        if let Some((partition, _)) = offsets.iter().find(|(partition, _)| !self.membership.owns(partition)) {
            return Err(CommitError::Abortable(LogError::new(
                LogErrorKind::Abortable,
                format!("{partition} is not owned by this member of group {} any more", self.config.group),
            )));
        }
        Ok(list_at(offsets.iter().map(|(partition, offset)| (partition, *offset))))
    }

    fn require_owned(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        match partitions.iter().find(|partition| !self.membership.owns(partition)) {
            None => Ok(()),
            Some(partition) => Err(LogError::new(
                LogErrorKind::Fatal,
                format!("{partition} is not owned by this member of group {}", self.config.group),
            )),
        }
    }

    fn shut_down(&mut self) -> Result<(), LogError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        // Abort before leaving: whoever takes over would else wait for the transaction to time out.
        let aborted = if self.transactor.is_open() { self.transactor.abort(CLOSE_TIMEOUT) } else { Ok(()) };
        self.inbox.clear();
        let left = leave(&self.client, &self.config.group);
        aborted.and(left)
    }
}

/// Leaves the group, in time. On a thread of its own: a caller that ends a session must not wait without end, whatever the
/// client does, and a client that is dropped would wait for the same.
fn leave(client: &Arc<Client>, group: &str) -> Result<(), LogError> {
    let leaving = Arc::clone(client);
    let (tell, told) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("kafka-leave".into()).spawn(move || {
        let left = leaving.close_consumer();
        // The session's is the last one: with it the client goes.
        drop(leaving);
        // Who has stopped waiting does not want to know.
        let _ = tell.send(left);
    });
    let left = match spawned {
        Ok(_) => told.recv_timeout(LEAVE_PATIENCE),
        Err(_) => Ok(client.close_consumer()),
    };
    match left {
        Ok(left) => left.map_err(|error| from_call(&error, format_args!("leaving group {group}"))),
        Err(_) => Err(LogError::new(
            LogErrorKind::Retriable,
            format!(
                "leaving group {group}: not done within {LEAVE_PATIENCE:?}; its client is kept, and the brokers give its \
                 partitions to others when its session expires"
            ),
        )),
    }
}

impl Session for KafkaSession {
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let deadline = Instant::now() + timeout;
        self.answer_revocation()?;
        self.start_announced()?;
        let mut fetched_last = false;
        loop {
            if let Some(event) = self.inbox.next() {
                if event.is_err()
                    && let Some(code) = self.inbox.fatal()
                {
                    match self.recover(code)? {
                        Some(event) => return Ok(event),
                        None => continue,
                    }
                }
                return event;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.rejoin_at.is_some_and(|at| Instant::now() >= at) {
                if let Some(event) = self.rejoin()? {
                    return Ok(event);
                }
            } else if let Some(event) = self.advance(left)? {
                return Ok(event);
            }
            if fetched_last {
                return Ok(Event::Idle);
            }
            fetched_last = left.is_zero();
            let wait = if self.membership.is_resolving() {
                left.min(RESOLVE_EVERY)
            } else if let Some(at) = self.rejoin_at {
                left.min(at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
            } else {
                left
            };
            self.inbox.fetch(wait);
        }
    }

    fn revokes_all(&self) -> bool {
        self.protocol == Protocol::Classic
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.require_owned(partitions)?;
        let started = self.membership.set_paused(partitions, true);
        if started.is_empty() {
            return Ok(());
        }
        self.client.pause(&list(started.iter().copied())).map_err(|code| log_error(code, "pausing partitions"))?;
        for partition in started {
            if let Some(position) = self.inbox.withdraw(partition) {
                self.seek_started(partition, position)?;
            }
        }
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.require_owned(partitions)?;
        let started = self.membership.set_paused(partitions, false);
        if started.is_empty() {
            return Ok(());
        }
        let resumed = self.client.resume(&list(started.iter().copied()));
        resumed.map_err(|code| log_error(code, "resuming partitions"))?;
        started.into_iter().for_each(|partition| self.wake(partition));
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.require_owned(std::slice::from_ref(partition))?;
        if let Some(announced) = self.membership.announced_mut(partition) {
            announced.offset = offset;
            return Ok(());
        }
        self.inbox.withdraw(partition);
        self.seek_started(partition, offset)
    }

    fn begin(&mut self) -> Result<(), LogError> {
        if self.transactor.gets_nothing_written() {
            tracing::warn!(
                group = %self.config.group,
                transactional_id = %self.config.transactional_id,
                "records could not be written in time again and again: going on with a new producer"
            );
            self.transactor = open_transactor(&self.cluster, &self.config)?;
        }
        self.transactor.begin()
    }

    fn send(&mut self, record: SendRecord<'_>) -> Result<(), LogError> {
        let cluster = &self.cluster;
        self.transactor.send(&record, |topic| cluster.require_topic(topic))
    }

    fn holds_back(&self) -> bool {
        self.transactor.holds_back()
    }

    fn send_ahead(&mut self) -> Result<(), LogError> {
        self.transactor.send_ahead()
    }

    fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        let native = self.offsets_to_commit(offsets)?;
        let client = &self.client;
        let looked = self.second_look.take(client, &self.config.group, offsets.iter().map(|(partition, _)| partition));
        let outcome = looked.and_then(|()| {
            // Asked for freshly each time: a rebalance in between must show, or the fence has a hole.
            self.transactor.commit(&native, || (!client.assignment_lost()).then(|| client.membership()).flatten())
        });
        if let Err(CommitError::Fenced(_)) = &outcome {
            self.transactor.abandon(CLOSE_TIMEOUT);
        }
        outcome
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.transactor.abort(self.cluster.config().timeout)
    }

    fn close(mut self: Box<Self>) -> Result<(), LogError> {
        self.shut_down()
    }
}

impl Drop for KafkaSession {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(group = %self.config.group, %error, "closing a dropped session");
        }
    }
}
