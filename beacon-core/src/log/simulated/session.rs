//! A member of a group with its transactional producer.

use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::broker::State;
use super::errors;
use super::feed::Feed;
use super::surroundings::{Call, Fate};
use super::transactions::{GroupOffsets, TransactionId};
use crate::log::model::{FirstRead, Join, Joining, MemberId, News, Rebalancing, Transaction, first_read};
use crate::log::{
    CommitError, CommitReceipt, Event, Isolation, LogError, Offset, SendRecord, Session, SessionConfig, TopicPartition,
};

/// How a commit in doubt has ended.
#[derive(Clone, Debug)]
enum Doubt {
    /// The request was lost: asking again tries again.
    Undone,
    Committed(CommitReceipt),
    Aborted,
}

/// A session of a simulated log.
///
/// As with Kafka, the group checks who commits, not what: a member in good standing may commit the offset of a
/// partition it does not own, and a commit without offsets is not checked by the group at all.
pub(super) struct SimulatedSession {
    client: Client,
    member: MemberId,
    config: SessionConfig,
    feed: Feed,
    /// What the last poll asked back.
    revoked: Vec<TopicPartition>,
    /// Everything was asked back, and what followed has not been told.
    rejoining: bool,
    order: Transaction,
    transaction: Option<TransactionId>,
    doubt: Option<Doubt>,
}

impl SimulatedSession {
    pub(super) fn join(client: Client, config: SessionConfig) -> Result<Self, LogError> {
        let mut state = client.state();
        let mut topics = Vec::with_capacity(config.topics.len());
        for topic in &config.topics {
            topics.push((Arc::from(topic.as_str()), state.partitions(topic)?));
        }
        let joining = Joining {
            group: config.group.clone(),
            transactional_id: config.transactional_id.clone(),
            instance_id: config.instance_id.clone(),
            topics,
            session_timeout: config.session_timeout,
        };
        let member = match state.coordinator.join(joining, client.now()) {
            Join::Joined { member, .. } => member,
            // Commits take no time in here, so nobody is ever in the middle of one.
            Join::Wait => return Err(errors::refused("a join during a commit")),
        };
        state.take_over(&config.transactional_id);
        state.transactions.owners.insert(config.transactional_id.clone(), member);
        state.version += 1;
        drop(state);
        Ok(Self {
            client,
            member,
            config,
            feed: Feed::new(Isolation::Committed),
            revoked: Vec::new(),
            rejoining: false,
            order: Transaction::None,
            transaction: None,
            doubt: None,
        })
    }

    fn look(&mut self, hears_late: bool) -> Result<Option<Event>, LogError> {
        let now = self.client.now();
        let limit = self.client.surroundings.batch_records();
        let mut state = self.client.broker.at(now);
        if hears_late && let Some(event) = self.feed.next(&state, limit)? {
            return Ok(Some(event));
        }
        let turn = state.coordinator.poll(self.member, now);
        if !turn.wake.is_empty() {
            state.version += 1;
        }
        match turn.news {
            News::Fenced(why) => Err(errors::fenced(format!("group {}: {why}", self.config.group))),
            News::Lost(partitions) => {
                self.rejoining = false;
                self.feed.remove(&partitions);
                Ok(Some(Event::Lost(partitions)))
            }
            News::Revoked(partitions) => {
                self.revoked.clone_from(&partitions);
                self.rejoining = state.coordinator.rebalancing() == Rebalancing::AllAtOnce;
                Ok(Some(Event::Revoked(partitions)))
            }
            News::Assigned(partitions) => {
                let group = &self.config.group;
                // Their offsets are not certain yet: the next poll asks again.
                if partitions.iter().any(|partition| state.transactions.awaits_offset(group, partition)) {
                    state.coordinator.put_back(self.member, &partitions);
                    return Ok(None);
                }
                let mut assigned = Vec::with_capacity(partitions.len());
                for partition in partitions {
                    let range = state.range(&partition, Isolation::Committed)?;
                    let committed = state.offsets.get(&(group.clone(), partition.clone())).copied();
                    let first = first_read(committed, self.config.start, range);
                    // As on Kafka: that records are gone is told to who reads them, and not before.
                    let (FirstRead::At(offset) | FirstRead::Skipped { wanted: offset, .. }) = first;
                    assigned.push((partition, offset));
                }
                for (partition, offset) in &assigned {
                    self.feed.add(partition.clone(), *offset);
                }
                self.rejoining = false;
                Ok(Some(Event::Assigned(assigned)))
            }
            News::Nothing { .. } => self.feed.next(&state, limit),
        }
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), LogError> {
        for partition in partitions {
            self.feed.cursor(partition)?.set_paused(paused);
        }
        Ok(())
    }

