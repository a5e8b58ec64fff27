//! Partitions that the group says this member has, and the member has never heard of.
//!
//! Under KIP-848 a broker tells a member of its partitions in the answer to one heartbeat, and again only to a heartbeat that
//! says everything anew. librdkafka (2.12.1) says everything after a connection broke, not after an answer did not come
//! in time: a broker that stands still for longer than the heartbeat interval leaves a partition that nobody reads, and a
//! member that is content. So after a heartbeat without an answer the group is asked, and a member that has missed something
//! joins anew.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::super::admin::Cluster;
use super::super::error::log_error;
use super::super::partitions::list;
use super::super::raw::Client;
use crate::log::{LogError, LogErrorKind, SessionConfig, TopicPartition};

/// How long after a heartbeat without an answer the group is asked, and from one question to the next.
const EVERY: Duration = Duration::from_secs(3);
/// Answers that a heartbeat without an answer is worth: what is missing in two in a row was missed, and the first may
/// come while the broker still has that heartbeat before it.
const LOOKS: u32 = 3;
/// How long the coordinator may take to show that it works.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How long an answer is waited for, by a thread that has nothing else to do: as long as librdkafka lets a request take, because
/// one that is given up while its coordinator is looked for is sure to meet the assertion that [`Lookout::ask`] tells of.
const PATIENCE: Duration = Duration::MAX;

type Told = Result<BTreeSet<TopicPartition>, LogError>;

/// What was missing when it was looked last, and how often it is still looked.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    looks: u32,
    next: Option<Instant>,
    asked: Option<mpsc::Receiver<Told>>,
    missing: BTreeSet<TopicPartition>,
}

impl Lookout {
    /// A heartbeat was not answered.
    pub fn alarm(&mut self, now: Instant) {
        self.looks = LOOKS;
        self.next.get_or_insert(now + EVERY);
    }

    /// Whether it is time to ask. A question is under way at a time.
    pub fn is_due(&self, now: Instant) -> bool {
        self.asked.is_none() && self.next.is_some_and(|next| now >= next)
    }

    /// Asks the group what it has given to the member with this id, on a thread of its own.
    ///
    /// Only when its coordinator has just answered the member: librdkafka (2.12.1) ends the process by an assertion
    /// (`eonce->refcnt > 0`) when such a request meets an outage of the coordinator, whatever its time-out. That is a sign of life
    /// of the broker; the question goes by another client's connection. The thread holds the cluster until it is answered.
    pub fn ask(&mut self, cluster: Arc<Cluster>, client: Arc<Client>, config: &SessionConfig, member: String) {
        let (tell, told) = mpsc::sync_channel(1);
        let group = config.group.clone();
        let any: Vec<_> = config.topics.iter().map(|topic| TopicPartition::new(topic.as_str(), 0)).collect();
        let asking = std::thread::Builder::new().name("kafka-lookout".into()).spawn(move || {
            let alive = client.committed(&list(any.iter()), SIGN_OF_LIFE);
            // It may have left when the group answers, and goes with its last holder.
            drop(client);
            let answer = match alive {
                Ok(()) => cluster.assignment_of(&group, &member, PATIENCE),
                Err(code) => Err(log_error(code, format_args!("the coordinator of group {group}"))),
            };
            // Who has joined anew meanwhile does not want to know.
            let _ = tell.send(answer);
        });
        match asking {
            Ok(_) => self.asked = Some(told),
            Err(error) => {
                tracing::debug!(%error, "no thread to ask the group with; asking later");
                self.postpone(Instant::now());
            }
        }
    }

    /// What the group has said; `None`: nothing yet, or nothing of use, and it will be asked again.
    pub fn answer(&mut self, now: Instant) -> Option<BTreeSet<TopicPartition>> {
        let answer = self.asked.as_ref()?.try_recv();
        if matches!(answer, Err(mpsc::TryRecvError::Empty)) {
            return None;
        }
        self.asked = None;
        self.postpone(now);
        match answer.ok()? {
            Ok(told) => Some(told),
            Err(error) if error.kind() == LogErrorKind::Retriable => {
                tracing::debug!(%error, "the group does not say what this member has; asking again");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the group does not say what this member has");
                self.looked();
                None
            }
        }
    }

