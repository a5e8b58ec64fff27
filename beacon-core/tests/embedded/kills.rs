//! `kill -9` at random moments, with the disk kept and the disk lost; state deleted between runs.

use std::path::Path;
use std::time::Duration;

use beacon_core::log::Log as _;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::runtime::{App, StateLocation};

use super::rig::{PACE, Rig};
use crate::support::children::{Other, say};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::{chance, count, state_on_disk, wait_until};

const DIRECTORY: &str = "BEACON_TEST_DIRECTORY";
const LIMIT: &str = "BEACON_TEST_LIMIT";
const KILLS: u64 = 12;

fn job() -> Counting {
    Counting::new("killed", 200)
}

/// Feeds and counts up to a number of records, then says so and goes on.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let limit: u64 = std::env::var(LIMIT).expect("set by the parent").parse().expect("a number");
    let directory = Path::new(&directory);
    let (job, log) = (job(), EmbeddedLog::open(directory.join("log")).expect("opened"));
    job.make_topics(log.as_ref());
    let mut config = job.config("0");
    config.state = StateLocation::Directory(directory.join("state"));
    // Small enough that some state is on disk at every kill and some is not.
    config.flush_bytes = 2 << 10;
    config.threads = 2;
    let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
    job.feed(log.as_ref(), limit, PACE);
    while !job.is_complete(log.as_ref()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    app.stop().expect("stopped in good order");
    say("DONE");
}

fn survives_kills(lose_disk: bool) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let job = job();
    let start = |kill: u64| {
        if lose_disk {
            match std::fs::remove_dir_all(directory.path().join("state")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            }
        }
        // Something is left to do in every run.
        let limit = (job.records() * (kill + 1) / (KILLS + 1)).to_string();
        let path = directory.path().to_str().expect("text").to_owned();
        Other::start("embedded::kills::child", &[(DIRECTORY, &path), (LIMIT, &limit)])
    };
    for kill in 0..KILLS {
        let alive = Duration::from_millis(60 + chance(350));
        assert!(start(kill).kill_after(alive), "the child ended before it was killed");
    }
    start(KILLS).wait_for("DONE");
    let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
    assert_eq!(job.fed(log.as_ref()), job.records());
    job.check(log.as_ref());
    let disk = state_on_disk(&directory.path().join("state"), &job.application(), PARTITIONS);
    assert!(disk == job.calm_run().1, "the state on disk differs");
    println!("{KILLS} kills, {}", log.describe());
}

#[test]
fn outputs_and_state_are_exact_through_kill_9_with_the_disk_kept() {
    survives_kills(false);
}

#[test]
fn outputs_and_state_are_exact_through_kill_9_with_the_disk_lost() {
    survives_kills(true);
}

#[test]
fn state_deleted_between_runs_comes_back_from_the_changelog() {
    let rig = Rig::new();
    let job = Counting::new("deleted", 40);
    job.make_topics(rig.log.as_ref());
    for run in 1..=4 {
        let app = rig.count(&job, "0", &Default::default());
        let fed = job.records() * run / 4;
        job.feed(rig.log.as_ref(), fed, Duration::ZERO);
        wait_until("what was fed is counted", || count(rig.log.as_ref(), &job.output()) as u64 >= fed);
        if run == 4 {
            rig.wait_complete(&job);
        }
        let restored = app.stats().restored_records;
        assert_eq!(restored > 0, run > 1, "run {run} restored {restored} records");
        app.stop().expect("stopped");
        if run < 4 {
            std::fs::remove_dir_all(rig.state("0")).expect("it is there");
        }
    }
    rig.check(&job, "0");
}

#[test]
fn a_calm_restart_reads_nothing_of_the_changelog() {
    let rig = Rig::new();
    let job = Counting::new("calm", 20);
    job.make_topics(rig.log.as_ref());
    job.feed_all(rig.log.as_ref());
    let app = rig.count(&job, "0", &Default::default());
    rig.wait_complete(&job);
    app.stop().expect("stopped");
    let app = rig.count(&job, "0", &Default::default());
    super::rig::wait_running(&app, u64::from(PARTITIONS));
    assert_eq!(app.stats().restored_records, 0);
    app.stop().expect("stopped");
    rig.check(&job, "0");
}
