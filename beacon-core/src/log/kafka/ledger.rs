//! What became of the records of a transaction, as librdkafka reports it, and what a failed one means.
//!
//! Where partitions end is with their topics ([`super::ends`]). Invariant: a record that its broker would refuse each time is never
//! one to try again (`tests/kafka/commit.rs: a_record_that_its_topic_refuses_is_not_tried_again`).

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::log::{CommitError, LogError, LogErrorKind};

use super::error::{describe, kind_of, refusal_of_record};
use super::raw::{Delivery, DeliverySink, lock};

/// Shared between a transaction and the callbacks of its client.
#[derive(Default)]
pub(super) struct Ledger {
    /// The failure that decides; see [`weight`].
    failure: Mutex<Option<(Code, String)>>,
    /// Transactions since the last one that was committed in which a record was not written in time.
    timed_out: AtomicU32,
}

impl Ledger {
    /// Another transaction begins.
    pub fn begin(&self) {
        *lock(&self.failure) = None;
    }

    /// The transaction is committed.
    pub fn committed(&self) {
        self.timed_out.store(0, Ordering::Relaxed);
    }

    /// The transaction is aborted.
    pub fn aborted(&self) {
        if matches!(*lock(&self.failure), Some((Code::MessageTimedOut, _))) {
            self.timed_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Transactions since the last one that was committed in which a record was not written in time.
    pub fn timed_out(&self) -> u32 {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// What it means for the transaction that one of its records was not written; `whose` names it.
    pub fn failure(&self, whose: impl Display) -> Option<CommitError> {
        let (code, text) = lock(&self.failure).clone()?;
        let error =
            |kind, way_out: &str| LogError::new(kind, format!("{whose}: a record was not written: {text}{way_out}"));
        Some(match (kind_of(code), refusal_of_record(code)) {
            (LogErrorKind::Fenced, _) => CommitError::Fenced(error(LogErrorKind::Fenced, "")),
            // Done again, it would be refused again, for ever.
            (kind, Some(way_out)) => CommitError::Fatal(error(kind, &format!("; {way_out}"))),
            (_, None) => CommitError::Abortable(error(LogErrorKind::Abortable, "")),
        })
    }
}

impl DeliverySink for Ledger {
    fn delivered(&self, delivery: &Delivery<'_>) {
        match delivery.error {
            None => delivery.topic.ends.note(delivery.partition, delivery.offset + 1),
            Some(code) => {
                let mut failure = lock(&self.failure);
                if failure.as_ref().is_none_or(|(known, _)| weight(*known) < weight(code)) {
                    let mut text = format!("{}/{}: {}", delivery.topic.name, delivery.partition, describe(code));
                    if let Some(reason) = &delivery.reason {
                        text += &format!(" ({reason})");
                    }
                    *failure = Some((code, text));
                }
            }
        }
    }
}

/// Of several failures the one of most weight decides, and the first one of these: a fence, a record that was refused, one that is in
/// a batch with such a record, and what follows from any of them for the records behind.
fn weight(code: Code) -> u8 {
    match (kind_of(code), code) {
        // The numbers of the records behind one that was refused do not follow on.
        (_, Code::OutOfOrderSequenceNumber) => 0,
        (LogErrorKind::Fenced, _) => 3,
        (_, Code::InvalidDifferentRecord) => 1,
        _ if refusal_of_record(code).is_some() => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_a_failure_weighs_less_than_it() {
        let order = [Code::PurgeQueue, Code::InvalidDifferentRecord, Code::InvalidRecord, Code::ProducerFenced];
        assert!(order.is_sorted_by(|a, b| weight(*a) < weight(*b)));
        assert_eq!(weight(Code::MessageSizeTooLarge), weight(Code::InvalidTimestamp));
        assert!(weight(Code::OutOfOrderSequenceNumber) < weight(Code::MessageSizeTooLarge));
    }
}
