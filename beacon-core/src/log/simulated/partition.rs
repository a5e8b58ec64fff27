//! One partition: records and markers at their offsets, and which of them a committed read sees.

use std::collections::{BTreeMap, BTreeSet};

use super::transactions::TransactionId;
use crate::log::{Isolation, Offset, OffsetRange, Record};

/// What takes an offset.
#[derive(Clone, Debug)]
enum Entry {
    Record {
        record: Record,
        transaction: Option<TransactionId>,
    },
    /// The end of a transaction in this partition, as Kafka writes it.
    Marker,
}

/// An append-only list; the index of an entry is its offset.
#[derive(Debug, Default)]
pub(super) struct Partition {
    start: Offset,
    entries: Vec<Entry>,
    /// Transactions without marker here, with their first offset.
    open: BTreeMap<TransactionId, Offset>,
    aborted: BTreeSet<TransactionId>,
}

impl Partition {
    /// Adds a record and returns its offset.
    pub(super) fn push(&mut self, record: Record, transaction: Option<TransactionId>) -> Offset {
        let offset = self.entries.len() as Offset;
        if let Some(transaction) = transaction {
            self.open.entry(transaction).or_insert(offset);
        }
        self.entries.push(Entry::Record { record, transaction });
        offset
    }

    /// Ends a transaction here; its records are visible from now on, or never.
    pub(super) fn mark(&mut self, transaction: TransactionId, committed: bool) {
        if self.open.remove(&transaction).is_some() {
            self.entries.push(Entry::Marker);
            if !committed {
                self.aborted.insert(transaction);
            }
        }
    }

    pub(super) fn range(&self, isolation: Isolation) -> OffsetRange {
        let high_watermark = self.entries.len() as Offset;
        let end = match isolation {
            Isolation::Uncommitted => high_watermark,
            Isolation::Committed => self.open.values().copied().min().unwrap_or(high_watermark),
        };
        OffsetRange { start: self.start, end: end.max(self.start) }
    }

    pub(super) fn start_at(&mut self, start: Offset) {
        self.start = start;
    }

    /// Up to `limit` records from `from` on, and the offset to go on from.
    pub(super) fn read(&self, from: Offset, isolation: Isolation, limit: usize) -> (Vec<(Offset, Record)>, Offset) {
        let end = self.range(isolation).end;
        let mut found = Vec::new();
        let mut next = from;
        while next < end && found.len() < limit {
            if let Some(Entry::Record { record, transaction }) = self.entries.get(next as usize) {
                let hidden = isolation == Isolation::Committed
                    && transaction.is_some_and(|transaction| self.aborted.contains(&transaction));
                if !hidden {
                    found.push((next, record.clone()));
                }
            }
            next += 1;
        }
        (found, next)
    }
}
