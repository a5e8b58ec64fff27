//! Known bugs, planted where they once were or could have been, so that simulation can show that it finds them.
//!
//! They exist in this crate's own unit tests only: everywhere else [`is_in`] is a constant `false`, and what stands
//! behind it is not compiled into anything. Which one is in is a matter of the thread, so that tests run side by side.

/// A bug somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A commit of timers alone carries no offset, so that the group does not fence a zombie.
    OffsetsLeftOut,
    /// What a task had not committed when it was asked back or lost goes into the next commit of its old owner.
    OverlayKept,
    /// Restore ends at the last stable offset, so that a commit whose markers are on their way is not seen.
    StableOffsetRestore,
    /// State is applied before the log has said "committed".
    #[cfg(test)]
    AppliedBeforeCommit,
    /// A task asked back and given again is taken for current, though it may have been another's in between.
    ParkedTaskTrusted,
    /// A task asked back keeps what it could not commit, and goes on with it when it is given again.
    ParkedWithItsWork,
    /// Who finds its records trimmed away takes it for a loss of the whole group, though it is only late to hear of its own.
    TrimTakenForLoss,
    /// After a downtime, overdue timers fire before the backlog that cancels them is read.
    TimersNotHeldBack,
}

/// Whether this bug is in.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is_in(_: Planted) -> bool {
    false
}

#[cfg(test)]
pub(crate) use in_tests::{is_in, plant};

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;

    use super::Planted;

    thread_local! {
        static IN: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    pub(crate) fn is_in(bug: Planted) -> bool {
        IN.get() == Some(bug)
    }

    /// Plants a bug in this thread until the guard goes.
    pub(crate) fn plant(bug: Planted) -> Guard {
        IN.set(Some(bug));
        Guard
    }

    pub(crate) struct Guard;

    impl Drop for Guard {
        fn drop(&mut self) {
            IN.set(None);
        }
    }
}
