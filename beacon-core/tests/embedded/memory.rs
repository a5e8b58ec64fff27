//! Memory stays within the limit of the control group, however large the state.

use std::path::Path;
use std::sync::Arc;

use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;

use crate::support::large::{Large, stays_within_the_limit};

const DIRECTORY: &str = "BEACON_TEST_DIRECTORY";

#[test]
#[ignore = "started by another test as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let log: Arc<dyn Log> = EmbeddedLog::open(directory.join("log")).expect("opened");
    Large { prefix: "large".to_owned(), partitions: 4 }.run(&log, &directory.join("state"));
}

#[test]
fn a_state_larger_than_the_memory_limit_stays_within_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().to_str().expect("text");
    stays_within_the_limit("embedded::memory::child", &[(DIRECTORY, path)]);
}