    /// The transaction of this session at the broker, begun there unless it was.
    fn open(&mut self, state: &mut State) -> Result<TransactionId, LogError> {
        let id = &self.config.transactional_id;
        if state.transactions.owners.get(id) != Some(&self.member) {
            return Err(errors::fenced(format!("a newer session has the transactional id {id}")));
        }
        match self.transaction {
            Some(open) if state.transactions.open.contains_key(&open) => Ok(open),
            Some(_) => Err(errors::fenced(format!("the transaction of {id} ran into its time-out and was aborted"))),
            None => {
                state.finish(id);
                let deadline = self.client.now().saturating_add(self.config.transaction_timeout);
                let open = state.transactions.open(id, deadline);
                self.transaction = Some(open);
                Ok(open)
            }
        }
    }

    /// The broker's decision on a commit that got there.
    fn decide(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        let surroundings = Arc::clone(&self.client.surroundings);
        let broker = Arc::clone(&self.client.broker);
        let mut state = broker.at(self.client.now());
        let transaction = self.open(&mut state).map_err(CommitError::Fenced)?;
        if !offsets.is_empty() {
            state
                .coordinator
                .begin_commit(self.member, [])
                .map_err(|refusal| errors::commit_refused(&self.config.group, &refusal))?;
            state.coordinator.end_commit(self.member);
        }
        let group = &self.config.group;
        let offsets: GroupOffsets =
            offsets.iter().map(|(partition, offset)| ((group.clone(), partition.clone()), *offset)).collect();
        let ends = state.transactions.open.get(&transaction).map(|open| open.ends.clone()).unwrap_or_default();
        state.decide(transaction, true, offsets, &mut || surroundings.marker_delay());
        Ok(CommitReceipt { ends: ends.into_iter().collect() })
    }

    fn try_commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        let unknown = || CommitError::Unknown(errors::time_out("a commit"));
        let refused = || CommitError::Abortable(errors::abortable("simulated fault: the broker refuses a commit"));
        let fate = self.client.surroundings.fate(Call::Commit { offsets: offsets.len() });
        if fate == Fate::Dead {
            return Err(CommitError::Fatal(errors::dead()));
        }
        if let Some(known) = self.doubt.take_if(|doubt| !matches!(doubt, Doubt::Undone)) {
            if fate != Fate::Done && fate != Fate::Refused {
                self.doubt = Some(known);
                return Err(unknown());
            }
            return match known {
                Doubt::Committed(receipt) => Ok(receipt),
                Doubt::Aborted | Doubt::Undone => Err(refused()),
            };
        }
        match fate {
            Fate::Done | Fate::Dead => {
                self.doubt = None;
                let decided = self.decide(offsets);
                if decided.is_err() {
                    self.give_up_transaction();
                }
                decided
            }
            Fate::Refused => {
                self.doubt = None;
                Err(refused())
            }
            Fate::RequestLost => {
                self.doubt = Some(Doubt::Undone);
                Err(unknown())
            }
            Fate::AnswerLost => {
                // What the broker itself refuses is refused when it is asked again, too.
                self.doubt = Some(match self.decide(offsets) {
                    Ok(receipt) => Doubt::Committed(receipt),
                    Err(_) => Doubt::Undone,
                });
                Err(unknown())
            }
            Fate::RefusalLost => {
                self.give_up_transaction();
                self.doubt = Some(Doubt::Aborted);
                Err(unknown())
            }
        }
    }

    /// Aborts the open transaction at the broker, if there still is one.
    fn give_up_transaction(&mut self) {
        if let Some(id) = self.transaction.take() {
            let surroundings = Arc::clone(&self.client.surroundings);
            let mut state = self.client.state();
            state.decide(id, false, GroupOffsets::new(), &mut || surroundings.marker_delay());
        }
    }
}

