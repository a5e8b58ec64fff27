//! Groups, and which topic a name means: what tools ask for, never a running task.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::admin::Cluster;
use super::error::{from_safe, kind_of};
use super::partitions::list_at;
use super::raw::AdminError;
use crate::log::{LogError, LogErrorKind, Offset, TopicPartition};

impl Cluster {
    /// See [`crate::log::Log::topic_id`]. Brokers before 2.8 gave topics no ids.
    pub fn topic_id(&self, topic: &str) -> Result<Option<String>, LogError> {
        // Asked first, since a broker may be set to make topics that are asked for.
        if self.describe_topic(topic)?.is_none() {
            return Ok(None);
        }
        let id = self
            .any_client()
            .topic_uuid(topic, self.config().timeout)
            .map_err(|error| admin_error(error, format_args!("describing topic {topic}")))?;
        // All zeros stand for "none".
        Ok(id.map(|id| as_kafka_writes(&id)).filter(|id| id.bytes().any(|byte| byte != b'A')))
    }

    /// See [`crate::log::Log::members`].
    pub fn members(&self, group: &str) -> Result<Vec<String>, LogError> {
        self.any_client()
            .group_members(group, self.config().timeout)
            .map_err(|error| admin_error(error, format_args!("describing group {group}")))
    }

    /// See [`crate::log::Log::set_committed`]. The broker takes offsets from outside a group only while it is empty.
    pub fn set_committed(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let members = self.members(group)?;
        if !members.is_empty() {
            let message =
                format!("group {group} is at work ({}); stop it before its offsets are set", members.join(", "));
            return Err(LogError::new(LogErrorKind::Fenced, message));
        }
        if offsets.is_empty() {
            return Ok(());
        }
        for (partition, _) in offsets {
            self.require_partition(partition)?;
        }
        let mut config = self.config().reading("admin", "read_committed");
        config.set("group.id", group);
        let context = || format!("setting offsets of group {group}");
        let client: BaseConsumer = config.create().map_err(|error| from_safe(error, context()))?;
        let list = list_at(offsets.iter().map(|(partition, offset)| (partition, *offset)));
        client.commit(&list, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
            Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress) => LogError::new(
                LogErrorKind::Fenced,
                format!("group {group} is at work; stop it before its offsets are set"),
            )
            .with_source(error),
            _ => from_safe(error, context()),
        })
    }
}

/// librdkafka writes ids in the common base64 alphabet, whose `/` ends a folder's name and whose `+` many URLs do not keep.
/// Kafka's own tools write them in the URL-safe one, without padding (RFC 4648, section 5).
fn as_kafka_writes(id: &str) -> String {
    id.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

pub(super) fn admin_error((code, text): AdminError, context: impl std::fmt::Display) -> LogError {
    let said = if text.is_empty() { super::error::describe(code) } else { text };
    LogError::new(kind_of(code), format!("{context}: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_good_for_names_and_paths() {
        assert_eq!(as_kafka_writes("4Dq/3mE+TbCkX1aQ0h4pWw=="), "4Dq_3mE-TbCkX1aQ0h4pWw");
        assert_eq!(as_kafka_writes("AAAAAAAAAAAAAAAAAAAAAA"), "AAAAAAAAAAAAAAAAAAAAAA");
    }
}
