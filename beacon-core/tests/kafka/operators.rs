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

/// The same with commits so large that their beginning goes to the brokers before they are made.
fn large(log: &Arc<KafkaLog>, what: &str) -> (tempfile::TempDir, Stage) {
    let (directory, mut stage) = stage(log, what, 200);
    stage.config.threads = 1;
    (stage.config.commit_when_idle, stage.config.commit_interval) = (false, Duration::from_secs(1));
    stage.job.feed_all(log.as_ref());
    (directory, stage)
}

/// Chooses a record that comes when something of the commit that it would be in is in the log.
fn within_a_commit(mood: &Mood, stage: &Stage, log: &Arc<KafkaLog>) {
    /// The log is not asked at each record.
    const ASKED_EVERY: u64 = 50;
    let (log, topic, mut asked) = (Arc::clone(log), stage.job.output(), 0);
    mood.chooses(move |word, _| {
        asked += 1;
        let output = TopicPartition::new(topic.as_str(), for_key(word.as_bytes(), PARTITIONS));
        let end = |isolation| log.offsets(&output, isolation).expect("offsets").end;
        let is_open = || {
            let open = log.open_transactions().expect("the log tells");
            open.iter().any(|open| !open.is_decided && open.partitions.contains(&output))
        };
        // What is not committed may be of the last commit, whose markers are on their way.
        asked % ASKED_EVERY == 0 && end(Isolation::Committed) < end(Isolation::Uncommitted) && is_open()
    });
}

/// Part of a commit that came to nothing is in the log, and no reader sees it.
fn assert_something_was_dropped(log: &dyn Log, stage: &Stage) {
    let all = read_all_as(log, &stage.job.output(), Isolation::Uncommitted).len();
    let dropped = all - read_all(log, &stage.job.output()).len();
    assert!(dropped > 0, "nothing of the commit was in the log");
    println!("{dropped} outputs in the log came to nothing");
}

#[test]
fn a_panic_within_a_commit_that_is_half_written_leaves_nothing_of_it() {
    let log = log();
    let (_directory, stage) = large(&log, "panic-within");
    let turn = |mood: &Mood| {
        within_a_commit(mood, &stage, &log);
        mood.panics();
    };
    stage.ends_and_goes_on_exactly(turn).by_a_panic();
    assert_something_was_dropped(log.as_ref(), &stage);
}

#[test]
fn an_operator_that_stops_within_a_commit_that_is_half_written_leaves_nothing_of_it() {
    let log = log();
    let (_directory, stage) = large(&log, "stop-within");
    let turn = |mood: &Mood| {
        within_a_commit(mood, &stage, &log);
        mood.stops();
    };
    stage.ends_and_goes_on_exactly(turn).by_a_stop();
    assert_something_was_dropped(log.as_ref(), &stage);
}

#[test]
fn an_operator_that_retries_within_a_commit_that_is_half_written_changes_nothing() {
    let log = log();
    let (_directory, stage) = large(&log, "retry-within");
    stage.retries_for_a_while(|mood| {
        within_a_commit(mood, &stage, &log);
        mood.retries();
    });
    assert_something_was_dropped(log.as_ref(), &stage);
}
