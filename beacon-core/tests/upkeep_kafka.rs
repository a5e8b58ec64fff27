//! Tools at work on a real Kafka: partition counts that change, and applications that begin again.
//!
//! Needs a broker: `KAFKA_BOOTSTRAP_SERVERS=host:port`. Tests fail without one.
#![cfg(all(feature = "kafka", feature = "rocksdb"))]

mod support;

use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::storage::FolderStore;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use support::scaling::Scaling;

/// An application under names of its own, and the directory of its state.
fn rig(what: &str) -> (Scaling, tempfile::TempDir) {
    let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| {
        panic!(
            "KAFKA_BOOTSTRAP_SERVERS is not set. These tests need a real Kafka (4.0 or newer, one node will do): \
             run `make test`, or set the variable to host:port of a broker"
        )
    });
    let log = KafkaLog::connect(KafkaConfig::new(servers)).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers");
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let states = directory.path().to_owned();
    // The shortest session that brokers take.
    let session_timeout = Duration::from_secs(6);
    (Scaling { log, states, prefix: format!("{what}-{nanos:x}-"), session_timeout, checkpoints: None }, directory)
}

#[test]
fn four_to_eight_and_back_to_four_is_as_if_it_had_never_been() {
    rig("rescale").0.four_to_eight_and_back_is_as_if_it_had_never_been();
}

#[test]
fn four_to_eight_and_back_works_from_checkpoints_alone() {
    let (mut rig, directory) = rig("rescale-checkpoints");
    let store = FolderStore::open(&directory.path().join("checkpoints")).expect("opened");
    rig.checkpoints = Some(Arc::new(store));
    rig.four_to_eight_and_back_from_checkpoints_is_as_if_it_had_never_been();
}

#[test]
fn a_writer_that_was_not_stopped_loses_nothing_and_all_it_wrote_is_unread() {
    rig("unstopped").0.a_writer_that_was_not_stopped_loses_nothing();
}

#[test]
fn a_reset_application_begins_again_on_every_machine() {
    rig("reset").0.a_reset_to_the_start_tells_everything_again();
}

#[test]
fn a_reset_to_now_keeps_what_was_broadcast() {
    rig("reset-to-now").0.a_reset_to_now_keeps_what_was_broadcast();
}
