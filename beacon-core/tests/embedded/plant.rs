//! Nearly every operator there is, in one job, through kills and with a second instance that comes and goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::runtime::{App, StateLocation};

use super::rig::{PACE, wait_running};
use crate::support::children::{Other, say};
use crate::support::plant::{PARTITIONS, Plant, check_state};
use crate::support::{chance, state_on_disk, timeless, wait_until};

const DIRECTORY: &str = "BEACON_TEST_PLANT_DIRECTORY";
const LIMIT: &str = "BEACON_TEST_PLANT_LIMIT";
const KILLS: u64 = 8;

fn plant() -> Plant {
    Plant::new("killed", 600)
}

fn start(log: &Arc<dyn Log>, directory: &Path, instance: &str) -> App {
    let plant = plant();
    let mut config = plant.config(instance);
    config.state = StateLocation::Directory(directory.join(format!("state-{instance}")));
    // Small enough that some state is on disk at every kill and some is not.
    config.flush_bytes = 2 << 10;
    config.threads = 2;
    App::start(Arc::clone(log), plant.topology(), config).expect("started")
}

/// Feeds up to a number of records, the second half beside a second instance, then says so and goes on; with everything
/// fed it ends.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let limit: u64 = std::env::var(LIMIT).expect("set by the parent").parse().expect("a number");
    let (directory, plant) = (Path::new(&directory), plant());
    let log: Arc<dyn Log> = EmbeddedLog::open(directory.join("log")).expect("opened");
    plant.make_topics(log.as_ref());
    let first = start(&log, directory, "0");
    plant.feed(log.as_ref(), (plant.fed(log.as_ref()) + limit) / 2, PACE);
    let second = start(&log, directory, "1");
    let half = u64::from(PARTITIONS) / 2;
    wait_until("both have their share", || first.stats().tasks == half && second.stats().tasks == half);
    plant.feed(log.as_ref(), limit, PACE);
    say("FED");
    while limit < plant.records() {
        std::thread::sleep(Duration::from_millis(10));
    }
    plant.wait_read(log.as_ref());
    second.stop().expect("the second stops in good order");
    wait_running(&first, u64::from(PARTITIONS));
    first.stop().expect("the first stops in good order");
    say("DONE");
}

#[test]
fn every_operator_says_through_kills_and_rebalances_what_it_says_without() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().to_str().expect("text").to_owned();
    let plant = plant();
    let start = |limit: u64| Other::start("embedded::plant::child", &[(DIRECTORY, &path), (LIMIT, &limit.to_string())]);
    for kill in 0..KILLS {
        let mut other = start(plant.work() * (kill + 1) / (KILLS + 1));
        let alive = if kill % 2 == 0 {
            // Something was done, and is not all on disk.
            other.wait_for("FED");
            chance(50)
        } else {
            60 + chance(600)
        };
        assert!(other.kill_after(Duration::from_millis(alive)), "the child ended before it was killed");
        if kill == 5 {
            // One of two disks is lost.
            std::fs::remove_dir_all(directory.path().join("state-0")).expect("it is there");
        }
    }
    let mut last = start(plant.records());
    last.wait_for("DONE");
    last.wait_for_end();
    let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
    assert_eq!(plant.fed(log.as_ref()), plant.records());
    plant.check(log.as_ref());
    let disk = state_on_disk(&directory.path().join("state-0"), &plant.application(), PARTITIONS);
    check_state(&disk.into_iter().map(timeless).collect::<Vec<_>>(), &plant.calm_run().state);
    println!("{KILLS} kills, {}", log.describe());
}
