//! What operators do wrong on a real Kafka, where part of a commit may be in the log already when they do it.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::kafka::KafkaLog;
use beacon_core::log::partition::for_key;
use beacon_core::log::{Isolation, Log, TopicPartition};
use beacon_core::runtime::Membership;

use super::support::counting::{Counting, PARTITIONS};
use super::support::misdeeds::Stage;
use super::support::mood::Mood;
use super::support::{read_all, read_all_as};
use super::{config, log, unique};

/// The counting job on two threads.
fn stage(log: &Arc<KafkaLog>, what: &str, words: u64) -> (tempfile::TempDir, Stage) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let job = Counting::new(unique(what), words);
    let mut config = config(job.config("0"), Membership::Static, directory.path());
    config.threads = 2;
    (directory, Stage::new(log.clone(), job, config))
}

#[test]
fn an_operator_that_retries_for_a_while_changes_nothing() {
    let (_directory, stage) = stage(&log(), "retry", 20);
    stage.retries_for_a_while(Mood::retries);
}

#[test]
fn an_application_can_be_stopped_while_an_operator_retries() {
    let (_directory, stage) = stage(&log(), "retry-stop", 20);
    stage.is_stopped_while_it_retries(Mood::retries);
}

#[test]
fn a_panic_names_its_record_and_a_mended_operator_goes_on_exactly() {
    let (_directory, stage) = stage(&log(), "panic", 20);
    stage.ends_and_goes_on_exactly(Mood::panics).by_a_panic();
}

#[test]
fn an_operator_that_stops_names_its_record_and_a_mended_one_goes_on_exactly() {
    let (_directory, stage) = stage(&log(), "stop", 20);
    stage.ends_and_goes_on_exactly(Mood::stops).by_a_stop();
}

#[test]
fn an_operator_that_stops_at_a_timer_names_it_and_a_mended_one_goes_on_exactly() {
    let (_directory, stage) = stage(&log(), "stop-timer", 20);
    stage.ends_and_goes_on_exactly(Mood::stops_at_the_timer).by_a_stop_at_a_timer();
}

/// The same where commits get a head start, at a pace that leaves some of the counting to after it.
fn hurried(log: &Arc<KafkaLog>, what: &str) -> (tempfile::TempDir, Stage) {
    let (directory, mut stage) = stage(log, what, 200);
    (stage.config.commit_when_idle, stage.config.commit_interval) = (false, Duration::from_millis(50));
    stage.pace = Duration::from_millis(10);
    (directory, stage)
}

/// Chooses a record that comes when the commit it would be in has had its head start.
fn after_a_head_start(mood: &Mood, stage: &Stage, log: &Arc<KafkaLog>) {
    let (log, topic) = (Arc::clone(log), format!("{}-changelog", stage.job.application()));
    mood.chooses(move |word, _| {
        // A commit writes a changelog at its end; what there is of it before that is its head start. Not asked at every
        // record: the head start comes between two of them, and for some milliseconds only.
        if !word.ends_with('5') {
            return false;
        }
        let changelog = TopicPartition::new(topic.as_str(), for_key(word.as_bytes(), PARTITIONS));
        let end = |isolation| log.offsets(&changelog, isolation).expect("offsets").end;
        let is_open = || {
            let open = log.open_transactions().expect("the log tells");
            open.iter().any(|open| !open.is_decided && open.partitions.contains(&changelog))
        };
        // The last commit's markers may be missing, too.
        end(Isolation::Committed) < end(Isolation::Uncommitted) && is_open()
    });
}

/// What was sent ahead into a transaction that came to nothing is in the log, and no reader sees it.
fn assert_something_was_sent_ahead(log: &dyn Log, stage: &Stage) {
    let topic = format!("{}-changelog", stage.job.application());
    let (all, committed) = (read_all_as(log, &topic, Isolation::Uncommitted), read_all(log, &topic));
    let dropped = all.iter().filter(|record| !committed.contains(record)).count();
    assert!(dropped > 0, "nothing of the commit was in the log");
    println!("{dropped} records of changelogs came to nothing");
}

#[test]
fn a_panic_after_a_head_start_leaves_nothing_of_it() {
    let log = log();
    let (_directory, stage) = hurried(&log, "panic-ahead");
    let turn = |mood: &Mood| {
        after_a_head_start(mood, &stage, &log);
        mood.panics();
    };
    stage.ends_and_goes_on_exactly(turn).by_a_panic();
    assert_something_was_sent_ahead(log.as_ref(), &stage);
}

#[test]
fn an_operator_that_stops_after_a_head_start_leaves_nothing_of_it() {
    let log = log();
    let (_directory, stage) = hurried(&log, "stop-ahead");
    let turn = |mood: &Mood| {
        after_a_head_start(mood, &stage, &log);
        mood.stops();
    };
    stage.ends_and_goes_on_exactly(turn).by_a_stop();
    assert_something_was_sent_ahead(log.as_ref(), &stage);
}

#[test]
fn an_operator_that_retries_after_a_head_start_changes_nothing() {
    let log = log();
    let (_directory, stage) = hurried(&log, "retry-ahead");
    stage.retries_for_a_while(|mood| {
        after_a_head_start(mood, &stage, &log);
        mood.retries();
    });
    assert_something_was_sent_ahead(log.as_ref(), &stage);
}
