//! Partitions on which nobody speaks, before a re-key: event time goes on without them on a real Kafka, through kills and a
//! lost disk.

use std::path::Path;
use std::time::Duration;

use beacon_core::runtime::{App, Membership};

use super::support::chance;
use super::support::children::{Other, say, wait_for_parent};
use super::support::silent::{READINGS, Silent};
use super::{config, log, unique};

const PREFIX: &str = "BEACON_TEST_SILENT_PREFIX";
const STATE: &str = "BEACON_TEST_SILENT_STATE";
const KILLS: u64 = 3;

/// Counts until its parent is gone.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    let (silent, state) = (Silent::new(prefix), std::env::var(STATE).expect("set by the parent"));
    let config = config(silent.config("0"), Membership::Static, Path::new(&state));
    let app = App::start(log(), silent.topology(), config).expect("started");
    say("STARTED");
    wait_for_parent();
    app.stop().expect("stopped in good order");
}

#[test]
fn silent_partitions_behind_a_rekey_hold_nobody_up_through_kills() {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let prefix = unique("silent");
    let silent = Silent::new(prefix.as_str());
    silent.make_topics(log.as_ref());
    let start = || {
        let state = directory.path().to_str().expect("text");
        let mut child = Other::start("silent::child", &[(PREFIX, &prefix), (STATE, state)]);
        child.wait_for("STARTED");
        child
    };
    for kill in 0..KILLS {
        let child = start();
        silent.feed(log.as_ref(), READINGS * (kill + 1) / (KILLS + 1), Duration::from_millis(50));
        assert!(child.kill_after(Duration::from_millis(chance(1400))), "it was alive");
        if kill == 1 {
            std::fs::remove_dir_all(directory.path().join("0")).expect("the disk is lost");
        }
    }
    let mut last = start();
    silent.feed(log.as_ref(), READINGS + 1, Duration::from_millis(10));
    silent.check(log.as_ref());
    last.stdin = None;
    last.wait_for_end();
}
