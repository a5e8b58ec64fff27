//! Where the partitions of a topic end for a transaction: written by the threads that hear of deliveries, read by its commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};

use super::raw::lock;

/// For each partition of a topic the offset after the last record written since the owner reset it.
///
/// librdkafka's threads note what was acknowledged, record by record: one store for each. It tells of one partition's records
/// one after the other and in their order, so that the last one noted is the highest.
#[derive(Default)]
pub(super) struct Ends {
    /// Of the partitions that the topic had at first; -1: nothing was written.
    ends: OnceLock<Box<[AtomicI64]>>,
    /// Of those that came later, or that nobody made room for.
    others: Mutex<BTreeMap<i32, i64>>,
}

impl Ends {
    /// Makes room for a topic's partitions; once.
    pub fn make_room(&self, partitions: u32) {
        self.ends.get_or_init(|| (0..partitions).map(|_| AtomicI64::new(-1)).collect());
    }

    /// A record was written in front of `end`.
    pub fn note(&self, partition: i32, end: i64) {
        let place = usize::try_from(partition).ok().and_then(|index| self.ends.get()?.get(index));
        match place {
            Some(place) => place.store(end, Ordering::Release),
            None => drop(lock(&self.others).insert(partition, end)),
        }
    }

    /// Nothing was written.
    pub fn reset(&self) {
        for end in self.ends.get().into_iter().flatten() {
            end.store(-1, Ordering::Release);
        }
        lock(&self.others).clear();
    }

    /// Partitions written to, each with its end.
    pub fn written(&self) -> Vec<(u32, u64)> {
        let first = self.ends.get().into_iter().flatten().map(|end| end.load(Ordering::Acquire));
        let others = lock(&self.others);
        let all = (0..).zip(first).chain(others.iter().map(|(partition, end)| (*partition, *end)));
        all.filter_map(|(partition, end)| Some((u32::try_from(partition).ok()?, u64::try_from(end).ok()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_known_of_partitions_written_to_and_of_no_other() {
        let ends = Ends::default();
        ends.make_room(3);
        assert_eq!(ends.written(), []);
        ends.note(2, 7);
        ends.note(0, 1);
        ends.note(2, 9);
        assert_eq!(ends.written(), [(0, 1), (2, 9)]);
        // A topic may be given partitions while it is written to.
        ends.note(4, 3);
        assert_eq!(ends.written(), [(0, 1), (2, 9), (4, 3)]);
        ends.reset();
        assert_eq!(ends.written(), []);
        ends.note(4, 5);
        assert_eq!(ends.written(), [(4, 5)]);
    }
}
