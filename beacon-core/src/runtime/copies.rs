//! Which tasks a process keeps standby copies of: pure.
//!
//! Each process ranks the tasks by a hash of its own name and keeps the first of those it does not own, which spreads copies
//! without making a promise about each task.

use std::collections::BTreeSet;

use crate::codec::murmur2;
use crate::task::TaskId;

/// The copies a process keeps: the first `count` tasks in its own order (rendezvous hashing, Thaler and Ravishankar
/// 1998) that none of its threads claims.
pub(super) fn chosen(instance: &str, partitions: u32, claimed: &BTreeSet<TaskId>, count: u32) -> BTreeSet<TaskId> {
    let mut ranked: Vec<_> = (0..partitions)
        .filter(|partition| !claimed.contains(&TaskId::Keyed(*partition)))
        .map(|partition| (murmur2(format!("{partition} of {instance}").as_bytes()), partition))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(count as usize).map(|(_, partition)| TaskId::Keyed(partition)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keyed(partitions: impl IntoIterator<Item = u32>) -> BTreeSet<TaskId> {
        partitions.into_iter().map(TaskId::Keyed).collect()
    }

    #[test]
    fn copies_are_of_tasks_that_nobody_here_claims() {
        let claimed = keyed([0, 1]);
        assert_eq!(chosen("a", 4, &claimed, 8), keyed([2, 3]));
        assert_eq!(chosen("a", 4, &claimed, 1).len(), 1);
        assert!(chosen("a", 4, &claimed, 0).is_empty());
    }

    #[test]
    fn processes_choose_differently_so_that_most_tasks_have_a_copy() {
        let mut copies: BTreeMap<TaskId, u32> = BTreeMap::new();
        for instance in 0..8 {
            for id in chosen(&instance.to_string(), 32, &BTreeSet::new(), 12) {
                *copies.entry(id).or_default() += 1;
            }
        }
        // Three copies a task on average; chance leaves a few without.
        assert!(copies.len() >= 28, "{copies:?}");
        assert!(copies.values().all(|count| *count < 8), "{copies:?}");
    }

    #[test]
    fn a_choice_changes_only_by_what_is_claimed() {
        let before = chosen("b", 16, &BTreeSet::new(), 6);
        let taken = *before.first().expect("six");
        let after = chosen("b", 16, &BTreeSet::from([taken]), 6);
        assert_eq!(before.difference(&after).collect::<Vec<_>>(), [&taken]);
    }
}
