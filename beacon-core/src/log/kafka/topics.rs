//! The making and deleting of topics, each waited for until the cluster agrees.
//!
//! Invariant: a topic of this name with another partition count is never used or changed
//! (`tests/log_contract/admin.rs: another_partition_count_is_a_mismatch_that_names_topic_and_counts`).

use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::admin::{Cluster, count, is_passing, options};
use super::block_on::block_on;
use super::error::{describe, from_safe, kind_of, log_error};
use super::groups::admin_error;
use super::partitions::{native_number, native_partition};
use super::patience::ask_while;
use crate::log::{CleanupPolicy, LogError, LogErrorKind, TopicPartition, TopicSpec, check_topic_name};

impl Cluster {
    /// Makes topics that do not exist; see [`crate::log::Log::create_topics`].
    pub fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        topics.iter().try_for_each(|topic| check_topic_name(&topic.name))?;
        let mut missing = Vec::new();
        for topic in topics {
            match self.describe_topic(&topic.name)? {
                None => missing.push(topic),
                Some(found) => check_partitions(topic, found.partitions)?,
            }
        }
        if !missing.is_empty() {
            self.create_missing(&missing)?;
        }
        topics.iter().try_for_each(|topic| self.wait_until_usable(topic))
    }

    fn create_missing(&self, topics: &[&TopicSpec]) -> Result<(), LogError> {
        let replication = self.config().replication_factor.map_or(-1, i32::from);
        let settings: Vec<_> = topics.iter().map(|topic| settings(topic.cleanup)).collect();
        let specifications: Vec<_> = topics
            .iter()
            .zip(&settings)
            .map(|(topic, settings)| {
                let partitions = native_number(topic.partitions);
                settings.iter().fold(
                    NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(replication)),
                    |new, (name, value)| new.set(name, value),
                )
            })
            .collect();
        let admin = self.admin()?;
        // Asked again, those already made answer that they exist.
        ask_while(self.config().timeout, is_passing, |left| {
            let results = block_on(admin.create_topics(&specifications, &options(left)))
                .map_err(|error| from_safe(error, "creating topics"))?;
            results.into_iter().try_for_each(|result| match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => Ok(()),
                Err((topic, Code::InvalidTopic)) => Err(collision(&topic)),
                Err((topic, code)) => Err(log_error(code, format_args!("creating topic {topic}"))),
            })
        })
    }

    /// Waits until every partition answers: metadata names a leader a moment before that broker serves the partition.
    /// Also finds out if somebody else made the topic otherwise meanwhile.
    fn wait_until_usable(&self, topic: &TopicSpec) -> Result<(), LogError> {
        ask_while(self.config().timeout, is_passing, |left| {
            let not_yet = |what: String| LogError::new(LogErrorKind::Retriable, what);
            let found = self.topic_metadata(&topic.name)?.filter(|found| !found.leaders.is_empty());
            let Some(found) = found else {
                return Err(not_yet(format!("topic {} was made and is not known yet", topic.name)));
            };
            check_partitions(topic, count(found.leaders.len()))?;
            if found.error.is_some() || found.leaders.contains(&false) {
                return Err(not_yet(format!("topic {} has partitions without leader", topic.name)));
            }
            (0..topic.partitions).try_for_each(|number| {
                let partition = TopicPartition::new(topic.name.as_str(), number);
                match self.any_client().watermarks(&topic.name, native_partition(&partition), left) {
                    Ok(_) => Ok(()),
                    Err(code) if kind_of(code) == LogErrorKind::UnknownTopic => {
                        Err(not_yet(format!("{partition} is not served yet: {}", describe(code))))
                    }
                    Err(code) => Err(self.gave_up(self.any_client(), code, &partition)),
                }
            })
        })
    }

    /// See [`crate::log::Log::delete_topics`].
    pub fn delete_topics(&self, topics: &[&str]) -> Result<(), LogError> {
        let mut doomed = Vec::new();
        for topic in topics {
            if self.describe_topic(topic)?.is_some() {
                doomed.push(*topic);
            }
        }
        if doomed.is_empty() {
            return Ok(());
        }
        let options = options(self.config().timeout);
        let results = block_on(self.admin()?.delete_topics(&doomed, &options))
            .map_err(|error| from_safe(error, format_args!("deleting topics {}", doomed.join(", "))))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => {
                    return Err(admin_error((code, String::new()), format_args!("deleting topic {topic}")));
                }
            }
        }
        self.forget_topics(&doomed);
        doomed.iter().try_for_each(|topic| self.wait_until_gone(topic))
    }

    fn wait_until_gone(&self, topic: &str) -> Result<(), LogError> {
        let timeout = self.config().timeout;
        ask_while(timeout, Option::is_none, |_| match self.describe_topic(topic) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(None),
            Err(error) => Err(Some(error)),
        })
        .map_err(|error| {
            error.unwrap_or_else(|| {
                let message = format!("topic {topic} is still there {timeout:?} after its deletion");
                LogError::new(LogErrorKind::Retriable, message)
            })
        })
    }
}

fn check_partitions(wanted: &TopicSpec, found: u32) -> Result<(), LogError> {
    if wanted.partitions == found {
        return Ok(());
    }
    Err(LogError::new(
        LogErrorKind::Mismatch,
        format!(
            "topic {} has {found} partitions where {} are wanted: the count is fixed once made, \
             use another topic name or the count it has",
            wanted.name, wanted.partitions
        ),
    ))
}

/// A legal name is refused for one reason only: metrics of brokers have `_` for `.`, so two topics would be one there.
fn collision(topic: &str) -> LogError {
    let message = format!(
        "creating topic {topic}: Kafka has a topic whose name differs from it in '.' and '_' only, and takes one of them; use \
         another name"
    );
    LogError::new(LogErrorKind::Configuration, message).with_source(KafkaError::Global(Code::InvalidTopic))
}

/// What a topic is made with, whatever the broker's own defaults are.
fn settings(cleanup: CleanupPolicy) -> Vec<(&'static str, String)> {
    // Event time is what the writer says, not when the broker heard of it.
    let mut settings = vec![("message.timestamp.type", "CreateTime".to_owned())];
    match cleanup {
        CleanupPolicy::Compact => settings.push(("cleanup.policy", "compact".to_owned())),
        CleanupPolicy::Delete { retention } => {
            settings.push(("cleanup.policy", "delete".to_owned()));
            // By age or not at all: a broker's default by size would take what nobody has read.
            settings.push(("retention.bytes", "-1".to_owned()));
            settings.push(("retention.ms", retention.map_or("-1".to_owned(), |kept| kept.as_millis().to_string())));
        }
    }
    if !matches!(cleanup, CleanupPolicy::Delete { retention: Some(_) }) {
        // A broker takes no record from more than an hour ahead (KIP-937, KIP-1030), lest it is kept for too long. Here no record's
        // time decides how long it is kept, and one from a source with a wrong clock has to get through a re-key.
        settings.push(("message.timestamp.after.max.ms", i64::MAX.to_string()));
        settings.push(("message.timestamp.before.max.ms", i64::MAX.to_string()));
    }
    settings
}
