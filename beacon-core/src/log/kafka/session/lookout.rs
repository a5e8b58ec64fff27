//! Partitions that the group says this member has, and the member has never heard of.
//!
//! Under KIP-848 a broker tells a member of its partitions in the answer to one heartbeat, and again only to a heartbeat that
//! says everything anew. librdkafka (2.12.1) says everything after a connection broke, not after an answer did not come
//! in time: a broker that stands still for longer than the heartbeat interval leaves a partition that nobody reads, and a
//! member that is content. So the group is asked now and then, and a member that has missed something joins anew.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::super::admin::Cluster;
use crate::log::{LogError, TopicPartition};

/// How often the group is asked. One request to its coordinator, for each member.
const EVERY: Duration = Duration::from_secs(10);
/// How long an answer is waited for, by a thread that has nothing else to do. A request that is given up while its
/// coordinator is looked for ends the process by an assertion when that is found (librdkafka 2.12.1).
const PATIENCE: Duration = Duration::from_secs(3600);

/// What was missing when it was looked last.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    next: Option<Instant>,
    asked: Option<mpsc::Receiver<Result<BTreeSet<TopicPartition>, LogError>>>,
    missing: BTreeSet<TopicPartition>,
}

impl Lookout {
    /// Whether it is time to ask; if so, the next time is [`EVERY`] later. A question is under way at a time.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= *self.next.get_or_insert(now + EVERY);
        if due {
            self.next = Some(now + EVERY);
        }
        due && self.asked.is_none()
    }

    /// Asks the group what it has given to the member with this id, on a thread of its own.
    pub fn ask(&mut self, cluster: Arc<Cluster>, group: String, member: String) {
        let (tell, told) = mpsc::sync_channel(1);
        let asking = std::thread::Builder::new().name("kafka-lookout".into()).spawn(move || {
            let answer = cluster.assignment_of(&group, &member, PATIENCE);
            // Who has joined anew meanwhile does not want to know.
            let _ = tell.send(answer);
        });
        match asking {
            Ok(_) => self.asked = Some(told),
            Err(error) => tracing::debug!(%error, "no thread to ask the group with; asking later"),
        }
    }

    /// What the group has said; `None`: nothing yet, or nothing of use.
    pub fn answer(&mut self) -> Option<BTreeSet<TopicPartition>> {
        let answer = self.asked.as_ref()?.try_recv();
        if matches!(answer, Err(mpsc::TryRecvError::Empty)) {
            return None;
        }
        self.asked = None;
        match answer.ok()? {
            Ok(told) => Some(told),
            Err(error) => {
                tracing::debug!(%error, "the group does not say what this member has");
                None
            }
        }
    }

    /// Takes note of what the group says and what this member has. What is missing now and was missing the last time will
    /// not come: between the two there have been many heartbeats.
    pub fn missed(
        &mut self,
        told: BTreeSet<TopicPartition>,
        has: impl Fn(&TopicPartition) -> bool,
    ) -> Vec<TopicPartition> {
        let missing: BTreeSet<_> = told.into_iter().filter(|partition| !has(partition)).collect();
        let before = std::mem::replace(&mut self.missing, missing);
        before.intersection(&self.missing).cloned().collect()
    }

    /// Membership is changing, or begins anew: what was missing may be on its way, and an answer is of another member.
    pub fn forget(&mut self) {
        self.asked = None;
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
        lookout.forget();
        assert_eq!(lookout.missed(partitions(&[0, 2]), has), []);
        assert_eq!(lookout.missed(partitions(&[0, 2]), |_| true), [], "it came");
        assert_eq!(lookout.missed(partitions(&[0, 2]), has), []);
        assert_eq!(lookout.missed(partitions(&[0, 1, 2]), has), [TopicPartition::new("in", 2)]);
    }

    #[test]
    fn it_asks_now_and_then() {
        let (mut lookout, begin) = (Lookout::default(), Instant::now());
        let due: Vec<_> = (0..25).filter(|seconds| lookout.is_due(begin + Duration::from_secs(*seconds))).collect();
        assert_eq!(due, [10, 20]);
    }
}
