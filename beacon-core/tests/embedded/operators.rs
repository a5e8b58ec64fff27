//! What operators do wrong: retry, panic, stop.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::rig::Rig;
use crate::support::counting::Counting;
use crate::support::misdeeds::Stage;
use crate::support::mood::Mood;
use crate::support::wait_until;

/// The counting job on two threads.
fn stage(rig: &Rig, name: &str) -> Stage {
    let job = Counting::new(name, 20);
    let mut config = rig.on_disk(job.config("0"));
    config.threads = 2;
    Stage::new(Arc::clone(&rig.log), job, config)
}

#[test]
fn an_operator_that_retries_for_a_while_changes_nothing() {
    let rig = Rig::new();
    stage(&rig, "retry").retries_for_a_while(Mood::retries);
}

#[test]
fn an_application_can_be_stopped_while_an_operator_retries() {
    let rig = Rig::new();
    stage(&rig, "retry-stop").is_stopped_while_it_retries(Mood::retries);
}

#[test]
fn a_panic_names_its_record_and_a_mended_operator_goes_on_exactly() {
    let rig = Rig::new();
    let ended = stage(&rig, "panic").ends_and_goes_on_exactly(Mood::panics);
    ended.by_a_panic();
}

#[test]
fn an_operator_that_stops_names_its_record_and_a_mended_one_goes_on_exactly() {
    let rig = Rig::new();
    let ended = stage(&rig, "stop").ends_and_goes_on_exactly(Mood::stops);
    ended.by_a_stop();
    assert!(ended.error.starts_with("application `stop-count`, task "), "{}", ended.error);
}

#[test]
fn an_operator_that_stops_at_a_timer_names_it_and_a_mended_one_goes_on_exactly() {
    let rig = Rig::new();
    stage(&rig, "stop-timer").ends_and_goes_on_exactly(Mood::stops_at_the_timer).by_a_stop_at_a_timer();
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