impl Session for SimulatedSession {
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let deadline = self.client.now().saturating_add(timeout);
        loop {
            self.client.meet(if self.rejoining { Call::Rejoin } else { Call::Poll }, "a poll")?;
            let revoked = std::mem::take(&mut self.revoked);
            self.feed.remove(&revoked);
            let hears_late = revoked.is_empty() && self.client.surroundings.hears_late();
            if let Some(event) = self.look(hears_late)? {
                return Ok(event);
            }
            if !self.client.surroundings.wait(deadline) {
                return Ok(Event::Idle);
            }
        }
    }

    fn revokes_all(&self) -> bool {
        self.client.state().coordinator.rebalancing() == Rebalancing::AllAtOnce
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.set_paused(partitions, true)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.set_paused(partitions, false)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.feed.cursor(partition)?.advance(offset);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), LogError> {
        // The broker hears of it with the first record or the commit.
        self.transaction = None;
        self.order.begin().map_err(errors::misuse)
    }

    fn send(&mut self, record: SendRecord<'_>) -> Result<(), LogError> {
        self.order.check_send().map_err(errors::misuse)?;
        self.client.meet(Call::Send, "a send")?;
        let wall_ms = self.client.surroundings.wall_ms();
        let broker = Arc::clone(&self.client.broker);
        let mut state = broker.at(self.client.now());
        let (at, record) = state.place(&record, wall_ms)?;
        // Of a transaction that is over nothing is written; the commit will be told.
        let transaction = self.open(&mut state);
        if let Ok(id) = transaction {
            state.write(&at, record, Some(id))?;
        }
        Ok(())
    }

    fn holds_back(&self) -> bool {
        self.client.surroundings.holds_back()
    }

    /// Here nothing has waited; it is a call on its way as it is elsewhere.
    fn send_ahead(&mut self) -> Result<(), LogError> {
        self.order.check_send().map_err(errors::misuse)?;
        self.client.meet(Call::Send, "sending ahead")
    }

    fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        self.order.check_commit().map_err(|wrong| CommitError::Fatal(errors::misuse(wrong)))?;
        let result = self.try_commit(offsets);
        self.order = match &result {
            Ok(_) => Transaction::None,
            Err(CommitError::Unknown(_)) => Transaction::InDoubt,
            Err(_) => Transaction::Refused,
        };
        result
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.order.abort().map_err(errors::misuse)?;
        self.doubt = None;
        self.client.meet(Call::Abort, "an abort")?;
        self.give_up_transaction();
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<(), LogError> {
        self.client.meet(Call::Close, "a close")?;
        self.give_up_transaction();
        // A static member of a group where everything moves at once is waited for, as on Kafka (KIP-345). Elsewhere it leaves
        // for good, and dropping the session then changes nothing.
        if self.config.instance_id.is_none() || !self.revokes_all() {
            self.client.leave(self.member);
        }
        Ok(())
    }
}

impl Drop for SimulatedSession {
    /// As a client that is dropped: a dynamic member leaves, a static one is waited for. Its transaction stays open until
    /// its time-out, or until its id has a new owner.
    fn drop(&mut self) {
        if self.config.instance_id.is_none() && self.client.surroundings.fate(Call::Close) != Fate::Dead {
            self.client.leave(self.member);
        }
    }
}
