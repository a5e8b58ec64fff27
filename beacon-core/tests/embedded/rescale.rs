//! An application changes its partition count with its state, and nobody can tell from what comes of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::MemoryObjectStore;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Log, Record};
use beacon_core::runtime::AppConfig;
use beacon_core::state::Registry;
use beacon_core::tools::{self, Rescale, ResetTo, ToolError};
use beacon_core::topology::{Topology, TopologyBuilder};

use crate::support::scaling::{PER_PHASE, Scaling, Total, word};
use crate::support::{read_all, topic, wait_until};

const APPLICATION: &str = "scaled";

/// An application on a log of its own, and the directory of both.
fn rig() -> (Scaling, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    (in_directory(directory.path()), directory)
}

/// The application whose log and state are here, or will be.
pub fn in_directory(directory: &Path) -> Scaling {
    let log = EmbeddedLog::open(directory.join("log")).expect("opened");
    let states = directory.to_owned();
    Scaling { log, states, prefix: String::new(), session_timeout: Duration::from_secs(10), checkpoints: None }
}

#[test]
fn four_to_eight_and_back_to_four_is_as_if_it_had_never_been() {
    rig().0.four_to_eight_and_back_is_as_if_it_had_never_been();
}

#[test]
fn four_to_eight_and_back_works_from_checkpoints_alone() {
    let (mut rig, _directory) = rig();
    rig.checkpoints = Some(Arc::new(MemoryObjectStore::default()));
    rig.four_to_eight_and_back_from_checkpoints_is_as_if_it_had_never_been();
}

#[test]
fn a_reset_application_begins_again_on_every_machine() {
    rig().0.a_reset_to_the_start_tells_everything_again();
}

#[test]
fn a_reset_to_now_keeps_what_was_broadcast() {
    rig().0.a_reset_to_now_keeps_what_was_broadcast();
}

#[test]
fn a_reset_leaves_broadcasts_where_they_are_only_if_told_to() {
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    let plan = rig.plan_reset(ResetTo::Latest);
    let to = |topic: &str| plan.offsets.iter().filter(|(at, ..)| &*at.topic == topic).map(|(.., to)| *to).sum::<u64>();
    assert_eq!((to("titles"), to("words")), (0, PER_PHASE), "{plan}");
    let others = BTreeMap::from([("titles".to_owned(), ResetTo::Latest)]);
    let plan = tools::plan_reset(rig.log.as_ref(), &rig.topology(), ResetTo::Latest, &others).expect("a plan");
    assert!(plan.offsets.iter().all(|(at, _, to)| &*at.topic != "titles" || *to == 1), "{plan}");
}

/// A gateway is in no group, and nobody can see that it was not stopped.
#[test]
fn a_writer_that_was_not_stopped_loses_nothing_and_all_it_wrote_is_unread() {
    rig().0.a_writer_that_was_not_stopped_loses_nothing();
}

#[test]
fn what_is_at_work_or_unread_is_not_touched() {
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    let plan = |rig: &Scaling| tools::plan_reset(rig.log.as_ref(), &rig.topology(), ResetTo::Latest, &BTreeMap::new());
    let planned_before = plan(&rig).expect("nobody is at work");
    let app = rig.start(rig.topology(), rig.config(4));
    wait_until("it has joined", || !rig.log.members(APPLICATION).expect("members").is_empty());
    let error = rig.rescale(4, 8).expect_err("it is at work");
    assert!(matches!(&error, ToolError::AtWork { members, .. } if members.len() == 1), "{error}");
    assert!(matches!(plan(&rig), Err(ToolError::AtWork { .. })));
    let reset = tools::reset(rig.log.as_ref(), &rig.topology(), &planned_before);
    assert!(matches!(reset, Err(ToolError::AtWork { .. })), "it was started after the plan: {reset:?}");
    app.stop().expect("stopped");
    let appender = rig.log.appender().expect("an appender");
    appender.append_blocking(vec![Record::new("words", "late", "late")]).expect("appended");
    let error = rig.rescale(4, 8).expect_err("a record is unread").to_string();
    assert!(error.contains("has not read words/"), "{error}");
    assert!(rig.rescale(4, 6).expect_err("no power of two").to_string().contains("powers of two"));
}

#[test]
fn a_rescale_that_was_killed_goes_on_and_keeps_the_application_from_starting() {
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    // Between two steps, when the changelog was replaced and the source was not.
    rig.rescale_killed_before("replace words");
    let app = rig.start(rig.topology(), rig.config(8));
    let error = app.wait().expect_err("a tool is at work").to_string();
    assert!(error.contains("call it again to finish its work"), "{error}");
    assert!(rig.rescale(4, 16).expect_err("another plan").to_string().contains("was begun and not finished"));
    let done = rig.rescale(4, 8).expect("finished");
    assert!(done.first().is_some_and(|step| step.starts_with("replace words")), "{done:?}");
    rig.run_phase(8, 1);
    rig.check(8, 2);
}

