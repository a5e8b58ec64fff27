//! A group where everything moves at once, as under Kafka's classic protocol with its range assignor.
//!
//! A change of membership begins a *round*. Each member hears of it at its next poll: everything it owns is asked back, and
//! with the poll after that it has given it up and waits. When all wait, those who were silent for too long being expelled,
//! the partitions are divided, and each is told with its next poll what is its own from now on. So there is a time in which
//! nobody owns anything; and whoever stands still in it, or is expelled from it, hears nothing of what was between: what it
//! had may have been somebody else's for a while when it is told that it is its own again.
//!
//! A static member that comes back to a group that is in no round takes its ghost's place without one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::coordinator::{MemberId, News};
use super::group::Group;
use super::member::{Member, Place};
use crate::log::TopicPartition;

impl Group {
    /// Begins a round, or begins it anew: an assignment nobody was told of is void.
    pub(super) fn begin_round(&mut self, now: Duration) -> Vec<MemberId> {
        self.in_round = true;
        for member in self.members.values_mut().filter(|member| member.place == Place::Given) {
            member.place = Place::Working;
        }
        self.end_round(now);
        self.members.keys().copied().collect()
    }

    /// Divides the partitions when all have given up theirs. Whether they have.
    fn end_round(&mut self, now: Duration) -> bool {
        let mut active = self.members.values().filter(|member| !member.is_expelled()).peekable();
        if !self.in_round || active.peek().is_none() || active.any(|member| member.place != Place::Waiting) {
            return false;
        }
        self.in_round = false;
        self.divide(now);
        for member in self.members.values_mut().filter(|member| !member.is_expelled()) {
            member.place = Place::Given;
        }
        true
    }

    /// Makes this a member's own, to be told at its next poll, without a round.
    pub(super) fn give(&mut self, id: MemberId, target: BTreeSet<TopicPartition>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.target = target;
            member.place = Place::Given;
        }
    }

    /// As [`Group::poll`].
    pub(super) fn poll_at_once(&mut self, id: MemberId, now: Duration) -> (News, Vec<MemberId>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.last_poll = now;
        }
        let mut wake = self.expel(now, Member::session_end);
        let nothing = || News::Nothing { again_at: None };
        let Some(member) = self.members.get_mut(&id) else { return (nothing(), wake) };
        if let Some(lost) = member.lost.take() {
            member.place = Place::Waiting;
            wake.extend(self.begin_round(now));
            if !lost.is_empty() {
                return (News::Lost(lost.into_iter().collect()), wake);
            }
        } else if self.in_round && member.place == Place::Working {
            if member.owned.is_empty() || member.owned == member.revoking {
                member.owned.clear();
                member.revoking.clear();
                member.place = Place::Waiting;
            } else {
                member.revoking.clone_from(&member.owned);
                member.expects = true;
                return (News::Revoked(member.owned.iter().cloned().collect()), wake);
            }
        }
        if self.end_round(now) {
            wake.extend(self.members.keys().copied());
        }
        (self.members.get_mut(&id).and_then(told).unwrap_or_else(nothing), wake)
    }
}

/// Tells a member of its next assignment, if it is there.
fn told(member: &mut Member) -> Option<News> {
    if member.place != Place::Given {
        return None;
    }
    member.place = Place::Working;
    member.owned.clone_from(&member.target);
    let expects = std::mem::take(&mut member.expects);
    (expects || !member.owned.is_empty()).then(|| News::Assigned(member.owned.iter().cloned().collect()))
}
