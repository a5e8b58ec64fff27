//! All groups and all transactional ids of a log: joining, fencing, polling, and which commit may go ahead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::group::{Group, Rebalancing};
use super::member::{Fencing, Member, Place, Refusal};
use crate::log::TopicPartition;

/// Names a session; never used twice by one coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u64);

/// A session that wants to join.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The group.
    pub group: String,
    /// Fences older sessions with the same one, in any group.
    pub transactional_id: String,
    /// Fences older members of the group with the same one.
    pub instance_id: Option<String>,
    /// What to read, with partition counts.
    pub topics: Vec<(Arc<str>, u32)>,
    /// How long others wait for this member before it is expelled.
    pub session_timeout: Duration,
}

/// What becomes of an attempt to join.
#[derive(Debug, PartialEq, Eq)]
pub enum Join {
    /// A session that would be fenced is in the middle of a commit: try again when it has ended.
    Wait,
    /// Joined; older sessions are fenced.
    Joined {
        /// The new member.
        member: MemberId,
        /// Sessions that have something to do because of it: poll them.
        wake: Vec<MemberId>,
    },
}

/// What a poll has to tell before records.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The session is over.
    Fenced(Fencing),
    /// Taken by others; the member has joined again.
    Lost(Vec<TopicPartition>),
    /// Asked back; given up by the next poll.
    Revoked(Vec<TopicPartition>),
    /// Now this member's own.
    Assigned(Vec<TopicPartition>),
    /// Nothing: read records. Poll again at that time at the latest, somebody may have to be expelled then.
    Nothing {
        /// On the clock of the caller's `now`.
        again_at: Option<Duration>,
    },
}

/// The answer to a poll.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// For the member that polled.
    pub news: News,
    /// Other sessions that have something to do because of it.
    pub wake: Vec<MemberId>,
}

#[derive(Debug)]
enum Standing {
    In(String),
    Out(Fencing),
}

/// The groups of a log.
#[derive(Debug, Default)]
pub struct Coordinator {
    rebalancing: Rebalancing,
    groups: BTreeMap<String, Group>,
    sessions: BTreeMap<MemberId, Standing>,
    last_id: u64,
}

impl Coordinator {
    /// One without groups, where partitions change hands in this way.
    pub fn new(rebalancing: Rebalancing) -> Self {
        Self { rebalancing, ..Self::default() }
    }

    /// How partitions change hands.
    pub fn rebalancing(&self) -> Rebalancing {
        self.rebalancing
    }

    /// Joins a group, fencing older sessions with the same transactional or instance id.
    ///
    /// The fenced session's partitions are free at once: the new one, if it has the same identity, gets them with its
    /// first poll.
    pub fn join(&mut self, joining: Joining, now: Duration) -> Join {
        let predecessors = self.predecessors(&joining);
        if predecessors.iter().any(|(id, _)| self.member(*id).is_some_and(|member| member.committing)) {
            return Join::Wait;
        }
        let inherited = self.inherited(&joining);
        let mut wake = Vec::new();
        for (id, fencing) in predecessors {
            match &inherited {
                // Its group does not notice.
                Some((heir_of, _)) if *heir_of == id => self.replace(id, fencing),
                _ => wake.extend(self.remove(id, fencing, now)),
            }
            wake.push(id);
        }
        self.last_id += 1;
        let id = MemberId(self.last_id);
        self.sessions.insert(id, Standing::In(joining.group.clone()));
        let rebalancing = self.rebalancing;
        let group = self.groups.entry(joining.group).or_insert_with(|| Group::new(rebalancing));
        let member = Member {
            transactional_id: joining.transactional_id,
            instance_id: joining.instance_id,
            topics: joining.topics,
            timeout: joining.session_timeout,
            owned: Default::default(),
            target: Default::default(),
            revoking: Default::default(),
            lost: None,
            committing: false,
            last_poll: now,
            awaited_since: None,
            place: Place::Waiting,
            expects: false,
        };
        group.members.insert(id, member);
        match inherited {
            Some((_, target)) => group.give(id, target),
            None => wake.extend(group.rebalance(now)),
        }
        Join::Joined { member: id, wake }
    }

    /// A session polls: the last revocation is given up, and it learns what is new.
    pub fn poll(&mut self, id: MemberId, now: Duration) -> Turn {
        match self.sessions.get(&id) {
            Some(Standing::In(name)) => match self.groups.get_mut(name) {
                Some(group) => {
                    let (news, wake) = group.poll(id, now);
                    Turn { news, wake }
                }
                None => Turn { news: News::Fenced(Fencing::Left), wake: Vec::new() },
            },
            Some(Standing::Out(fencing)) => Turn { news: News::Fenced(fencing.clone()), wake: Vec::new() },
            None => Turn { news: News::Fenced(Fencing::Left), wake: Vec::new() },
        }
    }

