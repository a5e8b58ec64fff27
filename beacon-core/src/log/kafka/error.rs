//! What an error of Kafka means for the caller: pure mappings from codes to the few kinds of the log contract.
//!
//! It deliberately does not retry anything. Invariant: a commit whose outcome the broker may have decided is never
//! mapped to "abortable" (`src/log/kafka/error.rs: a_time_out_while_committing_is_an_unknown_outcome`).

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::log::{CommitError, LogError, LogErrorKind};

use super::raw::CallError;

/// What to do about a code met outside of a transaction.
pub(super) fn kind_of(code: Code) -> LogErrorKind {
    match code {
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicId
        | Code::InvalidTopic => LogErrorKind::UnknownTopic,
        Code::OffsetOutOfRange | Code::AutoOffsetReset => LogErrorKind::Trimmed,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => LogErrorKind::TooLarge,
        Code::InvalidMessage | Code::BadMessage | Code::BadCompression => LogErrorKind::Damaged,
        Code::Fenced
        | Code::InvalidProducerEpoch
        | Code::ProducerFenced
        | Code::InvalidProducerIdMapping
        | Code::UnknownProducerId
        | Code::OutOfOrderSequenceNumber
        | Code::FencedInstanceId
        | Code::UnknownMemberId
        | Code::FencedMemberEpoch
        | Code::UnreleasedInstanceId => LogErrorKind::Fenced,
        code if is_refusal(code) => LogErrorKind::Configuration,
        code if is_passing(code) => LogErrorKind::Retriable,
        _ => LogErrorKind::Fatal,
    }
}

/// Codes that a person has to act on: access, settings, versions.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SSL
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::InvalidConfig
            | Code::InvalidTransactionTimeout
            | Code::InvalidSessionTimeout
            | Code::InvalidReplicationFactor
            | Code::InvalidPartitions
            | Code::PolicyViolation
            | Code::UnsupportedAssignor
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::InconsistentGroupProtocol
            | Code::GroupMaxSizeReached
            | Code::InvalidGroupId
            | Code::InvalidRequest
    )
}

/// Codes of a broker that is away, moving or busy.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::QueueFull
            | Code::WaitingForCoordinator
            | Code::WaitCache
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::Conflict
            | Code::Retry
            | Code::UnknownBroker
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotController
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::ConcurrentTransactions
            | Code::UnstableOffsetCommit
            | Code::StaleMemberEpoch
            | Code::IllegalGeneration
            | Code::RebalanceInProgress
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::KafkaStorageError
            | Code::ThrottlingQuotaExceeded
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::ListenerNotFound
            | Code::PollExceeded
            | Code::EligibleLeadersNotAvailable
            | Code::RebootstrapRequired
    )
}

/// What a person can do about a record that its broker refuses, and would refuse each time it is sent; `None` when another
/// try may end otherwise.
pub(super) fn refusal_of_record(code: Code) -> Option<&'static str> {
    match code {
        code if kind_of(code) == LogErrorKind::TooLarge => Some(
            "raise the topic's max.message.bytes or write smaller records; if it is many small ones, set batch.size below what \
             the topic takes",
        ),
        // Of a batch with several such records the broker's code does not say what is wrong with each.
        Code::InvalidTimestamp | Code::InvalidRecord | Code::InvalidDifferentRecord => Some(
            "a compacted topic takes no record without a key, and timestamps have to be within the topic's \
             message.timestamp.before.max.ms and message.timestamp.after.max.ms",
        ),
        code if kind_of(code) == LogErrorKind::Configuration => Some("see the topic's access rights and settings"),
        _ => None,
    }
}

/// Whether a broker said it. librdkafka's own codes (time-outs, lost connections) are negative.
pub(super) fn is_answer(code: Code) -> bool {
    code as i32 > 0
}

/// An error of the contract for a code; `context` says what was done to what.
pub(super) fn log_error(code: Code, context: impl std::fmt::Display) -> LogError {
    LogError::new(kind_of(code), format!("{context}: {}", describe(code))).with_source(KafkaError::Global(code))
}

/// The code in words, for messages.
pub(super) fn describe(code: Code) -> String {
    KafkaError::Global(code).rdkafka_error_code().unwrap_or(code).to_string()
}

/// An error of the safe crate, with what was done to what.
pub(super) fn from_safe(error: KafkaError, context: impl std::fmt::Display) -> LogError {
    let kind = error.rdkafka_error_code().map_or(LogErrorKind::Configuration, kind_of);
    LogError::new(kind, format!("{context}: {error}")).with_source(error)
}

/// An error of a transaction call outside of commit.
pub(super) fn from_call(error: &CallError, context: impl std::fmt::Display) -> LogError {
    let kind = match verdict(error, Step::BeforeCommit) {
        Verdict::Fenced => LogErrorKind::Fenced,
        Verdict::Abortable => LogErrorKind::Abortable,
        Verdict::Unknown => LogErrorKind::Retriable,
        Verdict::Fatal => match kind_of(error.code) {
            LogErrorKind::Retriable | LogErrorKind::Fenced | LogErrorKind::Abortable => LogErrorKind::Fatal,
            kind => kind,
        },
    };
    LogError::new(kind, format!("{context}: {} ({:?})", error.text, error.code))
}

