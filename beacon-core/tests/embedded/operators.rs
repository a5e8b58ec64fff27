//! What operators do wrong: retry, panic, stop.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::rig::Rig;
use crate::support::counting::{Counting, MOODY, Mood, PARTITIONS, by_word};
use crate::support::{read_all, state_by_changelog, wait_until};

#[test]
fn an_operator_that_retries_for_a_while_changes_nothing() {
    let rig = Rig::new();
    let job = Counting::new("retry", 20);
    job.make_topics(rig.log.as_ref());
    let mood = Arc::new(Mood::default());
    mood.retries();
    let app = rig.count(&job, "0", &mood);
    job.feed_all(rig.log.as_ref());
    wait_until("it retried a few times", || mood.hits.load(SeqCst) >= 4);
    assert!(app.stats().aborts >= 3);
    let out = by_word(read_all(rig.log.as_ref(), &job.output()));
    assert!(out.get(MOODY).is_none_or(|lines| lines.len() < 7), "nothing of the record is out: {out:?}");
    mood.content();
    rig.wait_complete(&job);
    app.stop().expect("stopped");
    rig.check(&job, "0");
}

#[test]
fn an_application_can_be_stopped_while_an_operator_retries() {
    let rig = Rig::new();
    let job = Counting::new("retry-stop", 20);
    job.make_topics(rig.log.as_ref());
    let mood = Arc::new(Mood::default());
    mood.retries();
    let app = rig.count(&job, "0", &mood);
    job.feed_all(rig.log.as_ref());
    wait_until("it retries", || mood.hits.load(SeqCst) >= 1);
    app.stop().expect("stopped");
    mood.content();
    let app = rig.count(&job, "0", &mood);
    rig.wait_complete(&job);
    app.stop().expect("stopped");
    rig.check(&job, "0");
}

/// An operator that ends its application with nothing of the commit kept, and a mended one that goes on exactly. Returns
/// why it ended, and the coordinates of the record that meets the mood.
fn ends_and_goes_on_exactly(name: &str, turn: fn(&Mood)) -> (String, String) {
    let rig = Rig::new();
    let job = Counting::new(name, 20);
    job.make_topics(rig.log.as_ref());
    let mood = Arc::new(Mood::default());
    turn(&mood);
    let mut config = rig.on_disk(job.config("0"));
    config.threads = 2;
    let app = rig.start(job.topology(&mood), config);
    job.feed_all(rig.log.as_ref());
    let error = app.wait().expect_err("it ended by its operator").to_string();

    let internal = read_all(rig.log.as_ref(), &format!("{}-word-repartition", job.application()));
    let fatal = internal.iter().filter(|record| record.text() == MOODY).nth(6).expect("it was written");
    let record = format!("{}@{}", fatal.at, fatal.offset);

    // Each count that is out is in the state that is committed, and the other way round.
    let out = by_word(read_all(rig.log.as_ref(), &job.output()));
    let lines: usize = out.values().map(|lines| lines.iter().filter(|line| !line.contains("closed")).count()).sum();
    let counted: u64 = state_by_changelog(rig.log.as_ref(), &job.application(), PARTITIONS)
        .iter()
        .flatten()
        .filter(|(key, _)| key[0] == beacon_core::state::layout::KEYED)
        .map(|(_, value)| u64::from_be_bytes(value.as_slice().try_into().expect("a count")))
        .sum();
    assert_eq!(lines as u64, counted, "half a commit is in the log");
    let moody = out.get(MOODY).map(Vec::as_slice).unwrap_or_default();
    assert!(moody.iter().all(|line| !line.contains("closed")), "{moody:?}");

    mood.content();
    let app = rig.count(&job, "0", &mood);
    rig.wait_complete(&job);
    app.stop().expect("stopped");
    rig.check(&job, "0");
    (error, record)
}

#[test]
fn a_panic_names_its_record_and_a_mended_operator_goes_on_exactly() {
    let (error, record) = ends_and_goes_on_exactly("panic", Mood::panics);
    assert!(error.contains(&record), "{error}");
    assert!(error.contains("the operator lost its mind"), "{error}");
}

#[test]
fn an_operator_that_stops_names_its_record_and_a_mended_one_goes_on_exactly() {
    let (error, record) = ends_and_goes_on_exactly("stop", Mood::stops);
    assert!(error.contains(&format!("{record}, operator `count`: the operator refuses to go on")), "{error}");
    assert!(error.starts_with("application `stop-count`, task "), "{error}");
}

#[test]
fn an_operator_that_stops_at_a_timer_names_it_and_a_mended_one_goes_on_exactly() {
    let (error, _) = ends_and_goes_on_exactly("stop-timer", Mood::stops_at_the_timer);
    assert!(error.contains("a timer due at "), "{error}");
    assert!(error.contains(" ms, operator `count`: the operator refuses to go on"), "{error}");
}

#[test]
fn a_panic_outside_of_a_record_ends_the_application_and_not_only_a_thread() {
    use beacon_core::runtime::AppStatus;
    let rig = Rig::new();
    let job = Counting::new("constructor", 20);
    job.make_topics(rig.log.as_ref());
    let app = beacon_core::topology::TopologyBuilder::new(job.application());
    let made = std::sync::atomic::AtomicU32::new(0);
    app.source("words", &beacon_core::topology::Topic::<String>::new(job.input())).keyed("word", Clone::clone).process(
        "fragile",
        move |_| {
            // The first is the builder's trial, then one thread makes its tasks without trouble.
            assert!(made.fetch_add(1, SeqCst) < 4, "no room for another one");
            Fragile
        },
    );
    let mut config = rig.on_disk(job.config("0"));
    config.threads = 2;
    let app = rig.start(app.build().expect("valid"), config);
    wait_until("it ended as a whole", || app.status() == AppStatus::Stopped);
    let error = app.wait().expect_err("by the panic").to_string();
    assert!(error.contains("no room for another one"), "{error}");
}

struct Fragile;

impl beacon_core::operator::KeyedProcess for Fragile {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = ();

    fn on_record(&self, _: String, _: &mut beacon_core::operator::Ctx<'_, Self>) -> beacon_core::operator::OpResult {
        Ok(())
    }
}
