//! What the threads of a process know of each other's tasks: their stores are in one directory, and each is open once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::task::TaskId;

/// Which tasks the threads of this process own or are about to open, and which they keep open besides.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<BTreeMap<u32, Claim>>);

#[derive(Debug)]
struct Claim {
    owned: BTreeSet<TaskId>,
    kept: BTreeSet<TaskId>,
}

impl Claims {
    /// What thread `number` claims and keeps from now on.
    pub(super) fn set(&self, number: u32, owned: BTreeSet<TaskId>, kept: BTreeSet<TaskId>) {
        self.lock().insert(number, Claim { owned, kept });
    }

    /// Thread `number` is about to open this one as a copy: it may stand still in the middle of that.
    pub(super) fn begin_to_keep(&self, number: u32, task: TaskId) {
        let fresh = || Claim { owned: BTreeSet::new(), kept: BTreeSet::new() };
        self.lock().entry(number).or_insert_with(fresh).kept.insert(task);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks that any of them owns or is about to open.
    pub(super) fn all(&self) -> BTreeSet<TaskId> {
        self.lock().values().flat_map(|claim| &claim.owned).copied().collect()
    }

    /// Whether a thread of this process other than `number` may have the task open.
    pub(super) fn others_have(&self, number: u32, task: TaskId) -> bool {
        let claims = self.lock();
        let mut others = claims.iter().filter(|(other, _)| **other != number).map(|(_, claim)| claim);
        others.any(|claim| claim.owned.contains(&task) || claim.kept.contains(&task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_neighbour_owns_or_keeps_is_told_from_ones_own() {
        let only = |number| BTreeSet::from([TaskId::Keyed(number)]);
        let claims = Claims::default();
        claims.set(0, only(1), only(2));
        claims.set(1, only(3), BTreeSet::new());
        claims.begin_to_keep(1, TaskId::Keyed(4));
        let others_have =
            |number| (1..5).map(|task| claims.others_have(number, TaskId::Keyed(task))).collect::<Vec<_>>();
        assert_eq!(others_have(1), [true, true, false, false]);
        assert_eq!(others_have(0), [false, false, true, true]);
        assert_eq!(claims.all(), BTreeSet::from([1, 3].map(TaskId::Keyed)));
    }
}