#[test]
fn a_record_written_while_topics_are_copied_stops_the_rescale_and_is_kept() {
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    let topology = rig.topology();
    let plan =
        Rescale { applications: vec![(&topology, rig.config(4))], topics: rig.specs(8), readers: Vec::new(), to: 8 };
    let log: Arc<dyn Log> = rig.log.clone();
    let appender = rig.log.appender().expect("an appender");
    let mut written = false;
    let refused = tools::rescale(&log, &plan, &mut |step| {
        if step.to_string().starts_with("replace") && !std::mem::replace(&mut written, true) {
            let record = Record::new("words", word(PER_PHASE), word(PER_PHASE));
            appender.append_blocking(vec![record]).expect("appended");
        }
    });
    let error = refused.expect_err("a writer was not stopped").to_string();
    assert!(written && error.contains("words grew"), "{error}");
    let topics = rig.log.list_topics().expect("listed");
    assert!(topics.iter().all(|topic| topic.name != "words" || topic.partitions == 4), "{topics:?}");
    assert!(topics.iter().all(|topic| !topic.name.contains("staged") && !topic.name.contains("maintenance")));
    // It starts as it was, and reads the record.
    let app = rig.start(rig.topology(), rig.config(4));
    wait_until("everything is read", || rig.read_to_the_end());
    app.stop().expect("stopped");
}

#[test]
fn a_topic_that_has_the_name_of_a_copy_is_refused_and_kept() {
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    rig.log.create_topics(&[topic("words-staged", 1)]).expect("somebody's own");
    let appender = rig.log.appender().expect("an appender");
    appender.append_blocking(vec![Record::new("words-staged", "mine", "mine")]).expect("appended");
    let error = rig.rescale(4, 8).expect_err("the name is taken").to_string();
    assert!(error.contains("words-staged is there already"), "{error}");
    assert_eq!(read_all(rig.log.as_ref(), "words-staged").len(), 1);
    assert_eq!(rig.log.describe_topic("scaled-maintenance").expect("asked"), None, "nothing was begun");
}

#[test]
fn every_application_knows_of_a_rescale_that_was_begun_for_several() {
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    let (one, two) = (rig.topology(), other(&rig));
    let app = rig.start(other(&rig), other_config(&rig, 4));
    wait_until("it has read everything", || {
        tools::lag(rig.log.as_ref(), &other(&rig)).expect("lag").iter().all(|lag| lag.stable_lag() == 0)
            && rig.log.describe_topic("other-changelog").expect("asked").is_some()
            && !rig.log.members("other").expect("members").is_empty()
    });
    app.stop().expect("stopped");
    let applications = vec![(&one, rig.config(4)), (&two, other_config(&rig, 4))];
    let plan = Rescale { applications, topics: rig.specs(8), readers: Vec::new(), to: 8 };
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tools::rescale(&rig.log, &plan, &mut |step| {
            assert!(!step.to_string().starts_with("replace words"), "killed here");
        })
    }));
    assert!(killed.is_err());
    let refused = |error: ToolError| {
        let error = error.to_string();
        assert!(error.contains("of scaled, other` was begun and not finished"), "{error}");
    };
    refused(rig.rescale(4, 8).expect_err("it is one of two"));
    let reset = tools::plan_reset(rig.log.as_ref(), &two, ResetTo::Latest, &BTreeMap::new()).expect("a plan");
    refused(tools::reset(rig.log.as_ref(), &two, &reset).expect_err("it is the other of two"));
    let error = rig.start(other(&rig), other_config(&rig, 8)).wait().expect_err("a tool is at work").to_string();
    assert!(error.contains("call it again to finish its work"), "{error}");
    tools::rescale(&rig.log, &plan, &mut |_| {}).expect("finished");
    assert_eq!(rig.log.describe_topic("other-maintenance").expect("asked"), None);
    rig.run_phase(8, 1);
    rig.check(8, 2);
}

/// A second application over the same words.
fn other(rig: &Scaling) -> Topology {
    let app = TopologyBuilder::new("other");
    app.source("words", &rig.words())
        .keyed("word", Clone::clone)
        .process("total", |state: &mut Registry| Total { total: state.value("total") });
    app.build().expect("a valid topology")
}

fn other_config(rig: &Scaling, partitions: u32) -> AppConfig {
    let mut config = rig.config(partitions);
    config.instance = "other".to_owned();
    rig.on_disk(config)
}

/// Another program, or an older one, wrote it: that its offsets fit says nothing.
#[test]
fn state_that_does_not_say_of_which_changelog_it_is_is_read_again() {
    use beacon_core::state::rocks::{RocksMemory, RocksStore};
    use beacon_core::state::{Change, Store};
    let (rig, _directory) = rig();
    rig.run_phase(4, 0);
    for task in 0..4 {
        let path = rig.state("0").join(APPLICATION).join(format!("task-{task}"));
        let mut store = RocksStore::open(&path, &RocksMemory::default()).expect("opened");
        let mut unlogged = Vec::new();
        store
            .scan(&[], None, &mut |key, value| {
                if !beacon_core::state::layout::is_logged(key) {
                    unlogged.push((key.to_vec(), value.to_vec()));
                }
                true
            })
            .expect("scanned");
        // What is kept beside the state that is logged: how far it is, and of which changelog.
        let history = rig.log.topic_id("scaled-changelog").expect("asked").expect("it is there");
        let noted: Vec<_> = unlogged.iter().filter(|(_, value)| value == history.as_bytes()).collect();
        assert_eq!(noted.len(), 1, "{unlogged:?}");
        store.write(&mut [Change::Delete(&noted[0].0)].into_iter()).expect("written");
        store.flush().expect("flushed");
    }
    let app = rig.start(rig.topology(), rig.config(4));
    wait_until("all tasks run", || app.stats().tasks >= 4 && app.stats().restoring == 0);
    assert!(app.stats().restored_records > 0, "the changelog was read");
    app.stop().expect("stopped");
    rig.check(4, 1);
}
