//! Whether a partition still begins where its group said, asked once more before the first commit that builds on it.
//!
//! A coordinator that has just come back may answer from a group that it has loaded half (Kafka 4.2.2, decision 0082): with offsets
//! of the past. Whoever began there would do again what is committed, for good with its first commit. By then the
//! coordinator says something else: nobody but the owner commits for a partition.
//!
//! Invariant: no session commits for a partition whose offset has moved since it began there
//! (`src/log/kafka/session/second_look.rs: a_group_that_says_something_else_before_the_first_commit_is_joined_anew`). It
//! is one question for each assignment, and cannot see a coordinator that says the same wrong thing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::error::{kind_of, log_error};
use super::super::partitions::{committed_in, list};
use super::super::raw::Client;
use crate::log::{CommitError, LogError, LogErrorKind, Offset, TopicPartition};

/// How long the question may take; asked again for as long as it has no answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the group has said of partitions for which nothing was committed since.
#[derive(Debug, Default)]
pub(super) struct SecondLook {
    /// `None`: it knew no offset.
    told: BTreeMap<TopicPartition, Option<Offset>>,
}

impl SecondLook {
    /// Takes note of what the group has said.
    pub fn note(&mut self, partition: &TopicPartition, told: Option<Offset>) {
        self.told.insert(partition.clone(), told);
    }

    /// Asks again if there is one of these that was not committed for yet.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when the group says something else now; [`CommitError::Unknown`] without an answer, and
    /// [`CommitError::Abortable`] while the group changes.
    pub fn take<'a>(
        &mut self,
        client: &Client,
        group: &str,
        committing: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<(), CommitError> {
        // Almost always.
        if self.told.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = committing.filter(|partition| self.told.contains_key(*partition)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let answer = list(asked.iter().copied());
        client.committed(&answer, PATIENCE).map_err(|code| no_answer(code, group))?;
        let answer = committed_in(&answer).map_err(|(_, code)| no_answer(code, group))?;
        for (partition, (_, now)) in asked.iter().zip(answer) {
            let before = self.told[*partition];
            if before != now {
                return Err(CommitError::Fenced(LogError::new(
                    LogErrorKind::Fenced,
                    format!(
                        "group {group} said that {partition} is read to {}, and says {} now: its coordinator had not loaded all of \
                         the group, or somebody else commits for it",
                        shown(before),
                        shown(now)
                    ),
                )));
            }
        }
        for partition in asked {
            self.told.remove(partition);
        }
        Ok(())
    }
}

fn no_answer(code: Code, group: &str) -> CommitError {
    let error = log_error(code, format_args!("committed offsets of group {group} before the first commit"));
    match (kind_of(code), code) {
        (LogErrorKind::Fenced, _) => CommitError::Fenced(error),
        // The group is changing, which has to be heard of by a poll.
        (_, Code::StaleMemberEpoch | Code::IllegalGeneration | Code::RebalanceInProgress) => {
            CommitError::Abortable(error)
        }
        (LogErrorKind::Retriable, _) => CommitError::Unknown(error),
        _ => CommitError::Fatal(error),
    }
}

fn shown(offset: Option<Offset>) -> String {
    offset.map_or_else(|| "no offset".to_owned(), |offset| offset.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::super::admin::Cluster;
    use super::super::super::partitions::list_at;
    use super::super::super::{GroupProtocol, KafkaConfig};
    use super::super::KafkaSession;
    use super::super::joining::open_transactor;
    use super::*;
    use crate::log::{CleanupPolicy, Event, Session, SessionConfig, TopicSpec};

    /// A member that owns the one partition of the topic, and where it begins.
    fn member(cluster: &Arc<Cluster>, config: SessionConfig) -> (KafkaSession, Offset) {
        let mut session = KafkaSession::open(Arc::clone(cluster), config).expect("a session");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "nothing was assigned");
            if let Event::Assigned(places) = session.poll(Duration::from_millis(100)).expect("polled")
                && let [(_, offset)] = *places
            {
                return (session, offset);
            }
        }
    }

    fn group_says_something_else(protocol: GroupProtocol) {
        let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").expect("a real Kafka: see `make test`");
        let mut config = KafkaConfig::new(servers);
        config.group_protocol = protocol;
        let cluster = Arc::new(Cluster::connect(config).expect("connected"));
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
        let name = format!("second-look-{nanos:x}");
        let cleanup = CleanupPolicy::Delete { retention: None };
        cluster.create_topics(&[TopicSpec { name: name.clone(), partitions: 1, cleanup }]).expect("made");
        let at = TopicPartition::new(name.as_str(), 0);
        let config = |id: &str| SessionConfig::new(name.clone(), format!("{name}-{id}"), vec![name.clone()]);

        let (mut session, begins) = member(&cluster, config("first"));
        assert_eq!(begins, 0);
        // What it was not told, as by a coordinator that loads it only now: a commit in its own name.
        let mut unheard = open_transactor(&cluster, &config("unheard")).expect("a producer");
        unheard.begin().expect("begun");
        let membership = || session.client.membership();
        unheard.commit(&list_at([(&at, 2)].into_iter()), membership).expect("committed");
        session.begin().expect("begun");
        match session.commit(&[(at.clone(), 1)]) {
            Err(CommitError::Fenced(error)) => {
                let text = error.to_string();
                assert!(text.contains("no offset") && text.contains("says 2 now"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        drop(session);

        let (mut session, begins) = member(&cluster, config("second"));
        assert_eq!(begins, 2, "what was committed is as it was");
        // Only the first commit asks: the later ones are its own.
        for offset in [3, 4] {
            session.begin().expect("begun");
            session.commit(&[(at.clone(), offset)]).expect("committed");
        }
        drop(session);
        assert_eq!(member(&cluster, config("third")).1, 4);
    }

    #[test]
    fn a_group_that_says_something_else_before_the_first_commit_is_joined_anew() {
        group_says_something_else(GroupProtocol::Auto);
        group_says_something_else(GroupProtocol::Classic);
    }
}
