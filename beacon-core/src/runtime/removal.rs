//! Local state that cannot be gone on from: removed with a word why, and restored like that of a lost disk.
//!
//! What it deliberately does not do: it repairs nothing. Of a store with a damaged block it is unknown which writes are
//! gone, and all of them are in the changelog or in a checkpoint.

use std::collections::BTreeMap;
use std::fmt;

use super::stores::TaskStores;
use crate::state::StateError;
use crate::task::{Task, TaskError, TaskId, TaskSettings};
use crate::topology::Topology;

/// How often damaged state of one task is removed before it is a person's turn: a disk that damages it again, or a
/// checkpoint that brings the damage along, would have the task restored for ever.
const MOST: u32 = 3;

/// Why a store cannot be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is of another history than the changelog: ahead of it, of a topic that was made again, or half of a store.
    Foreign,
    /// Its files are missing or hold other bytes than were written. The text names the path.
    Damaged(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it does not belong to this changelog"),
            Self::Damaged(reason) => write!(f, "it is damaged: {reason}"),
        }
    }
}

/// Removes the local state of tasks.
#[derive(Debug, Default)]
pub(super) struct Removals {
    damaged: BTreeMap<TaskId, u32>,
}

impl Removals {
    /// Opens a task over what its store holds; over an empty one when that is damaged.
    ///
    /// # Errors
    /// Those of [`TaskStores::open`], [`Task::new`] and [`Removals::remove`].
    pub(super) fn open(
        &mut self,
        topology: &Topology,
        settings: &TaskSettings,
        stores: &dyn TaskStores,
    ) -> Result<Task, TaskError> {
        loop {
            let opened = match stores.open(settings.id) {
                Ok(store) => Task::new(topology, settings, store),
                Err(error) => Err(error.into()),
            };
            match opened {
                Err(TaskError::State(StateError::Damaged(reason))) => {
                    self.remove(settings.id, &Unusable::Damaged(reason), stores)?;
                }
                opened => return opened,
            }
        }
    }

    /// Removes the state of a task that is not open.
    ///
    /// # Errors
    /// When it cannot be removed, or was damaged too often.
    pub(super) fn remove(&mut self, id: TaskId, why: &Unusable, stores: &dyn TaskStores) -> Result<(), StateError> {
        if let Unusable::Damaged(reason) = why {
            let removed = self.damaged.entry(id).or_default();
            if *removed >= MOST {
                return Err(StateError::Damaged(format!(
                    "{reason}; it was removed and restored {removed} times since this process began, and is damaged \
                     again: move the state directory to another disk; if that does not help, the newest checkpoint of \
                     the task holds the damage: remove its manifest"
                )));
            }
            *removed += 1;
        }
        tracing::warn!(task = %id, %why, "local state cannot be used; removing it and restoring the task");
        stores.wipe(id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::runtime::TableMemory;
    use crate::state::{Intake, MemoryIntake, MemoryStore, Store};
    use crate::topology::{Topic, TopologyBuilder};

    /// Stores on a disk that damages what it is given, so many times.
    #[derive(Default)]
    struct Rotten {
        times: u32,
        wiped: AtomicU32,
    }

    impl TaskStores for Rotten {
        fn open(&self, task: TaskId) -> Result<Box<dyn Store>, StateError> {
            if self.wiped.load(Relaxed) < self.times {
                return Err(StateError::Damaged(format!("/state/task-{task}: a bad block")));
            }
            Ok(Box::new(MemoryStore::default()))
        }

        fn wipe(&self, _: TaskId) -> Result<(), StateError> {
            self.wiped.fetch_add(1, Relaxed);
            Ok(())
        }

        fn intake(&self, _: TaskId) -> Result<Arc<dyn Intake>, StateError> {
            Ok(Arc::new(MemoryIntake::default()))
        }

        fn outlive_the_process(&self) -> bool {
            true
        }

        fn tables(&self) -> TableMemory {
            TableMemory::new(0)
        }
    }

    fn topology() -> Topology {
        let app = TopologyBuilder::new("app");
        app.source("words", &Topic::<String>::new("words")).map("same", |word| word);
        app.build().expect("a valid topology")
    }

    #[test]
    fn damaged_state_is_removed_and_the_task_begins_with_nothing() {
        let (mut removals, stores) = (Removals::default(), Rotten { times: 1, ..Rotten::default() });
        let settings = TaskSettings { id: TaskId::Keyed(1), partitions: 4 };
        let task = removals.open(&topology(), &settings, &stores).expect("opened");
        assert_eq!((task.changelog_end(), stores.wiped.load(Relaxed)), (None, 1));
    }

    #[test]
    fn a_disk_that_damages_state_again_and_again_is_told_with_the_way_out() {
        let (mut removals, stores) = (Removals::default(), Rotten { times: u32::MAX, ..Rotten::default() });
        let settings = TaskSettings { id: TaskId::Keyed(1), partitions: 4 };
        let error = removals.open(&topology(), &settings, &stores).err().expect("it never opens").to_string();
        assert_eq!(stores.wiped.load(Relaxed), MOST);
        for part in ["/state/task-1: a bad block", "3 times", "another disk", "remove its manifest"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
        // Another task of the same disk has its own three.
        let settings = TaskSettings { id: TaskId::Keyed(2), partitions: 4 };
        assert!(removals.open(&topology(), &settings, &stores).is_err());
        assert_eq!(stores.wiped.load(Relaxed), 2 * MOST);
    }
}
