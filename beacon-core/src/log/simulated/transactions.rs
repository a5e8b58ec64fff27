//! Transactions as a broker keeps them: open, decided with markers on their way, over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::log::model::MemberId;
use crate::log::{self, Offset, TopicPartition};

/// Names a transaction; grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TransactionId(pub(super) u64);

/// A transaction nobody has decided yet.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    pub(super) transactional_id: String,
    /// When the broker aborts it by itself.
    pub(super) deadline: Duration,
    /// For each partition written, the offset after the last record.
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
}

/// Group offsets that become visible with a transaction's end.
pub(super) type GroupOffsets = BTreeMap<(String, TopicPartition), Offset>;

/// A decision that has not got everywhere.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) transactional_id: String,
    pub(super) committed: bool,
    /// Partitions without marker, with the time it gets there.
    pub(super) markers: BTreeMap<TopicPartition, Duration>,
    pub(super) offsets: GroupOffsets,
    pub(super) offsets_at: Duration,
}

/// All transactions that are not over.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) open: BTreeMap<TransactionId, OpenTransaction>,
    pub(super) decided: BTreeMap<TransactionId, Decided>,
    /// Which session each transactional id belongs to.
    pub(super) owners: BTreeMap<String, MemberId>,
    last: u64,
}

impl Transactions {
    pub(super) fn open(&mut self, transactional_id: &str, deadline: Duration) -> TransactionId {
        self.last += 1;
        let id = TransactionId(self.last);
        let transactional_id = transactional_id.to_owned();
        self.open.insert(id, OpenTransaction { transactional_id, deadline, ends: BTreeMap::new() });
        id
    }

    /// All that are not over, as anybody may know them.
    pub(super) fn all(&self) -> Vec<log::OpenTransaction> {
        let told = |transactional_id: &String, is_decided, partitions| log::OpenTransaction {
            transactional_id: transactional_id.clone(),
            since_ms: None,
            is_decided,
            partitions,
        };
        let open =
            self.open.values().map(|open| told(&open.transactional_id, false, open.ends.keys().cloned().collect()));
        let decided = self
            .decided
            .values()
            .map(|decided| told(&decided.transactional_id, true, decided.markers.keys().cloned().collect()));
        open.chain(decided).collect()
    }

    /// Open transactions that are past their time-out.
    pub(super) fn timed_out(&self, now: Duration) -> Vec<TransactionId> {
        self.open.iter().filter(|(_, open)| open.deadline <= now).map(|(id, _)| *id).collect()
    }

    pub(super) fn open_of(&self, transactional_id: &str) -> Vec<TransactionId> {
        let of_it = |open: &&OpenTransaction| open.transactional_id == transactional_id;
        self.open.iter().filter(|(_, open)| of_it(open)).map(|(id, _)| *id).collect()
    }

    /// Whether a decided transaction will still change a group's offset of this partition.
    pub(super) fn awaits_offset(&self, group: &str, partition: &TopicPartition) -> bool {
        let key = (group.to_owned(), partition.clone());
        self.decided.values().any(|decided| decided.offsets.contains_key(&key))
    }

    /// The offsets that decided transactions will set, later ones last.
    pub(super) fn decided_offsets(&self) -> impl Iterator<Item = ((String, TopicPartition), Offset)> {
        self.decided.values().flat_map(|decided| decided.offsets.clone())
    }

    /// Brings the markers of one transactional id forward: a new transaction of it begins after them.
    pub(super) fn hurry(&mut self, transactional_id: &str, now: Duration) {
        for decided in self.decided.values_mut().filter(|decided| decided.transactional_id == transactional_id) {
            decided.markers.values_mut().for_each(|at| *at = now);
            decided.offsets_at = now;
        }
    }

    /// Everything that is due now, as (transaction, committed, partitions to mark, offsets to set).
    pub(super) fn due(&mut self, now: Duration) -> Vec<(TransactionId, bool, BTreeSet<TopicPartition>, GroupOffsets)> {
        let mut due = Vec::new();
        for (id, decided) in &mut self.decided {
            let markers: BTreeSet<_> =
                decided.markers.iter().filter(|(_, at)| **at <= now).map(|(partition, _)| partition.clone()).collect();
            decided.markers.retain(|_, at| *at > now);
            let offsets =
                if decided.offsets_at <= now { std::mem::take(&mut decided.offsets) } else { BTreeMap::new() };
            if !markers.is_empty() || !offsets.is_empty() {
                due.push((*id, decided.committed, markers, offsets));
            }
        }
        self.decided.retain(|_, decided| !decided.markers.is_empty() || !decided.offsets.is_empty());
        due
    }
}
