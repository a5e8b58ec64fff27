//! What became of the records of a transaction, as librdkafka reports it, and what a failed one means.
//!
//! Where partitions end is with their topics ([`super::ends`]). Invariant: a record that its broker would refuse each time is never
//! one to try again (`tests/kafka/commit.rs: a_record_that_its_topic_refuses_is_not_tried_again`).

use std::fmt::Display;
use std::sync::Mutex;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::log::{CommitError, LogError, LogErrorKind};

use super::error::{describe, kind_of, refusal_of_record};
use super::raw::{Delivery, DeliverySink, lock};

/// Shared between a transaction and the callbacks of its client.
#[derive(Default)]
pub(super) struct Ledger {
    /// The first failure, since later ones of the same transaction follow from it; but not that of a record which is only in a
    /// batch with a bad one.
    failure: Mutex<Option<(Code, String)>>,
}

impl Ledger {
    /// Another transaction begins.
    pub fn forget(&self) {
        *lock(&self.failure) = None;
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
                if failure.as_ref().is_none_or(|(known, _)| *known == Code::InvalidDifferentRecord) {
                    let at = format!("{}/{}: {}", delivery.topic.name, delivery.partition, describe(code));
                    let text = delivery.reason.as_ref().map_or_else(|| at.clone(), |reason| format!("{at} ({reason})"));
                    *failure = Some((code, text));
                }
            }
        }
    }
}
