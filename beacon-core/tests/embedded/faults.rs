//! A log whose calls fail: aborted commits, unknown outcomes, questions without an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::runtime::App;

use super::rig::{PACE, Rig, wait_running};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::faulty::FaultyLog;
use crate::support::{chance, wait_until};

fn start(rig: &Rig, log: &Arc<FaultyLog>, job: &Counting, instance: &str) -> App {
    let config = rig.on_disk(job.config(instance));
    App::start(log.clone(), job.topology(&Default::default()), config).expect("started")
}

#[test]
fn aborted_and_unknown_commits_change_nothing() {
    let rig = Rig::new();
    let job = Counting::new("aborts", 100);
    job.make_topics(rig.log.as_ref());
    let log = FaultyLog::over(Arc::clone(&rig.log));
    let app = start(&rig, &log, &job, "0");
    let feeder = std::thread::spawn({
        let (job, log) = (job.clone(), Arc::clone(&rig.log));
        move || job.feed(log.as_ref(), job.records(), PACE)
    });
    while !feeder.is_finished() {
        // One kind at a time: the log sees to aborts first, and would come to the others late or never.
        let (kind, other) = match chance(2) {
            0 => (&log.faults.aborts, &log.faults.unknown),
            _ => (&log.faults.unknown, &log.faults.aborts),
        };
        kind.store(1 + chance(2) as u32, SeqCst);
        other.store(0, SeqCst);
        std::thread::sleep(Duration::from_millis(30));
    }
    feeder.join().expect("fed");
    rig.wait_complete(&job);
    assert!(app.stats().aborts > 3 && app.stats().unknown > 0, "{:?}", app.stats());
    app.stop().expect("stopped");
    rig.check(&job, "0");
}

#[test]
fn tasks_are_opened_when_the_log_answers_again() {
    let rig = Rig::new();
    let job = Counting::new("no-answer", 20);
    job.make_topics(rig.log.as_ref());
    let log = FaultyLog::over(Arc::clone(&rig.log));
    job.feed_all(rig.log.as_ref());
    log.faults.offsets.store(5, SeqCst);
    let app = start(&rig, &log, &job, "0");
    rig.wait_complete(&job);
    wait_running(&app, u64::from(PARTITIONS));
    app.stop().expect("stopped");
    rig.check(&job, "0");
}

#[test]
fn a_task_asked_back_is_given_up_even_when_its_last_commit_is_aborted() {
    let rig = Rig::new();
    let job = Counting::new("asked-back", 100);
    job.make_topics(rig.log.as_ref());
    let log = FaultyLog::over(Arc::clone(&rig.log));
    let feeder = std::thread::spawn({
        let (job, log) = (job.clone(), Arc::clone(&rig.log));
        move || job.feed(log.as_ref(), job.records(), PACE)
    });
    let start = |instance| {
        let mut config = rig.on_disk(job.config(instance));
        // At nearly every moment something waits for its commit, which is what may be refused.
        (config.commit_interval, config.commit_when_idle) = (Duration::from_millis(100), false);
        App::start(log.clone(), job.topology(&Default::default()), config).expect("started")
    };
    let first = start("a");
    wait_running(&first, u64::from(PARTITIONS));
    let (mut turns, mut refused) = (0, 0);
    while !feeder.is_finished() {
        log.faults.aborts_when_revoked.store(1, SeqCst);
        let second = start("b");
        wait_until("the second has its share", || second.stats().tasks == 2 && second.stats().restoring == 0);
        wait_until("the first has the rest", || first.stats().tasks == 2 && first.stats().restoring == 0);
        refused += u64::from(log.faults.aborts_when_revoked.load(SeqCst) == 0);
        second.stop().expect("the second stops in good order");
        turns += 1;
    }
    feeder.join().expect("fed");
    rig.wait_complete(&job);
    assert!(turns > 1);
    assert!(refused > 0, "in none of {turns} turns a commit was refused");
    assert_eq!(first.stats().aborts, refused, "each was dropped, and nothing else");
    first.stop().expect("the first stops in good order");
    assert!(log.describe().starts_with("faulty"));
    job.check(rig.log.as_ref());
}
