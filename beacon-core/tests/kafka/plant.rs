//! Nearly every operator there is, in one job on a real Kafka, through kills, a takeover and a lost disk.

use std::path::Path;
use std::time::Duration;

use beacon_core::runtime::{App, Membership};

use super::support::children::{Other, say, wait_for_parent};
use super::support::plant::{PARTITIONS, Plant, check_state};
use super::support::{chance, state_on_disk, timeless, wait_until};
use super::{config, log, unique};

const READINGS: u64 = 600;
const PREFIX: &str = "BEACON_TEST_PLANT_PREFIX";
const STATE: &str = "BEACON_TEST_PLANT_STATE";

fn plant(prefix: &str) -> Plant {
    Plant::new(prefix, READINGS)
}

/// Instance 0, until its parent is gone.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    let state = std::env::var(STATE).expect("set by the parent");
    let plant = plant(&prefix);
    let config = config(plant.config("0"), Membership::Static, Path::new(&state));
    let app = App::start(log(), plant.topology(), config).expect("started");
    say("STARTED");
    wait_for_parent();
    app.stop().expect("stopped in good order");
}

#[test]
fn every_operator_says_through_kills_and_rebalances_what_it_says_without() {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let prefix = unique("plant");
    let plant = plant(&prefix);
    plant.make_topics(log.as_ref());
    let start_child = || {
        let state = directory.path().to_str().expect("text");
        let mut child = Other::start("plant::child", &[(PREFIX, &prefix), (STATE, state)]);
        child.wait_for("STARTED");
        child
    };
    let child = start_child();
    let feeder = std::thread::spawn({
        let (plant, log) = (plant.clone(), log.clone());
        // Some ten seconds.
        move || plant.feed(log.as_ref(), plant.work(), Duration::from_millis(140))
    });
    wait_until("there are readings", || plant.fed(log.as_ref()) > plant.work() / 10);
    assert!(child.kill_after(Duration::from_millis(chance(1000))), "it was alive");
    let child = start_child();
    wait_until("half is fed", || plant.fed(log.as_ref()) > plant.work() / 2);
    let config = config(plant.config("1"), Membership::Static, directory.path());
    let other = App::start(log.clone(), plant.topology(), config).expect("started");
    let (all, half) = (u64::from(PARTITIONS), u64::from(PARTITIONS) / 2);
    wait_until("the second has its share", || other.stats().tasks == half && other.stats().restoring == 0);
    assert!(child.kill_after(Duration::from_millis(chance(1000))), "it was alive");
    wait_until("the second has everything", || other.stats().tasks == all && other.stats().restoring == 0);
    std::fs::remove_dir_all(directory.path().join("0")).expect("the disk is lost");
    let mut last = start_child();
    wait_until("the first is back", || other.stats().tasks == half && other.stats().restoring == 0);
    feeder.join().expect("fed");
    plant.feed(log.as_ref(), plant.records(), Duration::from_millis(10));
    plant.wait_read(log.as_ref());
    last.stdin = None;
    last.wait_for_end();
    // A static member's tasks wait for its session to expire.
    wait_until("the second has everything again", || other.stats().tasks == all && other.stats().restoring == 0);
    other.stop().expect("stopped in good order");
    plant.check(log.as_ref());
    let disk = state_on_disk(&directory.path().join("1"), &plant.application(), PARTITIONS);
    check_state(&disk.into_iter().map(timeless).collect::<Vec<_>>(), &plant.calm_run().state);
}
