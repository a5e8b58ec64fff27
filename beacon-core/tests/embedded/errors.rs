//! What a person has to mend is said at the start, with names and the way out.

use std::time::Duration;

use beacon_core::runtime::{App, AppConfig, AppError, StateLocation};
use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::topology::{Topic, Topology, TopologyBuilder};

use super::rig::Rig;
use crate::support::children::{Other, say, wait_for_parent};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::told::{listen, told};
use crate::support::topic;

const HELD: &str = "BEACON_TEST_HELD_DIRECTORY";

fn copy(build: impl FnOnce(&TopologyBuilder)) -> Topology {
    let app = TopologyBuilder::new("copy");
    build(&app);
    app.build().expect("a valid topology")
}

fn refused(rig: &Rig, topology: Topology, config: AppConfig) -> String {
    let app = App::start(rig.log.clone(), topology, config).expect("started");
    let error = app.wait().expect_err("it cannot run");
    assert!(matches!(error, AppError::Log { .. } | AppError::Task { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn an_unknown_source_topic_is_named() {
    let rig = Rig::new();
    let topology = copy(|app| {
        app.source("words", &Topic::<String>::new("nowhere")).map("same", |word| word);
    });
    let error = refused(&rig, topology, AppConfig::new(PARTITIONS));
    assert_eq!(error, "application `copy`: source `words` reads topic nowhere, which does not exist; create it first");
}

#[test]
fn an_application_that_does_not_start_says_so_in_the_log_of_the_process() {
    listen();
    let rig = Rig::new();
    let topology = copy(|app| {
        app.source("words", &Topic::<String>::new("nobody-made-it")).map("same", |word| word);
    });
    let error = refused(&rig, topology, AppConfig::new(PARTITIONS));
    let lines = told(&["ERROR", "application did not start", &error]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn unknown_topics_that_are_written_are_named_before_anything_is_read() {
    let rig = Rig::new();
    rig.log.create_topics(&[topic("words", PARTITIONS)]).expect("made");
    let topology = copy(|app| {
        app.source("words", &Topic::<String>::new("words")).sink("out", &Topic::new("nowhere"), |_| Vec::new());
    });
    let error = refused(&rig, topology, AppConfig::new(PARTITIONS));
    assert_eq!(error, "application `copy`: sink `out` writes topic nowhere, which does not exist; create it first");

    let topology = copy(|app| {
        app.dead_letters("no-grave").source("words", &Topic::<String>::new("words")).map("same", |word| word);
    });
    let error = refused(&rig, topology, AppConfig::new(PARTITIONS));
    assert_eq!(error, "application `copy`: dead letters go to topic no-grave, which does not exist; create it first");
}

#[test]
fn another_partition_count_is_a_mistake_only_where_it_matters() {
    let rig = Rig::new();
    rig.log.create_topics(&[topic("words", 3)]).expect("made");
    let keyed = copy(|app| {
        let _ = app.source("words", &Topic::<String>::new("words")).keyed("word", Clone::clone);
    });
    let error = refused(&rig, keyed, AppConfig::new(PARTITIONS));
    assert!(error.contains("topic words has 3 partitions, the application has 4"), "{error}");
    assert!(error.contains("source `words`"), "{error}");

    let timed = copy(|app| {
        app.source("words", &Topic::<String>::new("words"))
            .with_event_time(Duration::from_secs(1))
            .map("same", |word| word);
    });
    let error = refused(&rig, timed, AppConfig::new(PARTITIONS));
    assert!(error.contains("topic words has 3 partitions, the application has 4"), "{error}");
    assert!(error.contains("event time"), "{error}");
}

#[test]
fn an_internal_topic_of_another_count_is_named() {
    let rig = Rig::new();
    let job = Counting::new("internal", 10);
    let name = format!("{}-word-repartition", job.application());
    rig.log.create_topics(&[topic(name.clone(), 7)]).expect("made");
    let error = refused(&rig, job.topology(&Default::default()), job.config("0"));
    assert!(error.contains(&name), "{error}");
}

/// Holds the state directory of a task.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(HELD) else { return };
    std::fs::create_dir_all(&directory).expect("made");
    let _store = RocksStore::open(directory.as_ref(), &RocksMemory::default()).expect("opened");
    say("HELD");
    wait_for_parent();
}

#[test]
fn a_state_directory_that_another_process_uses_is_named() {
    let rig = Rig::new();
    let job = Counting::new("held", 10);
    let held = rig.state("0").join(job.application()).join("task-2");
    let mut other = Other::start("embedded::errors::child", &[(HELD, held.to_str().expect("text"))]);
    other.wait_for("HELD");
    let mut config = rig.on_disk(job.config("0"));
    config.session_timeout = Duration::from_millis(300);
    let error = refused(&rig, job.topology(&Default::default()), config.clone());
    assert!(error.contains(held.to_str().expect("text")), "{error}");
    assert!(error.contains("task 2: state directory is in use"), "{error}");
    assert!(error.contains("stop the other process or give this one a state directory of its own"), "{error}");

    // The other process ends while this one waits for it.
    config.session_timeout = Duration::from_secs(10);
    job.feed_all(rig.log.as_ref());
    let app = rig.start(job.topology(&Default::default()), config);
    std::thread::sleep(Duration::from_millis(100));
    other.kill();
    rig.wait_complete(&job);
    app.stop().expect("stopped");
    rig.check(&job, "0");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let rig = Rig::new();
    let job = Counting::new("no-directory", 10);
    let file = rig.directory.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let mut config = job.config("0");
    config.state = StateLocation::Directory(file.join("state"));
    let error = refused(&rig, job.topology(&Default::default()), config);
    assert!(error.contains(file.to_str().expect("text")), "{error}");
}

#[test]
fn state_of_another_log_is_removed_and_restored() {
    let rig = Rig::new();
    let job = Counting::new("foreign", 20);
    job.make_topics(rig.log.as_ref());
    job.feed_all(rig.log.as_ref());
    let app = rig.count(&job, "0", &Default::default());
    rig.wait_complete(&job);
    app.stop().expect("stopped");

    // A new log, and the state directory of the old one.
    let new = Rig::new();
    job.make_topics(new.log.as_ref());
    let mut config = job.config("0");
    config.state = StateLocation::Directory(rig.state("0"));
    let app = App::start(new.log.clone(), job.topology(&Default::default()), config).expect("started");
    job.feed_all(new.log.as_ref());
    new.wait_complete(&job);
    app.stop().expect("stopped");
    job.check(new.log.as_ref());
}
