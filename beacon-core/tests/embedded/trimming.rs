//! Internal topics hold what the group has not read, and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::tools::{self, InputKind, PartitionLag};

use super::rig::{PACE, Rig};
use crate::support::counting::{Counting, Mood};
use crate::support::{count, wait_until};

fn internal(log: &dyn Log, job: &Counting) -> Vec<PartitionLag> {
    let lag = tools::lag(log, &job.topology(&Arc::default())).expect("lag");
    lag.into_iter().filter(|lag| lag.kind == InputKind::Internal).collect()
}

#[test]
fn what_was_read_is_trimmed_and_what_was_not_waits() {
    let (rig, job) = (Rig::new(), Counting::new("trimmed", 40));
    let mut config = rig.on_disk(job.config("0"));
    config.trim_interval = Duration::from_millis(20);
    job.make_topics(rig.log.as_ref());
    let mood = Arc::new(Mood::default());
    // An operator that does not come to its end keeps what it has not read, however often others are trimmed.
    mood.retries();
    let app = rig.start(job.topology(&mood), config.clone());
    job.feed(rig.log.as_ref(), job.records() / 2, PACE);
    wait_until("it stands still", || mood.hits.load(Ordering::SeqCst) > 5);
    let waiting = internal(rig.log.as_ref(), &job);
    assert!(waiting.iter().all(|lag| lag.start <= lag.committed.unwrap_or(0)), "{waiting:?}");
    app.stop().expect("stopped");
    mood.content();
    let app = rig.start(job.topology(&mood), config);
    let all_trimmed = || {
        let lag = internal(rig.log.as_ref(), &job);
        lag.iter().all(|lag| lag.start == lag.end) && lag.iter().any(|lag| lag.end > 0)
    };
    wait_until("half is counted", || count(rig.log.as_ref(), &job.output()) as u64 >= job.records() / 2);
    wait_until("all of it is trimmed", all_trimmed);
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    wait_until("everything is trimmed", all_trimmed);
    app.stop().expect("stopped");
    rig.check(&job, "0");
}