    /// Takes back an assignment that could not be told to the member (its offsets could not be read): the next poll
    /// says it again.
    pub fn put_back(&mut self, id: MemberId, partitions: &[TopicPartition]) {
        if let Some(member) = self.member_mut(id) {
            for partition in partitions {
                member.owned.remove(partition);
            }
            // Where everything moves at once: still to be told, whatever becomes of it meanwhile.
            member.place = Place::Given;
            member.expects = true;
        }
    }

    /// Lets a commit with the offsets of these partitions through, or says why not.
    ///
    /// Until [`Coordinator::end_commit`] the session is neither fenced nor expelled: its partitions and its
    /// transactional id cannot change hands under a commit that was let through.
    pub fn begin_commit<'a>(
        &mut self,
        id: MemberId,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), Refusal> {
        if let Some(Standing::Out(fencing)) = self.sessions.get(&id) {
            return Err(Refusal::Fenced(fencing.clone()));
        }
        let Some(member) = self.member_mut(id) else { return Err(Refusal::Fenced(Fencing::Left)) };
        if member.is_expelled() {
            return Err(Refusal::Expelled);
        }
        for partition in partitions {
            if !member.owned.contains(partition) {
                return Err(Refusal::NotOwned(partition.clone()));
            }
        }
        member.committing = true;
        Ok(())
    }

    /// Notes that the commit let through has ended, one way or the other.
    pub fn end_commit(&mut self, id: MemberId) {
        if let Some(member) = self.member_mut(id) {
            member.committing = false;
        }
    }

    /// Expels members that did not poll for their session time-out, whether others wait for them or not: what a log does
    /// whose members can die without it. Returns the sessions that have something to do because of it.
    pub fn expel_silent(&mut self, now: Duration) -> Vec<MemberId> {
        self.groups.values_mut().flat_map(|group| group.expel(now, Member::session_end)).collect()
    }

    /// Leaves the group; returns the sessions that have something to do because of it.
    pub fn leave(&mut self, id: MemberId, now: Duration) -> Vec<MemberId> {
        let wake = self.remove(id, Fencing::Left, now);
        self.sessions.remove(&id);
        wake
    }

    /// How often the membership of a group has changed; 0 for a group nobody ever joined.
    pub fn generation(&self, group: &str) -> u64 {
        self.groups.get(group).map_or(0, |group| group.generation)
    }

    /// How the members of a group named themselves.
    pub fn members(&self, group: &str) -> Vec<String> {
        let members = self.groups.get(group).into_iter().flat_map(|group| group.members.values());
        members.map(|member| member.instance_id.clone().unwrap_or_else(|| member.transactional_id.clone())).collect()
    }

    fn predecessors(&self, joining: &Joining) -> Vec<(MemberId, Fencing)> {
        let mut found = Vec::new();
        for (name, group) in &self.groups {
            for (id, member) in &group.members {
                if member.transactional_id == joining.transactional_id {
                    found.push((*id, Fencing::TransactionalId(joining.transactional_id.clone())));
                } else if *name == joining.group
                    && let Some(instance) = &joining.instance_id
                    && member.instance_id.as_ref() == Some(instance)
                {
                    found.push((*id, Fencing::InstanceId(instance.clone())));
                }
            }
        }
        found
    }

    /// What a static member takes over from its ghost: where everything moves at once, a group at work goes on as if the two
    /// were one (KIP-345).
    fn inherited(&self, joining: &Joining) -> Option<(MemberId, BTreeSet<TopicPartition>)> {
        let group = self.groups.get(&joining.group)?;
        let instance = joining.instance_id.as_ref()?;
        let (id, ghost) = group.members.iter().find(|(_, member)| member.instance_id.as_ref() == Some(instance))?;
        let unnoticed = self.rebalancing == Rebalancing::AllAtOnce
            && !group.in_round
            && !ghost.is_expelled()
            && ghost.topics == joining.topics;
        unnoticed.then(|| (*id, ghost.target.clone()))
    }

    fn replace(&mut self, id: MemberId, fencing: Fencing) {
        if let Some(Standing::In(name)) = self.sessions.insert(id, Standing::Out(fencing))
            && let Some(group) = self.groups.get_mut(&name)
        {
            group.members.remove(&id);
        }
    }

    fn remove(&mut self, id: MemberId, fencing: Fencing, now: Duration) -> Vec<MemberId> {
        let Some(Standing::In(name)) = self.sessions.get(&id) else { return Vec::new() };
        let wake = self.groups.get_mut(name).map_or_else(Vec::new, |group| {
            group.members.remove(&id);
            group.rebalance(now)
        });
        self.sessions.insert(id, Standing::Out(fencing));
        wake
    }

    fn member(&self, id: MemberId) -> Option<&Member> {
        match self.sessions.get(&id) {
            Some(Standing::In(name)) => self.groups.get(name)?.members.get(&id),
            _ => None,
        }
    }

    fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        match self.sessions.get(&id) {
            Some(Standing::In(name)) => self.groups.get_mut(name)?.members.get_mut(&id),
            _ => None,
        }
    }
}
