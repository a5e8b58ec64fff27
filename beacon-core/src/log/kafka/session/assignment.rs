//! Partitions that come and go: what the group says, where a partition begins, and when librdkafka hears of it.
//!
//! Invariants: a partition is given to librdkafka only after the caller was told of it and polled again, and given up only
//! after the caller was told and polled again, unless it is lost already
//! (`tests/log_contract/rebalance.rs: a_revoked_partition_can_be_committed_until_the_next_poll`); no pause outlives an
//! assignment (`tests/log_contract/rebalance.rs: a_partition_that_was_paused_when_it_went_flows_when_it_returns`).

use std::time::Duration;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::super::batch::offset_of;
use super::super::error::{from_call, kind_of, log_error};
use super::super::membership::{Change, Next};
use super::super::partitions::{committed_in, list, list_at, native_partition, owned_names};
use super::super::raw::Rebalance;
use super::KafkaSession;
use crate::log::{Event, LogError, LogErrorKind, Offset, Session, StartFrom, TopicPartition};

/// One question about committed offsets may take this long even when the poll should not wait.
const RESOLVE_AT_LEAST: Duration = Duration::from_millis(100);

impl KafkaSession {
    /// Gives up what the caller was told is asked back.
    pub(super) fn answer_revocation(&mut self) -> Result<(), LogError> {
        let leaving = self.membership.take_leaving();
        if leaving.is_empty() {
            return Ok(());
        }
        for partition in &leaving {
            self.inbox.forget(partition);
        }
        self.unassign(&leaving)
    }

    /// Starts what the caller was told is given, where it wants it by now.
    pub(super) fn start_announced(&mut self) -> Result<(), LogError> {
        let announced = self.membership.take_announced();
        if announced.is_empty() {
            return Ok(());
        }
        let places = announced.iter().map(|(partition, at)| (partition, at.offset));
        self.assign(&list_at(places))?;
        for (partition, at) in &announced {
            self.inbox.set_position(partition, at.offset);
        }
        let paused: Vec<_> = announced.iter().filter(|(_, at)| at.paused).map(|(partition, _)| partition).collect();
        if !paused.is_empty() {
            self.client.pause(&list(paused.into_iter())).map_err(|code| log_error(code, "pausing new partitions"))?;
        }
        Ok(())
    }

    pub(super) fn assign(&self, partitions: &TopicPartitionList) -> Result<(), LogError> {
        if self.client.is_incremental() {
            self.client.incremental_assign(partitions).map_err(|error| from_call(&error, "taking partitions"))
        } else {
            self.client.assign(Some(partitions)).map_err(|code| log_error(code, "taking partitions"))
        }
    }

    pub(super) fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        if self.client.is_incremental() {
            self.client
                .incremental_unassign(&list(partitions.iter()))
                .map_err(|error| from_call(&error, "giving partitions up"))?;
        } else {
            // The classic protocol takes all or nothing.
            self.client.assign(None).map_err(|code| log_error(code, "giving partitions up"))?;
        }
        if partitions.is_empty() {
            return Ok(());
        }
        // librdkafka keeps the pause of a partition that is given up (2.12): given again, it would never be fetched,
        // because nobody resumes what nobody has paused. Those that were not paused are left as they are.
        let resumed = self.client.resume(&list(partitions.iter()));
        resumed.map_err(|code| log_error(code, "ending the pause of partitions given up"))
    }

    /// Acts on changes of membership; an event if the caller has to hear of it.
    pub(super) fn advance(&mut self, left: Duration) -> Result<Option<Event>, LogError> {
        for rebalance in self.client.take_rebalances() {
            match rebalance {
                Rebalance::Assign(given) => self.membership.note(Change::Given(owned_names(given))),
                Rebalance::Revoke { partitions, lost: false } => {
                    self.membership.note(Change::AskedBack(owned_names(partitions)));
                }
                Rebalance::Revoke { partitions, lost: true } => {
                    self.membership.note(Change::Gone(owned_names(partitions)));
                }
                Rebalance::Failed(code) => {
                    return Err(log_error(code, format_args!("group {}: rebalance", self.config.group)));
                }
            }
        }
        loop {
            match self.membership.next() {
                Next::Fetch => return Ok(None),
                Next::ConfirmNothing => {
                    self.assign(&TopicPartitionList::new())?;
                    if std::mem::take(&mut self.revoked) && self.revokes_all() {
                        return Ok(Some(Event::Assigned(Vec::new())));
                    }
                }
                Next::Resolve(partitions) => {
                    let Some(places) = self.resolve(&partitions, left)? else {
                        return Ok(None);
                    };
                    self.membership.announce(&places);
                    self.revoked = false;
                    return Ok(Some(Event::Assigned(places)));
                }
                Next::Revoke(partitions) if partitions.is_empty() => self.unassign(&[])?,
                Next::Revoke(partitions) => {
                    self.revoked = true;
                    return Ok(Some(Event::Revoked(partitions)));
                }
                Next::Lose { all, started } => {
                    for partition in &started {
                        self.inbox.forget(partition);
                    }
                    self.unassign(&started)?;
                    if !all.is_empty() {
                        return Ok(Some(Event::Lost(all)));
                    }
                }
            }
        }
    }

    /// Where to read given partitions from; `None` while that cannot be said yet: the broker is away, or a
    /// transaction of the partition's last owner is still undecided.
    fn resolve(
        &mut self,
        partitions: &[TopicPartition],
        left: Duration,
    ) -> Result<Option<Vec<(TopicPartition, Offset)>>, LogError> {
        let offsets = list(partitions.iter());
        match self.client.committed(&offsets, left.clamp(RESOLVE_AT_LEAST, Duration::from_secs(1))) {
            Ok(()) => {}
            Err(code) if kind_of(code) == LogErrorKind::Retriable => return Ok(None),
            Err(code) => {
                return Err(log_error(code, format_args!("committed offsets of group {}", self.config.group)));
            }
        }
        let told = match committed_in(&offsets) {
            Ok(told) => told,
            Err((_, code)) if kind_of(code) == LogErrorKind::Retriable => return Ok(None),
            Err((partition, code)) => return Err(log_error(code, format_args!("committed offset of {partition}"))),
        };
        let mut places = Vec::with_capacity(partitions.len());
        for (partition, (_, told)) in partitions.iter().zip(told) {
            self.second_look.note(partition, told);
            let offset = match told {
                Some(offset) => offset,
                None => match self.start_of(partition)? {
                    Some(offset) => offset,
                    None => return Ok(None),
                },
            };
            places.push((partition.clone(), offset));
        }
        Ok(Some(places))
    }

    /// Where a partition without committed offset starts. `Latest` is the last stable offset: what is written but
    /// not yet committed becomes visible from now on.
    fn start_of(&self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        match self.client.watermarks(&partition.topic, native_partition(partition), RESOLVE_AT_LEAST) {
            Ok((low, high)) => Ok(Some(offset_of(match self.config.start {
                StartFrom::Earliest => low,
                StartFrom::Latest => high,
            }))),
            Err(code) if kind_of(code) == LogErrorKind::Retriable => Ok(None),
            Err(code) => Err(log_error(code, format_args!("start of {partition}"))),
        }
    }
}
