//! One member of a group: what it owns, what it shall own, and why a commit of it is refused.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::log::TopicPartition;

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// A newer session has the same transactional id.
    TransactionalId(String),
    /// A newer session of the group has the same instance id.
    InstanceId(String),
    /// The session has left its group.
    Left,
}

impl fmt::Display for Fencing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransactionalId(id) => write!(f, "a newer session has the transactional id {id}"),
            Self::InstanceId(id) => write!(f, "a newer session has the instance id {id}"),
            Self::Left => f.write_str("the session has left its group"),
        }
    }
}

/// Why a commit is refused; nothing of it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The session is over.
    Fenced(Fencing),
    /// The member was silent for too long and was expelled; its next poll tells it what it lost.
    Expelled,
    /// The commit carries the offset of a partition that is not this member's.
    NotOwned(TopicPartition),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced(why) => why.fmt(f),
            Self::Expelled => {
                f.write_str("the member did not poll for its session time-out and was expelled; poll to go on")
            }
            Self::NotOwned(partition) => write!(f, "{partition} is not owned by this member"),
        }
    }
}

/// Where a member of a group that moves everything at once is in the round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// It works by the assignment it was told of last, and hears at its next poll of a round that has begun.
    #[default]
    Working,
    /// It has given everything up and waits for the others.
    Waiting,
    /// Its next assignment is there and it has not been told.
    Given,
}

/// A member as its group keeps it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) transactional_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) topics: Vec<(Arc<str>, u32)>,
    pub(super) timeout: Duration,
    /// Assigned and not given up yet.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// What it shall own when the rebalance is over.
    pub(super) target: BTreeSet<TopicPartition>,
    /// The part of `owned` that the last poll asked back; given up by the next poll.
    pub(super) revoking: BTreeSet<TopicPartition>,
    /// What an expulsion took away, until a poll has told it.
    pub(super) lost: Option<BTreeSet<TopicPartition>>,
    pub(super) committing: bool,
    pub(super) last_poll: Duration,
    /// Since when others wait for something this member owns.
    pub(super) awaited_since: Option<Duration>,
    /// Where everything moves at once: see [`Place`].
    pub(super) place: Place,
    /// It heard of a revocation and not of what followed: it is told of its next assignment even if that is empty.
    pub(super) expects: bool,
}

impl Member {
    /// What members are ordered by. A restarted member has the same one.
    pub(super) fn identity(&self) -> &str {
        self.instance_id.as_deref().unwrap_or(&self.transactional_id)
    }

    pub(super) fn is_expelled(&self) -> bool {
        self.lost.is_some()
    }

    /// Takes everything from it. What it was asked for it gives up without being told again.
    pub(super) fn expel(&mut self) {
        self.lost = Some(&self.owned - &std::mem::take(&mut self.revoking));
        self.owned.clear();
        self.target.clear();
        self.awaited_since = None;
        self.place = Place::Working;
    }

    /// Whether it owns exactly what it shall.
    pub(super) fn is_settled(&self) -> bool {
        self.owned == self.target
    }

    /// When it is expelled unless it polls; `None` while nobody waits for it.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.committing || self.is_expelled() {
            return None;
        }
        self.awaited_since.map(|since| since.max(self.last_poll) + self.timeout)
    }

    /// When its session time-out is over, waited for or not.
    pub(super) fn session_end(&self) -> Option<Duration> {
        (!self.committing && !self.is_expelled()).then(|| self.last_poll + self.timeout)
    }

    /// Sets what it shall own, and since when it is waited for.
    pub(super) fn aim(&mut self, target: BTreeSet<TopicPartition>, now: Duration) {
        self.target = target;
        self.note_awaited(now);
    }

    pub(super) fn note_awaited(&mut self, now: Duration) {
        self.awaited_since = if self.owned.is_subset(&self.target) { None } else { self.awaited_since.or(Some(now)) };
    }
}
