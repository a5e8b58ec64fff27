//! A log in memory for tests: virtual time, and faults when whoever holds the seed wants them.
//!
//! It behaves as Apache Kafka does where that has cost somebody a night: transactions are written as they come and
//! decided later, markers take offsets and get to each partition at a time of their own, an open transaction holds up
//! committed reads until it times out, silent members are expelled, partitions change hands one by one or all at once, and
//! the group checks who commits rather than what is committed. Groups, transactions and cursors are those of
//! [`crate::log::model`], which the embedded log uses, too.
//!
//! What it deliberately does not do: it has no thread and no clock, it never waits, it keeps everything until it is
//! trimmed, and it decides no fault. [`Surroundings`] do: one for each client, which is one process.
//! [`crate::testing::simulation`] is built on it.

mod appender;
mod broker;
mod errors;
mod feed;
mod partition;
mod reader;
mod session;
mod surroundings;
mod transactions;

pub use surroundings::{Call, Fate, Surroundings};

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use broker::{Broker, State};

pub use super::model::Rebalancing;
use super::model::{MemberId, Trim, trim};
use super::{
    Appender, Isolation, Log, LogError, LogErrorKind, Offset, OffsetRange, OpenTransaction, Reader, Session,
    SessionConfig, TopicDescription, TopicPartition, TopicSpec, check_topic_name,
};

/// One client's connection to a simulated log. [`SimulatedLog::client`] makes another one to the same log.
#[derive(Clone)]
pub struct SimulatedLog {
    client: Client,
}

impl SimulatedLog {
    /// An empty log, and its first client. Partitions change hands one by one.
    pub fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self::with_rebalancing(surroundings, Rebalancing::default())
    }

    /// The same where partitions change hands in this way: one by one as under Kafka's KIP-848, or all at once as under its
    /// classic protocol, which Kafka's static members speak.
    pub fn with_rebalancing(surroundings: Arc<dyn Surroundings>, rebalancing: Rebalancing) -> Self {
        Self { client: Client { broker: Arc::new(Broker::new(rebalancing)), surroundings } }
    }

    /// A client of the same log in surroundings of its own.
    pub fn client(&self, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { client: Client { broker: Arc::clone(&self.client.broker), surroundings } }
    }

    /// Whether every transaction is over, with its markers everywhere: nothing is going to become visible by itself.
    pub fn is_settled(&self) -> bool {
        let state = self.client.state();
        state.transactions.open.is_empty() && state.transactions.decided.is_empty()
    }

    /// Grows whenever something happened that a client may be waiting for.
    pub fn version(&self) -> u64 {
        self.client.state().version
    }
}

/// What sessions, readers and appenders of one client share.
#[derive(Clone)]
struct Client {
    broker: Arc<Broker>,
    surroundings: Arc<dyn Surroundings>,
}

impl Client {
    fn now(&self) -> Duration {
        self.surroundings.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.broker.at(self.now())
    }

    /// Lets a call through that changes nothing at the broker, or says why not.
    fn meet(&self, call: Call<'_>, what: &str) -> Result<(), LogError> {
        match self.surroundings.fate(call) {
            Fate::Done => Ok(()),
            Fate::Refused => Err(errors::refused(what)),
            Fate::RequestLost | Fate::AnswerLost | Fate::RefusalLost => Err(errors::time_out(what)),
            Fate::Dead => Err(errors::dead()),
        }
    }

    /// The same for a call that changes something: it may have been done although nobody says so.
    fn change<T>(&self, call: Call<'_>, what: &str, act: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
        match self.surroundings.fate(call) {
            Fate::Done => act(),
            Fate::AnswerLost => act().and_then(|_| Err(errors::time_out(what))),
            Fate::Refused => Err(errors::refused(what)),
            Fate::RequestLost | Fate::RefusalLost => Err(errors::time_out(what)),
            Fate::Dead => Err(errors::dead()),
        }
    }

    fn leave(&self, member: MemberId) {
        let now = self.now();
        let mut state = self.broker.at(now);
        state.coordinator.leave(member, now);
        state.version += 1;
    }
}

