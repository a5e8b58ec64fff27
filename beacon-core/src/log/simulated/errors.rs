//! What a simulated log says when it says no.

use crate::log::model::{Misuse, Refusal};
use crate::log::{CommitError, LogError, LogErrorKind, Offset, TopicPartition, topic_name};

pub(super) fn unknown_topic(topic: &str) -> LogError {
    topic_name::missing(topic, || format!("topic {topic} does not exist; create it first"))
}

pub(super) fn unknown_partition(at: &TopicPartition, partitions: u32) -> LogError {
    let message = format!("{at} does not exist: the topic has {partitions} partitions");
    LogError::new(LogErrorKind::UnknownTopic, message)
}

pub(super) fn too_large(topic: &str, bytes: usize, most: usize) -> LogError {
    LogError::new(LogErrorKind::TooLarge, format!("a record for {topic} has {bytes} bytes, this log takes {most}"))
}

pub(super) fn trimmed(at: &TopicPartition, wanted: Offset, start: Offset) -> LogError {
    LogError::new(LogErrorKind::Trimmed, format!("{at} begins at offset {start}, offset {wanted} was trimmed away"))
}

pub(super) fn beyond(at: &TopicPartition, wanted: Offset, end: Offset) -> LogError {
    let message = format!("{at} ends at offset {end}, offset {wanted} was never written");
    LogError::new(LogErrorKind::Fatal, message)
}

pub(super) fn not_owned(at: &TopicPartition) -> LogError {
    LogError::new(LogErrorKind::Configuration, format!("{at} is not assigned to this session"))
}

pub(super) fn misuse(wrong: Misuse) -> LogError {
    LogError::new(LogErrorKind::Fatal, wrong.to_string())
}

pub(super) fn dead() -> LogError {
    LogError::new(LogErrorKind::Fatal, "the process of this client is gone")
}

pub(super) fn refused(what: &str) -> LogError {
    LogError::new(LogErrorKind::Retriable, format!("simulated fault: the broker refuses {what}"))
}

pub(super) fn time_out(what: &str) -> LogError {
    LogError::new(LogErrorKind::Retriable, format!("simulated fault: no answer to {what}"))
}

pub(super) fn fenced(why: impl std::fmt::Display) -> LogError {
    LogError::new(LogErrorKind::Fenced, why.to_string())
}

pub(super) fn abortable(why: impl std::fmt::Display) -> LogError {
    LogError::new(LogErrorKind::Abortable, why.to_string())
}

pub(super) fn commit_refused(group: &str, refusal: &Refusal) -> CommitError {
    let message = format!("group {group}: {refusal}");
    match refusal {
        Refusal::Fenced(_) => CommitError::Fenced(fenced(message)),
        Refusal::Expelled | Refusal::NotOwned(_) => CommitError::Abortable(abortable(message)),
    }
}
