//! The group model behind one lock, with the signals of its members.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::clock::Clock;
use super::signal::Signal;
use super::sync::lock;
use crate::log::TopicPartition;
use crate::log::model::{Coordinator, Join, Joining, MemberId, News, Refusal};

/// Who is a member of which group.
#[derive(Default)]
pub(super) struct Membership {
    state: Mutex<State>,
    commit_ended: Condvar,
}

#[derive(Default)]
struct State {
    coordinator: Coordinator,
    signals: HashMap<MemberId, Arc<Signal>>,
}

impl State {
    fn wake(&self, members: &[MemberId]) {
        for signal in members.iter().filter_map(|member| self.signals.get(member)) {
            signal.raise();
        }
    }
}

impl Membership {
    /// Joins; waits for a commit in flight of the session that is fenced by it, which is the time of one disk write.
    pub(super) fn join(&self, joining: &Joining, signal: &Arc<Signal>, clock: &Clock) -> MemberId {
        let mut state = lock(&self.state);
        loop {
            match state.coordinator.join(joining.clone(), clock.now()) {
                Join::Joined { member, wake } => {
                    state.signals.insert(member, Arc::clone(signal));
                    state.wake(&wake);
                    return member;
                }
                Join::Wait => state = self.commit_ended.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub(super) fn poll(&self, member: MemberId, clock: &Clock) -> News {
        let mut state = lock(&self.state);
        let turn = state.coordinator.poll(member, clock.now());
        state.wake(&turn.wake);
        turn.news
    }

    /// How the members of a group named themselves.
    pub(super) fn members(&self, group: &str) -> Vec<String> {
        lock(&self.state).coordinator.members(group)
    }

    pub(super) fn put_back(&self, member: MemberId, partitions: &[TopicPartition]) {
        lock(&self.state).coordinator.put_back(member, partitions);
    }

    pub(super) fn begin_commit(&self, member: MemberId, offsets: &[(TopicPartition, u64)]) -> Result<(), Refusal> {
        lock(&self.state).coordinator.begin_commit(member, offsets.iter().map(|(partition, _)| partition))
    }

    pub(super) fn end_commit(&self, member: MemberId) {
        lock(&self.state).coordinator.end_commit(member);
        self.commit_ended.notify_all();
    }

    pub(super) fn leave(&self, member: MemberId, clock: &Clock) {
        let mut state = lock(&self.state);
        state.signals.remove(&member);
        let wake = state.coordinator.leave(member, clock.now());
        state.wake(&wake);
    }
}