    /// Takes note of what the group says and what this member has. What is missing now and was missing the last time will
    /// not come: the answer that told of it is long gone.
    pub fn missed(
        &mut self,
        told: BTreeSet<TopicPartition>,
        has: impl Fn(&TopicPartition) -> bool,
    ) -> Vec<TopicPartition> {
        let missing: BTreeSet<_> = told.into_iter().filter(|partition| !has(partition)).collect();
        let before = std::mem::replace(&mut self.missing, missing);
        self.looked();
        before.intersection(&self.missing).cloned().collect()
    }

    /// Nobody can be asked about this member now.
    pub fn postpone(&mut self, now: Instant) {
        self.next = Some(now + EVERY);
    }

    /// One look less; the last one is that which finds nothing missing.
    fn looked(&mut self) {
        self.looks = self.looks.saturating_sub(1);
        if self.looks == 0 && self.missing.is_empty() {
            self.next = None;
        }
    }

    /// Membership is changing: what was missing may be on its way.
    pub fn look_again(&mut self) {
        self.missing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(numbers: &[u32]) -> BTreeSet<TopicPartition> {
        numbers.iter().map(|number| TopicPartition::new("in", *number)).collect()
    }

    #[test]
    fn what_is_missing_twice_was_missed() {
        let mut lookout = Lookout::default();
        let has = |partition: &TopicPartition| partition.partition == 0;
        assert_eq!(lookout.missed(partitions(&[0, 1]), has), []);
        assert_eq!(lookout.missed(partitions(&[0, 2]), has), [], "another one");
        lookout.look_again();
        assert_eq!(lookout.missed(partitions(&[0, 2]), has), []);
        assert_eq!(lookout.missed(partitions(&[0, 2]), |_| true), [], "it came");
        assert_eq!(lookout.missed(partitions(&[0, 2]), has), []);
        assert_eq!(lookout.missed(partitions(&[0, 1, 2]), has), [TopicPartition::new("in", 2)]);
    }

    #[test]
    fn nobody_is_asked_without_need() {
        let (mut lookout, begin) = (Lookout::default(), Instant::now());
        assert!(!lookout.is_due(begin + 100 * EVERY));
        lookout.alarm(begin);
        assert!(!lookout.is_due(begin), "the answer may have been given and not acted on");
        assert!(lookout.is_due(begin + EVERY));
        for _ in 1..LOOKS {
            lookout.missed(partitions(&[0]), |_| true);
            assert!(lookout.is_due(begin + EVERY));
        }
        lookout.missed(partitions(&[0]), |_| true);
        assert!(!lookout.is_due(begin + 100 * EVERY), "it has all that it was given");
    }

    #[test]
    fn what_is_missing_is_looked_for_until_it_is_certain() {
        let (mut lookout, begin) = (Lookout::default(), Instant::now());
        lookout.alarm(begin);
        for _ in 1..LOOKS {
            lookout.missed(partitions(&[0]), |_| true);
        }
        assert_eq!(lookout.missed(partitions(&[0]), |_| false), []);
        assert!(lookout.is_due(begin + EVERY));
        assert_eq!(lookout.missed(partitions(&[0]), |_| false), [TopicPartition::new("in", 0)]);
    }

    #[test]
    fn a_question_that_was_not_answered_is_asked_again() {
        let (mut lookout, begin) = (Lookout::default(), Instant::now());
        lookout.alarm(begin);
        let (tell, told) = mpsc::sync_channel(1);
        lookout.asked = Some(told);
        assert!(!lookout.is_due(begin + EVERY), "one at a time");
        assert_eq!(lookout.answer(begin), None);
        drop(tell);
        assert_eq!(lookout.answer(begin + EVERY), None);
        assert!(!lookout.is_due(begin + EVERY));
        assert!(lookout.is_due(begin + 2 * EVERY));
    }

    #[test]
    fn a_group_that_may_not_be_asked_is_not_asked_for_ever() {
        let (mut lookout, begin) = (Lookout::default(), Instant::now());
        lookout.alarm(begin);
        let mut asked = 0;
        let mut now = begin + EVERY;
        while lookout.is_due(now) {
            let (tell, told) = mpsc::sync_channel(1);
            lookout.asked = Some(told);
            tell.send(Err(LogError::new(LogErrorKind::Fatal, "not authorized".to_owned()))).expect("it listens");
            assert_eq!(lookout.answer(now), None);
            asked += 1;
            now += EVERY;
        }
        assert_eq!(asked, LOOKS);
    }
}
