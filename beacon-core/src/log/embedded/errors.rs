//! From what the file system and RocksDB say to what the caller does about it.

use std::io;
use std::path::Path;

use crate::log::{LogError, LogErrorKind, TopicPartition, topic_name};

/// An error of RocksDB while `doing` something in `directory`.
///
/// RocksDB names the damaged file in its own message; where it does not, the directory is what is named.
pub(super) fn storage(directory: &Path, doing: &str, error: rocksdb::Error) -> LogError {
    let kind = storage_kind(&error);
    let way_out = match kind {
        LogErrorKind::Full => "; free space on that device, the log goes on by itself",
        LogErrorKind::Damaged => {
            "; stop the process, keep a copy of the directory, and restore it from a backup or start with an empty one"
        }
        _ => "",
    };
    let message = format!("embedded log in {}: {doing}: {error}{way_out}", directory.display());
    LogError::new(kind, message).with_source(error)
}

fn storage_kind(error: &rocksdb::Error) -> LogErrorKind {
    let text = error.as_ref();
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        return LogErrorKind::Full;
    }
    match error.kind() {
        rocksdb::ErrorKind::Corruption => LogErrorKind::Damaged,
        rocksdb::ErrorKind::IOError if text.contains("No such file or directory") => LogErrorKind::Damaged,
        rocksdb::ErrorKind::IOError if text.contains("Permission denied") => LogErrorKind::Configuration,
        _ => LogErrorKind::Fatal,
    }
}

/// An error of the file system at `path`.
pub(super) fn file(path: &Path, doing: &str, error: io::Error) -> LogError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogErrorKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::ReadOnlyFilesystem => {
            LogErrorKind::Configuration
        }
        _ => LogErrorKind::Fatal,
    };
    LogError::new(kind, format!("{}: {doing}: {error}", path.display())).with_source(error)
}

pub(super) fn unknown_topic(topic: &str) -> LogError {
    topic_name::missing(topic, || format!("topic {topic} does not exist; create it first"))
}

/// Records have come too late for their topic.
pub(super) fn deleted_topic(topic: &str) -> LogError {
    let message = format!("topic {topic} was deleted while records for it were on their way; none of them was written");
    LogError::new(LogErrorKind::UnknownTopic, message)
}

/// What is read is not there any more.
pub(super) fn deleted_input(topic: &str) -> LogError {
    let message = format!(
        "topic {topic} was deleted while it was read; nothing read from it since the last commit counts. Make the topic if it is \
         missing, and start again"
    );
    LogError::new(LogErrorKind::UnknownTopic, message)
}

pub(super) fn unknown_partition(topic: &str, partition: u32, partitions: u32) -> LogError {
    let message = format!("{topic}/{partition} does not exist: the topic has {partitions} partitions");
    LogError::new(LogErrorKind::UnknownTopic, message)
}

pub(super) fn bad_bytes(directory: &Path, what: impl std::fmt::Display) -> LogError {
    let message = format!(
        "embedded log in {}: {what} cannot be decoded; stop the process, keep a copy of the directory, and restore it \
         from a backup or start with an empty one",
        directory.display()
    );
    LogError::new(LogErrorKind::Damaged, message)
}

pub(super) fn trimmed(partition: &TopicPartition, wanted: u64, start: u64) -> LogError {
    let message = format!(
        "{partition}: offset {wanted} was trimmed away, the partition starts at {start}; go on from there, or restore \
         what was before from a checkpoint"
    );
    LogError::new(LogErrorKind::Trimmed, message)
}

pub(super) fn beyond(partition: &TopicPartition, wanted: u64, end: u64) -> LogError {
    let message =
        format!("{partition}: offset {wanted} is past the end {end}; the log's directory was replaced by an older one");
    LogError::new(LogErrorKind::Fatal, message)
}

pub(super) fn closed() -> LogError {
    LogError::new(LogErrorKind::Fatal, "the embedded log's committer has stopped; open the log again")
}

/// Refuses what nobody may do to a group that is at work.
pub(super) fn refuse_members(group: &str, members: &[String]) -> Result<(), LogError> {
    if members.is_empty() {
        return Ok(());
    }
    let message = format!("group {group} is at work ({}); stop it before its offsets are set", members.join(", "));
    Err(LogError::new(LogErrorKind::Fenced, message))
}
