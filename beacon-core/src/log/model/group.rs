//! A consumer group: membership, and how partitions change hands.
//!
//! Here is the rebalance one by one; the one of all at once is in `all_at_once`. One by one is incremental: a member keeps
//! what stays its own and goes on reading it while the rest moves. A partition is handed over in two polls of its owner: the
//! first says it is asked back, the second gives it up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assignment::{Subscriber, range_assignment};
use super::coordinator::{MemberId, News};
use super::member::Member;
use crate::log::TopicPartition;

/// How partitions change hands when members come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rebalancing {
    /// One by one, as Kafka's KIP-848 does: a member keeps what stays its own and goes on reading it.
    #[default]
    OneByOne,
    /// All at once, as Kafka's classic protocol does with its range assignor: see `all_at_once.rs`.
    AllAtOnce,
}

/// The members of one group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) rebalancing: Rebalancing,
    /// Where everything moves at once: members are giving everything up, and nobody knows the next assignment yet.
    pub(super) in_round: bool,
    /// Grows with each change of membership.
    pub(super) generation: u64,
    pub(super) members: BTreeMap<MemberId, Member>,
}

impl Group {
    pub(super) fn new(rebalancing: Rebalancing) -> Self {
        Self { rebalancing, ..Self::default() }
    }

    /// Divides the partitions anew after a change of membership; returns the members that have something to do.
    pub(super) fn rebalance(&mut self, now: Duration) -> Vec<MemberId> {
        if self.rebalancing == Rebalancing::AllAtOnce {
            return self.begin_round(now);
        }
        self.divide(now);
        self.unsettled()
    }

    /// Sets what each member shall own: a new generation.
    pub(super) fn divide(&mut self, now: Duration) {
        self.generation += 1;
        let active: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| !member.is_expelled()).map(|(id, _)| *id).collect();
        let subscribers: Vec<Subscriber<'_>> = active
            .iter()
            .map(|id| &self.members[id])
            .map(|member| Subscriber { identity: member.identity(), topics: &member.topics })
            .collect();
        let targets = range_assignment(&subscribers);
        for (id, target) in active.iter().zip(targets) {
            if let Some(member) = self.members.get_mut(id) {
                member.aim(target, now);
            }
        }
    }

    /// One member polls: what has it to be told, and who else can go on because of it.
    pub(super) fn poll(&mut self, id: MemberId, now: Duration) -> (News, Vec<MemberId>) {
        if self.rebalancing == Rebalancing::AllAtOnce {
            return self.poll_at_once(id, now);
        }
        let mut wake = self.give_up(id, now);
        wake.extend(self.expel_silent(now));
        if let Some(lost) = self.members.get_mut(&id).and_then(|member| member.lost.take()) {
            wake.extend(self.rebalance(now));
            // What it had given up already is no loss.
            if !lost.is_empty() {
                return (News::Lost(lost.into_iter().collect()), wake);
            }
        }
        let Some(member) = self.members.get_mut(&id) else {
            return (News::Nothing { again_at: None }, wake);
        };
        if member.is_settled() {
            return (News::Nothing { again_at: None }, wake);
        }
        let revoked: BTreeSet<_> = member.owned.difference(&member.target).cloned().collect();
        if !revoked.is_empty() {
            member.revoking.clone_from(&revoked);
            return (News::Revoked(revoked.into_iter().collect()), wake);
        }
        let free = self.free_for(id);
        if free.is_empty() {
            return (News::Nothing { again_at: self.next_deadline() }, wake);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.owned.extend(free.iter().cloned());
        }
        (News::Assigned(free), wake)
    }

    /// Finishes the revocation that the member's last poll told it of.
    fn give_up(&mut self, id: MemberId, now: Duration) -> Vec<MemberId> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.last_poll = now;
        if member.revoking.is_empty() {
            return Vec::new();
        }
        for partition in std::mem::take(&mut member.revoking) {
            member.owned.remove(&partition);
        }
        member.awaited_since = None;
        member.note_awaited(now);
        self.unsettled()
    }

    /// Takes everything from members that others wait for and that have been silent for their time-out.
    fn expel_silent(&mut self, now: Duration) -> Vec<MemberId> {
        self.expel(now, Member::deadline)
    }

    /// Takes everything from members whose deadline has come.
    pub(super) fn expel(&mut self, now: Duration, deadline: fn(&Member) -> Option<Duration>) -> Vec<MemberId> {
        let mut expelled = false;
        for member in self.members.values_mut() {
            if deadline(member).is_some_and(|deadline| deadline <= now) {
                member.expel();
                expelled = true;
            }
        }
        if expelled { self.rebalance(now) } else { Vec::new() }
    }

    /// What the member shall own, does not own yet, and nobody else owns.
    fn free_for(&self, id: MemberId) -> Vec<TopicPartition> {
        let Some(member) = self.members.get(&id) else { return Vec::new() };
        let others = || self.members.iter().filter(|(other, _)| **other != id).map(|(_, member)| member);
        member
            .target
            .difference(&member.owned)
            .filter(|partition| others().all(|other| !other.owned.contains(*partition)))
            .cloned()
            .collect()
    }

    fn unsettled(&self) -> Vec<MemberId> {
        self.members.iter().filter(|(_, member)| !member.is_settled()).map(|(id, _)| *id).collect()
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.members.values().filter_map(Member::deadline).min()
    }
}
