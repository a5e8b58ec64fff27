//! Which member of a group reads which partitions: Kafka's range assignment, as a pure function.
//!
//! It keeps no memory of earlier assignments. The same members always get the same partitions, which is what gives a
//! restarted member its old partitions back, and members keep most of theirs when others come and go, because ranges
//! shift only at their borders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::log::TopicPartition;

/// One member as the assignment sees it.
#[derive(Clone, Debug)]
pub struct Subscriber<'a> {
    /// What members are ordered by; stable across restarts, and unique in the group.
    pub identity: &'a str,
    /// Topics to read, with their partition counts.
    pub topics: &'a [(Arc<str>, u32)],
}

/// Divides the partitions among `members`; the result is in the order of `members`.
///
/// Each topic's partitions are cut into contiguous ranges, one for each subscriber in the order of identities, the
/// first ones longer by one when it does not come out even. Partition `p` of all topics with the same partition count
/// and the same subscribers therefore goes to the same member.
pub fn range_assignment(members: &[Subscriber<'_>]) -> Vec<BTreeSet<TopicPartition>> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&index| members[index].identity);
    let mut subscribers: BTreeMap<(&Arc<str>, u32), Vec<usize>> = BTreeMap::new();
    for &index in &order {
        for (topic, partitions) in members[index].topics {
            subscribers.entry((topic, *partitions)).or_default().push(index);
        }
    }
    let mut assigned = vec![BTreeSet::new(); members.len()];
    for ((topic, partitions), subscribers) in subscribers {
        let count = subscribers.len() as u32;
        let (share, longer) = (partitions / count, partitions % count);
        let mut next = 0;
        for (rank, &index) in subscribers.iter().enumerate() {
            let end = next + share + u32::from((rank as u32) < longer);
            assigned[index].extend((next..end).map(|p| TopicPartition::new(Arc::clone(topic), p)));
            next = end;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topics(list: &[(&str, u32)]) -> Vec<(Arc<str>, u32)> {
        list.iter().map(|(name, count)| (Arc::from(*name), *count)).collect()
    }

    fn partitions(set: &BTreeSet<TopicPartition>, topic: &str) -> Vec<u32> {
        set.iter().filter(|tp| &*tp.topic == topic).map(|tp| tp.partition).collect()
    }

    #[test]
    fn the_first_in_order_of_identity_gets_the_longer_range() {
        let topics = topics(&[("a", 5)]);
        let members =
            [Subscriber { identity: "two", topics: &topics }, Subscriber { identity: "one", topics: &topics }];
        let assigned = range_assignment(&members);
        assert_eq!(partitions(&assigned[1], "a"), [0, 1, 2]);
        assert_eq!(partitions(&assigned[0], "a"), [3, 4]);
    }

    proptest! {
        #[test]
        fn every_partition_has_one_owner_and_equal_counts_go_together(
            identities in proptest::collection::btree_set("[a-z]{1,4}", 1..7), count in 1u32..40,
        ) {
            let topics = topics(&[("a", count), ("b", count), ("c", count + 1)]);
            let members: Vec<_> =
                identities.iter().map(|identity| Subscriber { identity, topics: &topics }).collect();
            let assigned = range_assignment(&members);
            for (topic, count) in [("a", count), ("b", count), ("c", count + 1)] {
                let mut all: Vec<u32> = assigned.iter().flat_map(|set| partitions(set, topic)).collect();
                all.sort_unstable();
                prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
            for set in &assigned {
                prop_assert_eq!(partitions(set, "a"), partitions(set, "b"));
                prop_assert!(partitions(set, "a").len() as u32 >= count / members.len() as u32);
            }
        }
    }
}