/// How far a commit had come when a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing that could decide the outcome was sent.
    BeforeCommit,
    /// The coordinator may have been told to commit.
    Committing,
}

/// What a failed transaction call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fenced,
    Abortable,
    Unknown,
    Fatal,
}

/// Decides what a failed transaction call means.
///
/// A stale generation alone is no fence: the coordinator raises a member's epoch before the member hears of it, so a
/// commit can meet it in between. The member aborts, hears of the rebalance at its next poll and does the work again,
/// if it still owns it.
pub(super) fn verdict(error: &CallError, step: Step) -> Verdict {
    let stale_generation =
        matches!(error.code, Code::IllegalGeneration | Code::StaleMemberEpoch | Code::RebalanceInProgress);
    if kind_of(error.code) == LogErrorKind::Fenced {
        Verdict::Fenced
    } else if error.fatal {
        match kind_of(error.code) {
            LogErrorKind::Configuration => Verdict::Fatal,
            // Fatal for this producer only: a new one starts from a clean state.
            _ => Verdict::Fenced,
        }
    } else if error.requires_abort || (stale_generation && step == Step::BeforeCommit) {
        Verdict::Abortable
    } else if error.retriable || kind_of(error.code) == LogErrorKind::Retriable {
        Verdict::Unknown
    } else {
        Verdict::Fatal
    }
}

/// A failed step of a commit as the contract says it.
pub(super) fn commit_error(error: &CallError, step: Step, context: &str) -> CommitError {
    let wrap = |kind| LogError::new(kind, format!("{context}: {} ({:?})", error.text, error.code));
    match verdict(error, step) {
        Verdict::Fenced => CommitError::Fenced(wrap(LogErrorKind::Fenced)),
        Verdict::Abortable => CommitError::Abortable(wrap(LogErrorKind::Abortable)),
        Verdict::Unknown => CommitError::Unknown(wrap(LogErrorKind::Retriable)),
        Verdict::Fatal if kind_of(error.code) == LogErrorKind::Configuration => {
            CommitError::Fatal(wrap(LogErrorKind::Configuration))
        }
        Verdict::Fatal => CommitError::Fatal(wrap(LogErrorKind::Fatal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code, fatal: bool, retriable: bool, requires_abort: bool) -> CallError {
        CallError { code, text: "told by a test".into(), fatal, retriable, requires_abort }
    }

    #[test]
    fn a_member_that_was_removed_is_fenced_even_if_librdkafka_says_abort() {
        for code in [Code::UnknownMemberId, Code::FencedInstanceId, Code::FencedMemberEpoch] {
            let error = error(code, false, false, true);
            assert_eq!(verdict(&error, Step::BeforeCommit), Verdict::Fenced, "{code:?}");
        }
    }

    #[test]
    fn a_fenced_producer_is_fenced() {
        for code in [Code::Fenced, Code::InvalidProducerEpoch, Code::ProducerFenced] {
            assert_eq!(verdict(&error(code, true, false, false), Step::Committing), Verdict::Fenced);
        }
    }

    #[test]
    fn a_time_out_while_committing_is_an_unknown_outcome() {
        for retriable in [true, false] {
            let error = error(Code::OperationTimedOut, false, retriable, false);
            assert_eq!(verdict(&error, Step::Committing), Verdict::Unknown);
        }
    }

    #[test]
    fn a_stale_generation_is_aborted_and_tried_again() {
        let error = error(Code::IllegalGeneration, false, false, true);
        assert_eq!(verdict(&error, Step::BeforeCommit), Verdict::Abortable);
    }

    #[test]
    fn a_refusal_by_a_broker_is_told_apart_from_silence() {
        assert!(is_answer(Code::NotLeaderForPartition) && is_answer(Code::CoordinatorLoadInProgress));
        assert!(!is_answer(Code::OperationTimedOut) && !is_answer(Code::BrokerTransportFailure));
    }

    #[test]
    fn a_record_is_refused_for_good_only_for_what_it_is_or_may() {
        for code in [
            Code::MessageSizeTooLarge,
            Code::InvalidTimestamp,
            Code::InvalidRecord,
            Code::InvalidDifferentRecord,
            Code::TopicAuthorizationFailed,
        ] {
            assert!(refusal_of_record(code).is_some(), "{code:?}");
        }
        for code in [Code::NotEnoughReplicas, Code::PurgeQueue, Code::InvalidMessage, Code::InvalidTransactionalState] {
            assert!(refusal_of_record(code).is_none(), "{code:?}");
        }
    }

    #[test]
    fn a_refused_transactional_id_is_for_a_person() {
        let error = error(Code::TransactionalIdAuthorizationFailed, true, false, false);
        assert_eq!(verdict(&error, Step::BeforeCommit), Verdict::Fatal);
        assert_eq!(from_call(&error, "test").kind(), LogErrorKind::Configuration);
    }
}
