//! Partitions on which nobody speaks, before a re-key: event time goes on without them through kills and a lost disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::runtime::{App, StateLocation};

use super::rig::PACE;
use crate::support::chance;
use crate::support::children::{Other, say, wait_for_parent};
use crate::support::silent::{READINGS, Silent};

const DIRECTORY: &str = "BEACON_TEST_SILENT_DIRECTORY";
const LIMIT: &str = "BEACON_TEST_SILENT_LIMIT";
const KILLS: u64 = 6;

/// Feeds up to a number of readings and says so; with all of them it waits for the windows and ends.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let limit: u64 = std::env::var(LIMIT).expect("set by the parent").parse().expect("a number");
    let (directory, silent) = (Path::new(&directory), Silent::new("silent"));
    let log: Arc<dyn Log> = EmbeddedLog::open(directory.join("log")).expect("opened");
    silent.make_topics(log.as_ref());
    let mut config = silent.config("0");
    config.state = StateLocation::Directory(directory.join("state"));
    config.flush_bytes = 1 << 10;
    let app = App::start(Arc::clone(&log), silent.topology(), config).expect("started");
    silent.feed(log.as_ref(), limit, 2 * PACE);
    say("FED");
    if limit <= READINGS {
        wait_for_parent();
    }
    silent.check(log.as_ref());
    app.stop().expect("stopped in good order");
    say("DONE");
}

#[test]
fn silent_partitions_behind_a_rekey_hold_nobody_up_through_kills() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().to_str().expect("text").to_owned();
    let start =
        |limit: u64| Other::start("embedded::silent::child", &[(DIRECTORY, &path), (LIMIT, &limit.to_string())]);
    for kill in 0..KILLS {
        let mut other = start(READINGS * (kill + 1) / (KILLS + 1));
        other.wait_for("FED");
        // Before and after somebody is taken for idle.
        assert!(other.kill_after(Duration::from_millis(chance(1400))), "the child ended before it was killed");
        if kill == 3 {
            std::fs::remove_dir_all(directory.path().join("state")).expect("the disk is lost");
        }
    }
    let mut last = start(READINGS + 1);
    last.wait_for("DONE");
    last.wait_for_end();
}
