//! Overdue timers after downtime wait for the records that would have cancelled them.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use beacon_core::log::TopicPartition;
use beacon_core::log::partition::for_key;
use beacon_core::runtime::App;

use super::rig::Rig;
use crate::support::faulty::FaultyLog;
use crate::support::told::{listen, told};
use crate::support::watchdog::{PARTITIONS, Watchdog};
use crate::support::{count, read_all, wait_until};

const PATIENCE: Duration = Duration::from_millis(1500);

fn app(rig: &Rig, job: &Watchdog, threads: u32) -> App {
    let mut config = rig.on_disk(job.config("0"));
    config.threads = threads;
    rig.start(job.topology(), config)
}

#[test]
fn overdue_timers_wait_for_the_backlog_of_their_task() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog", 0, PATIENCE);
    job.a_backlog_wins(rig.log.as_ref(), || app(&rig, &job, 1), || app(&rig, &job, 1));
}

#[test]
fn overdue_timers_wait_for_a_backlog_that_reaches_them_through_a_re_key() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog-keyed", 1, PATIENCE);
    job.a_backlog_wins(rig.log.as_ref(), || app(&rig, &job, 2), || app(&rig, &job, 2));
}

#[test]
fn overdue_timers_wait_for_a_backlog_two_re_keys_away() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog-far", 2, PATIENCE);
    job.a_backlog_wins(rig.log.as_ref(), || app(&rig, &job, 1), || app(&rig, &job, 1));
}

#[test]
fn overdue_timers_wait_for_a_backlog_that_an_abort_made_unread_again() {
    let rig = Rig::new();
    let job = Watchdog::new("backlog-abort", 0, PATIENCE);
    let log = FaultyLog::over(Arc::clone(&rig.log));
    let restart = || {
        let mut config = rig.on_disk(job.config("0"));
        // One commit for the whole backlog, and that is aborted.
        config.commit_interval = Duration::from_secs(60);
        log.faults.aborts.store(1, SeqCst);
        App::start(log.clone(), job.topology(), config).expect("started")
    };
    job.a_backlog_wins(rig.log.as_ref(), || app(&rig, &job, 1), restart);
    assert_eq!(log.faults.aborts.load(SeqCst), 0, "the commit was aborted");
}

/// One partition of the input has no leader, and with it everything is missing that would have cancelled timers.
#[test]
fn overdue_timers_wait_no_longer_than_the_patience_for_records_that_nobody_reads() {
    const BACKLOG_PATIENCE: Duration = Duration::from_secs(1);
    listen();
    let rig = Rig::new();
    let job = Watchdog::new("backlog-stuck", 1, PATIENCE);
    job.make_topics(rig.log.as_ref());
    let hosts: Vec<String> = (0..40).map(|number| format!("h{number}")).collect();
    let first = app(&rig, &job, 1);
    let armed = Instant::now();
    job.send(rig.log.as_ref(), hosts.iter().map(String::as_str), "arm");
    wait_until("all timers are set", || {
        job.is_read_up(rig.log.as_ref()) && first.stats().records >= 2 * hosts.len() as u64
    });
    first.stop().expect("stopped");
    let fired = || read_all(rig.log.as_ref(), &job.output()).into_iter().map(|record| record.key).collect::<Vec<_>>();
    assert!(fired().is_empty(), "the machine is too slow for this test");
    let silent = TopicPartition::new(job.input(), 0);
    let cancels = hosts.iter().map(|host| job.record(host, "cancel").to_partition(silent.partition)).collect();
    rig.log.appender().expect("an appender").append_blocking(cancels).expect("appended");
    std::thread::sleep(PATIENCE.saturating_sub(armed.elapsed()));

    let log = FaultyLog::over(Arc::clone(&rig.log));
    log.faults.silence(Some(silent.clone()));
    let mut config = rig.on_disk(job.config("0"));
    config.backlog_patience = BACKLOG_PATIENCE;
    let started = Instant::now();
    let second = App::start(log.clone(), job.topology(), config).expect("started");
    // The task that reads that partition has the records in front of it, and waits on.
    let of_others = |host: &&String| for_key(host.as_bytes(), PARTITIONS) != silent.partition;
    let mut others: Vec<_> = hosts.iter().filter(of_others).map(|host| host.clone().into_bytes()).collect();
    others.sort();
    wait_until("the timers of the other tasks fire", || fired().len() >= others.len());
    assert!(started.elapsed() >= BACKLOG_PATIENCE, "they did not wait: {:?}", started.elapsed());
    let mut early = fired();
    early.sort();
    assert_eq!(early, others);
    let given_up = told(&["nobody reads on here", &silent.to_string()]);
    assert_eq!(given_up.len(), 1, "{given_up:?}");

    log.faults.silence(None);
    wait_until("everything is read", || {
        job.is_read_up(rig.log.as_ref()) && second.stats().records >= 2 * hosts.len() as u64
    });
    second.stop().expect("stopped");
}

#[test]
fn timers_fire_while_new_records_keep_coming() {
    let rig = Rig::new();
    let job = Watchdog::new("busy", 0, Duration::from_millis(300));
    job.make_topics(rig.log.as_ref());
    job.send(rig.log.as_ref(), ["h0"], "arm");
    let first = app(&rig, &job, 1);
    wait_until("the timer is set", || job.is_read_up(rig.log.as_ref()));
    first.stop().expect("stopped");
    job.send(rig.log.as_ref(), ["h0"], "fine");
    // From now on the input comes faster than it is read: its end is never reached.
    job.work.store(2_000, SeqCst);
    let second = app(&rig, &job, 1);
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
    second.stop().expect("stopped");
}
