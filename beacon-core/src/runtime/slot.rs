//! A task in its thread: what it still has to restore, and the backlog its timers wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::restore::Restore;
use crate::log::{Offset, TopicPartition};
use crate::planted::{self, Planted};
use crate::task::Task;

pub(super) struct Slot {
    pub(super) task: Task,
    /// `None`: whole.
    pub(super) restore: Option<Restore>,
    pub(super) backlog: Backlog,
    /// Whether records may still be on their way to this task through internal topics; see
    /// [`Upstream`](super::upstream::Upstream).
    pub(super) awaits_upstream: bool,
    /// It begins no later than at the start of all inputs that it was opened with: as a new group does.
    pub(super) from_the_start: bool,
    /// By the environment's clock.
    pub(super) last_flush: Duration,
}

impl Slot {
    /// Whether processing-time timers may fire: nothing that could cancel them was there before this task was ours
    /// and is still unread.
    pub(super) fn may_fire(&self) -> bool {
        let held_back = self.awaits_upstream || !self.backlog.is_read();
        self.restore.is_none() && (!held_back || planted::is_in(Planted::TimersNotHeldBack))
    }
}

/// Inputs not yet read up to where they ended when it mattered.
///
/// What was read counts for good only when it is committed: an aborted commit makes the backlog unread again.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    inputs: BTreeMap<TopicPartition, Wanted>,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    end: Offset,
    read: bool,
}

impl Backlog {
    /// The input has to be read up to `end`.
    pub(super) fn add(&mut self, input: TopicPartition, end: Offset) {
        self.inputs.insert(input, Wanted { end, read: false });
    }

    /// Everything before `next` was read.
    pub(super) fn note(&mut self, input: &TopicPartition, next: Offset) {
        if let Some(wanted) = self.inputs.get_mut(input) {
            wanted.read |= next >= wanted.end;
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.inputs.values().all(|wanted| wanted.read)
    }

    /// Whether nothing is left, not even for the case of an abort.
    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    pub(super) fn committed(&mut self) {
        self.inputs.retain(|_, wanted| !wanted.read);
    }

    pub(super) fn dropped(&mut self) {
        for wanted in self.inputs.values_mut() {
            wanted.read = false;
        }
    }

    pub(super) fn remove(&mut self, input: &TopicPartition) {
        self.inputs.remove(input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abort_makes_the_backlog_unread_again() {
        let (a, b) = (TopicPartition::new("a", 0), TopicPartition::new("b", 0));
        let mut backlog = Backlog::default();
        backlog.add(a.clone(), 5);
        backlog.add(b.clone(), 3);
        backlog.note(&a, 5);
        backlog.committed();
        backlog.note(&b, 2);
        assert!(!backlog.is_read());
        backlog.note(&b, 4);
        assert!(backlog.is_read());
        backlog.dropped();
        assert!(!backlog.is_read(), "b is read again");
        backlog.note(&b, 3);
        backlog.committed();
        backlog.dropped();
        assert!(backlog.is_read() && backlog.is_empty());
    }
}
