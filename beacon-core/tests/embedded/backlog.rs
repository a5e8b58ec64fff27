//! Overdue timers after downtime wait for the records that would have cancelled them.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use beacon_core::log::Isolation;
use beacon_core::log::TopicPartition;
use beacon_core::runtime::App;

use super::rig::Rig;
use crate::support::faulty::FaultyLog;
use crate::support::watchdog::{PARTITIONS, Watchdog};
use crate::support::{count, read_all, wait_until};

const PATIENCE: Duration = Duration::from_millis(1500);

fn hosts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("h{number}")).collect()
}

fn read_up(rig: &Rig, job: &Watchdog) -> bool {
    let at = |number| TopicPartition::new(job.input(), number);
    let committed = rig.log.committed(&job.application(), &[&job.input()]).expect("committed");
    (0..PARTITIONS).all(|number| {
        let end = rig.log.offsets(&at(number), Isolation::Committed).expect("offsets").end;
        end == 0 || committed.contains(&(at(number), end))
    })
}

/// Arms 200 timers, is down when they are due, and comes back to a backlog that cancels all but one.
fn a_backlog_wins(rig: &Rig, job: &Watchdog, threads: u32, restart: impl FnOnce(&Watchdog) -> App) {
    let hosts = hosts(200);
    let names = || hosts.iter().map(String::as_str);
    let mut config = rig.on_disk(job.config("0"));
    config.threads = threads;
    let app = rig.start(job.topology(), config);
    let armed = Instant::now();
    wait_until("topics are made", || rig.log.describe_topic(&job.input()).expect("described").is_some());
    job.send(rig.log.as_ref(), names(), "arm");
    wait_until("all timers are set", || {
        read_up(rig, job) && app.stats().records >= (job.hops as u64 + 1) * hosts.len() as u64
    });
    app.stop().expect("stopped");
    assert!(armed.elapsed() < PATIENCE, "the machine is too slow for this test");
    assert_eq!(count(rig.log.as_ref(), &job.output()), 0);
    // More than one poll brings, so that the end of the backlog is a while away.
    for _ in 0..100 {
        job.send(rig.log.as_ref(), names(), "fine");
    }
    job.send(rig.log.as_ref(), names().filter(|host| *host != "h7"), "cancel");
    std::thread::sleep(PATIENCE.saturating_sub(armed.elapsed()) + Duration::from_millis(50));
    let app = restart(job);
    wait_until("the one timer left fires", || count(rig.log.as_ref(), &job.output()) >= 1);
    wait_until("everything is read", || read_up(rig, job));
    app.stop().expect("stopped");
    let fired: Vec<_> = read_all(rig.log.as_ref(), &job.output()).into_iter().map(|record| record.key).collect();
    assert_eq!(fired, [b"h7".to_vec()], "{} timers fired", fired.len());
}

#[test]
fn overdue_timers_wait_for_the_backlog_of_their_task() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog", 0, PATIENCE);
    a_backlog_wins(&rig, &job, 1, |job| rig.start(job.topology(), rig.on_disk(job.config("0"))));
}

#[test]
fn overdue_timers_wait_for_a_backlog_that_reaches_them_through_a_re_key() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog-keyed", 1, PATIENCE);
    let config = || {
        let mut config = rig.on_disk(job.config("0"));
        config.threads = 2;
        config
    };
    a_backlog_wins(&rig, &job, 2, |job| rig.start(job.topology(), config()));
}

#[test]
fn overdue_timers_wait_for_a_backlog_two_re_keys_away() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog-far", 2, PATIENCE);
    a_backlog_wins(&rig, &job, 1, |job| rig.start(job.topology(), rig.on_disk(job.config("0"))));
}

#[test]
fn overdue_timers_wait_for_a_backlog_that_an_abort_made_unread_again() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog-abort", 0, PATIENCE);
    let log = FaultyLog::over(Arc::clone(&rig.log));
    a_backlog_wins(&rig, &job, 1, |job| {
        let mut config = rig.on_disk(job.config("0"));
        // One commit for the whole backlog, and that is aborted.
        config.commit_interval = Duration::from_secs(60);
        log.faults.aborts.store(1, SeqCst);
        App::start(log.clone(), job.topology(), config).expect("started")
    });
    assert_eq!(log.faults.aborts.load(SeqCst), 0, "the commit was aborted");
}

#[test]
fn timers_fire_while_new_records_keep_coming() {
    let rig = Rig::new();
    let job = Watchdog::new("busy", 0, Duration::from_millis(300));
    let app = rig.start(job.topology(), rig.on_disk(job.config("0")));
    wait_until("topics are made", || rig.log.describe_topic(&job.input()).expect("described").is_some());
    job.send(rig.log.as_ref(), ["h0"], "arm");
    wait_until("the timer is set", || read_up(&rig, &job));
    app.stop().expect("stopped");
    job.send(rig.log.as_ref(), ["h0"], "fine");
    // From now on the input comes faster than it is read: its end is never reached.
    job.work.store(2_000, SeqCst);
    let app = rig.start(job.topology(), rig.on_disk(job.config("0")));
    let fired = || count(rig.log.as_ref(), &job.output()) > 0;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fired() {
        assert!(Instant::now() < deadline, "the timer waits for an end that never comes");
        for _ in 0..10 {
            job.send(rig.log.as_ref(), ["h0"], "fine");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    job.work.store(0, SeqCst);
    app.stop().expect("stopped");
}
