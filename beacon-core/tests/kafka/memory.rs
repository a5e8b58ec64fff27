//! Memory stays within the limit of the control group on Kafka, too, whose client has queues of its own.

use std::path::Path;
use std::sync::Arc;

use beacon_core::log::Log;

use super::support::large::{Large, stays_within_the_limit};
use super::{log, unique};

const PREFIX: &str = "BEACON_TEST_LARGE_PREFIX";
const STATE: &str = "BEACON_TEST_LARGE_STATE";

#[test]
#[ignore = "started by another test as a process of its own"]
fn child() {
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    let state = std::env::var(STATE).expect("set by the parent");
    let log: Arc<dyn Log> = log();
    Large { prefix, partitions: 8 }.run(&log, Path::new(&state));
}

#[test]
fn a_state_larger_than_the_memory_limit_stays_within_it_on_kafka() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let state = directory.path().to_str().expect("text");
    stays_within_the_limit("memory::child", &[(PREFIX, &unique("large")), (STATE, state)]);
}
