//! Internal topics hold what the group has not read, and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use beacon_core::log::{Isolation, TopicPartition};
use beacon_core::runtime::App;

use super::rig::{Rig, wait_running};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::faulty::FaultyLog;
use crate::support::trimmed::{internal, what_was_read_is_trimmed};
use crate::support::{count, wait_until};

#[test]
fn what_was_read_is_trimmed_and_what_was_not_waits() {
    let (rig, job) = (Rig::new(), Counting::new("trimmed", 40));
    let config = rig.on_disk(job.config("0"));
    what_was_read_is_trimmed(&rig.log, &job, config);
}

/// An application that has counted half of its input and then stands still within a poll.
fn away_at_half(rig: &Rig, job: &Counting) -> (Arc<FaultyLog>, App) {
    job.make_topics(rig.log.as_ref());
    let log = FaultyLog::over(Arc::clone(&rig.log));
    let mut config = rig.on_disk(job.config("a"));
    config.session_timeout = Duration::from_millis(400);
    let app = App::start(log.clone(), job.topology(&Arc::default()), config).expect("started");
    wait_running(&app, u64::from(PARTITIONS));
    job.feed(rig.log.as_ref(), job.records() / 2, Duration::ZERO);
    wait_until("half is counted", || count(rig.log.as_ref(), &job.output()) as u64 >= job.records() / 2);
    log.faults.goes_away();
    wait_until("it stands still", || log.faults.is_away.load(Ordering::SeqCst));
    (log, app)
}

#[test]
fn one_that_was_away_while_others_read_on_and_trimmed_joins_again() {
    let (rig, job) = (Rig::new(), Counting::new("away", 40));
    let (log, away) = away_at_half(&rig, &job);
    let mut config = rig.on_disk(job.config("b"));
    config.trim_interval = Duration::from_millis(20);
    let other = rig.start(job.topology(&Arc::default()), config);
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    wait_until("everything was trimmed", || {
        internal(rig.log.as_ref(), &job).iter().all(|lag| lag.start == lag.end && lag.start > 0)
    });
    log.faults.finds_it_trimmed();
    wait_until("it has a share again", || away.stats().tasks > 0 && other.stats().tasks < u64::from(PARTITIONS));
    wait_until("nobody restores", || away.stats().restoring + other.stats().restoring == 0);
    let stats = away.stats();
    assert_eq!((stats.rejoined, stats.fenced), (1, 0), "{stats:?}");
    away.stop().expect("it never ended");
    other.stop().expect("in good order");
    job.check(rig.log.as_ref());
}

#[test]
fn one_whose_group_has_not_read_what_is_gone_ends_and_passes_over_nothing() {
    let (rig, job) = (Rig::new(), Counting::new("gone", 40));
    let (log, app) = away_at_half(&rig, &job);
    job.feed_all(rig.log.as_ref());
    let committed = || rig.log.committed(&job.application(), &[&job.input()]).expect("asked");
    let before = committed();
    let lost = TopicPartition::new(job.input(), 1);
    let end = rig.log.offsets(&lost, Isolation::Committed).expect("asked").end;
    rig.log.trim(&lost, end).expect("trimmed by somebody");
    log.faults.finds_it_trimmed();
    let error = app.wait().expect_err("what is gone cannot be counted");
    let text = format!("{error:?}");
    assert!(text.contains("says the test") && text.contains(&job.application()), "{text}");
    assert_eq!(committed(), before, "nothing is passed over");
}
