//! When the stores of tasks may begin to tidy up.
//!
//! Merging files takes a core for seconds after a restore, and the first answers of a process that starts would wait for
//! it. So it begins when nothing has been restored for a moment; and at last when restoring takes so long that reads
//! suffer.

use std::time::Duration;

use super::thread::StreamThread;

/// Nothing has been restored for so long.
const QUIET: Duration = Duration::from_secs(2);
/// However long restoring takes.
const LATEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// When tasks were last told to begin; at first, when the thread began.
    told: Option<Duration>,
    restored: Option<Duration>,
}

impl Upkeep {
    /// Whether tasks are to be told. `restoring`: whether a task of this process is on its way.
    fn is_due(&mut self, now: Duration, restoring: bool) -> bool {
        let told = *self.told.get_or_insert(now);
        if restoring {
            self.restored = Some(now);
        }
        let quiet = now.saturating_sub(self.restored.unwrap_or(told).max(told));
        quiet >= QUIET || now.saturating_sub(told) >= LATEST
    }

    /// All tasks of now have been told.
    fn all_told(&mut self, now: Duration) {
        self.told = Some(now);
    }
}

impl StreamThread {
    /// Tells the stores that may begin, one a turn: each waits for its disk. A task opened since the last time is told the
    /// next.
    pub(super) fn begin_upkeep(&mut self) {
        let now = self.environment.now();
        if !self.upkeep.is_due(now, self.shared.stats.is_restoring()) {
            return;
        }
        let owned = self.slots.iter_mut().map(|(id, slot)| (*id, &mut slot.task));
        for (id, task) in owned.chain(self.standbys.tasks()) {
            match task.begin_upkeep() {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(task = %id, %error, "a store cannot merge its files yet; trying again"),
            }
        }
        self.upkeep.all_told(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_if_due(upkeep: &mut Upkeep, seconds: u64, restoring: bool) -> bool {
        let now = Duration::from_secs(seconds);
        let due = upkeep.is_due(now, restoring);
        if due {
            upkeep.all_told(now);
        }
        due
    }

    #[test]
    fn upkeep_waits_for_restores_but_not_for_ever() {
        let mut upkeep = Upkeep::default();
        let due: Vec<_> = (100..200).filter(|now| told_if_due(&mut upkeep, *now, *now < 140)).collect();
        assert_eq!(due[..3], [130, 141, 143], "{due:?}");
    }

    #[test]
    fn a_thread_that_restores_nothing_begins_soon() {
        let mut upkeep = Upkeep::default();
        let due: Vec<_> = (100..106).filter(|now| told_if_due(&mut upkeep, *now, false)).collect();
        assert_eq!(due, [102, 104]);
    }

    #[test]
    fn it_stays_due_until_all_are_told() {
        let mut upkeep = Upkeep::default();
        let due: Vec<_> = (100..105).filter(|now| upkeep.is_due(Duration::from_secs(*now), false)).collect();
        assert_eq!(due, [102, 103, 104]);
    }
}