impl Log for SimulatedLog {
    fn describe(&self) -> String {
        "simulated log".to_owned()
    }

    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        topics.iter().try_for_each(|topic| check_topic_name(&topic.name))?;
        self.client.change(Call::Topics, "creating topics", || {
            let mut state = self.client.state();
            for topic in topics {
                if let Ok(partitions) = state.partitions(&topic.name)
                    && partitions != topic.partitions
                {
                    let message = format!("topic {} has {partitions} partitions, not {}", topic.name, topic.partitions);
                    return Err(LogError::new(LogErrorKind::Mismatch, message));
                }
            }
            topics.iter().for_each(|topic| state.make(&topic.name, topic.partitions));
            Ok(())
        })
    }

    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.client.meet(Call::Topics, "listing topics")?;
        let state = self.client.state();
        let describe = |(name, partitions): (&Arc<str>, &Vec<_>)| TopicDescription {
            name: name.to_string(),
            partitions: partitions.len() as u32,
        };
        Ok(state.topics.iter().map(describe).collect())
    }

    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        self.client.meet(Call::Topics, "describing a topic")?;
        let partitions = self.client.state().partitions(topic).ok();
        Ok(partitions.map(|partitions| TopicDescription { name: topic.to_owned(), partitions }))
    }

    fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        self.client.meet(Call::Offsets(partition), "asking for offsets")?;
        self.client.state().range(partition, isolation)
    }

    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        self.client.meet(Call::Committed, "asking for a group's offsets")?;
        let state = self.client.state();
        // As on Kafka, a commit that has returned is seen although its markers are on their way.
        let mut found = state.offsets.clone();
        found.extend(state.transactions.decided_offsets());
        let wanted = |(name, at): &(String, TopicPartition)| name == group && topics.contains(&&*at.topic);
        Ok(found.into_iter().filter(|(key, _)| wanted(key)).map(|((_, at), offset)| (at, offset)).collect())
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.client.change(Call::Trim(partition), "a trim", || {
            let mut state = self.client.state();
            match trim(state.range(partition, Isolation::Committed)?, before) {
                Trim::Nothing => Ok(()),
                Trim::StartAt(start) => {
                    state.partition_mut(partition)?.start_at(start);
                    Ok(())
                }
                Trim::BeyondEnd => {
                    let message = format!("{partition} cannot be trimmed to {before}: it does not reach that far");
                    Err(LogError::new(LogErrorKind::Configuration, message))
                }
            }
        })
    }

    fn topic_id(&self, topic: &str) -> Result<Option<String>, LogError> {
        self.client.meet(Call::Topics, "describing a topic")?;
        Ok(self.client.state().makings.get(topic).map(ToString::to_string))
    }

    fn delete_topics(&self, topics: &[&str]) -> Result<(), LogError> {
        self.client.change(Call::Topics, "deleting topics", || {
            let mut state = self.client.state();
            topics.iter().for_each(|topic| state.delete(topic));
            Ok(())
        })
    }

    fn members(&self, group: &str) -> Result<Vec<String>, LogError> {
        self.client.meet(Call::Committed, "describing a group")?;
        Ok(self.client.state().coordinator.members(group))
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.client.change(Call::Committed, "setting offsets of a group", || {
            let mut state = self.client.state();
            let members = state.coordinator.members(group);
            if !members.is_empty() {
                return Err(errors::fenced(format!(
                    "group {group} is at work ({}); stop it first",
                    members.join(", ")
                )));
            }
            for (partition, _) in offsets {
                state.partition(partition)?;
            }
            let entry =
                |(partition, offset): &(TopicPartition, Offset)| ((group.to_owned(), partition.clone()), *offset);
            state.offsets.extend(offsets.iter().map(entry));
            state.version += 1;
            Ok(())
        })
    }

    fn open_transactions(&self) -> Result<Vec<OpenTransaction>, LogError> {
        self.client.meet(Call::Committed, "asking for open transactions")?;
        Ok(self.client.state().transactions.all())
    }

    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError> {
        let client = self.client.clone();
        let joined = self.client.change(Call::Join, "a join", || session::SimulatedSession::join(client, config))?;
        Ok(Box::new(joined))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(reader::SimulatedReader::new(self.client.clone(), isolation)))
    }

    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        Ok(Box::new(appender::SimulatedAppender::new(self.client.clone())))
    }
}
