//! The engine through its test driver: state, timers, broadcast, calls, dead letters, crashes.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpError, OpResult};
use beacon_core::state::{Registry, SharedValue, Value};
use beacon_core::testing::TestDriver;
use beacon_core::time::EventTime;
use beacon_core::timer_tags;
use beacon_core::topology::{Caller, Topic, Topology, TopologyBuilder};

timer_tags! {
    enum Deadline {
        Silence = 1,
        Never = 2,
    }
}

/// Emits a host that was silent for a minute, with how often it had beaten.
struct SilenceDetector {
    beats: Value<u64>,
    limit: SharedValue<u64>,
}

impl SilenceDetector {
    fn new(state: &mut Registry) -> Self {
        Self { beats: state.value("beats"), limit: state.shared_value("limit") }
    }
}

impl KeyedProcess for SilenceDetector {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = Deadline;

    fn on_record(&self, beat: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let beats = self.beats.get(ctx)?.unwrap_or(0) + 1;
        self.beats.set(ctx, &beats);
        ctx.set_timer(Deadline::Never, ctx.processing_time() + Duration::from_secs(1_000_000))?;
        if beat == "poison" {
            return Err(OpError::dead_letter("the beat is poison"));
        }
        let seconds = self.limit.get(ctx)?.unwrap_or(60);
        ctx.set_timer(Deadline::Silence, ctx.processing_time() + Duration::from_secs(seconds))
    }

    fn on_timer(&self, timer: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        assert_eq!(timer, Deadline::Silence);
        let beats = self.beats.get(ctx)?.unwrap_or(0);
        ctx.emit(format!("{} silent after {beats}", ctx.key()))
    }
}

impl BroadcastProcess for SilenceDetector {
    type Broadcast = String;

    fn on_broadcast(&self, limit: String, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        let seconds: u64 = limit.parse().map_err(OpError::dead_letter)?;
        self.limit.set(&mut *ctx, &seconds);
        let beats = self.beats.clone();
        ctx.for_each_key(&beats, |_, ctx| {
            ctx.set_timer(Deadline::Silence, ctx.processing_time() + Duration::from_secs(seconds))
        })
    }
}

fn beats() -> Topic<String> {
    Topic::new("beats")
}

fn limits() -> Topic<String> {
    Topic::new("limits")
}

fn alerts() -> Topic<String> {
    Topic::new("alerts")
}

fn detector() -> Topology {
    let app = TopologyBuilder::new("detector");
    app.dead_letters("dead");
    let limits = app.source("limits", &limits()).broadcast("limit");
    app.source("beats", &beats())
        .key_by("host", |beat: &String| beat.split(':').next().unwrap_or_default().to_owned())
        .map_values("text", |beat| beat.split(':').nth(1).unwrap_or_default().to_owned())
        .process_with("silence", &limits, SilenceDetector::new)
        .sink("alerts", &alerts(), |alert| alert.clone().into_bytes());
    app.build().expect("a valid topology")
}

#[test]
fn restored_timer_fires_once() {
    let mut driver = TestDriver::new(detector(), 4);
    driver.send(&beats(), b"any", &"h1:".to_owned());
    driver.advance(Duration::from_secs(59));
    assert!(driver.output(&alerts()).is_empty());
    driver.crash_and_restore();
    driver.advance(Duration::from_secs(1));
    assert_eq!(driver.output(&alerts()), ["h1 silent after 1"]);
    driver.advance(Duration::from_secs(3600));
    driver.crash_and_restore();
    assert!(driver.output(&alerts()).is_empty());
}

#[test]
fn a_crash_before_the_commit_leaves_nothing_and_redoes_all() {
    let mut driver = TestDriver::new(detector(), 2);
    driver.send(&beats(), b"any", &"h1:".to_owned());
    let before = driver.dump().expect("memory");
    driver.hold_commits();
    driver.send(&beats(), b"any", &"h1:".to_owned());
    driver.crash_and_restore();
    assert_ne!(driver.dump().expect("memory"), before, "the second beat is read again");
    driver.advance(Duration::from_secs(60));
    assert_eq!(driver.output(&alerts()), ["h1 silent after 2"]);
}

#[test]
fn state_equals_that_of_a_run_without_crashes() {
    let run = |crash: bool| {
        let mut driver = TestDriver::new(detector(), 4);
        for number in 0..200u32 {
            let hold = number % 7 == 3;
            if crash && hold {
                driver.hold_commits();
            }
            driver.send(&beats(), &number.to_be_bytes(), &format!("h{}:", number % 13));
            // Before time moves on: what is held would be done again later than in the calm run.
            if crash && (hold || number % 3 != 1) {
                driver.crash_and_restore();
            }
            driver.advance(Duration::from_secs(u64::from(number % 17)));
        }
        let mut output = driver.output(&alerts());
        output.sort();
        (output, driver.dump().expect("memory"))
    };
    assert!(run(false) == run(true), "outputs or state differ");
}

#[test]
fn a_broadcast_reaches_every_key_of_every_task() {
    let mut driver = TestDriver::new(detector(), 4);
    for host in 0..20 {
        driver.send(&beats(), b"any", &format!("h{host}:"));
    }
    driver.send(&limits(), b"any", &"5".to_owned());
    driver.advance(Duration::from_secs(5));
    assert_eq!(driver.output(&alerts()).len(), 20);
}

#[test]
fn a_refused_record_leaves_only_a_dead_letter() {
    let mut driver = TestDriver::new(detector(), 1);
    driver.send(&beats(), b"any", &"h1:".to_owned());
    let before = driver.dump().expect("memory");
    driver.send(&beats(), b"any", &"h1:poison".to_owned());
    driver.send_bytes(&Arc::from("beats"), b"k", Some(vec![0xff, 0xfe]));
    driver.send(&limits(), b"any", &"many".to_owned());
    assert_eq!(driver.dump().expect("memory"), before);
    let dead = driver.records("dead");
    let reasons: Vec<_> =
        dead.iter().map(|record| String::from_utf8_lossy(&record.headers[0].1).into_owned()).collect();
    assert_eq!(
        reasons,
        [
            "the beat is poison",
            "not a String: invalid utf-8 sequence of 1 bytes from index 0",
            "invalid digit found in string"
        ]
    );
    driver.advance(Duration::from_secs(60));
    assert_eq!(driver.output(&alerts()), ["h1 silent after 1"]);
}

/// Asks a number of times until the answer is "yes".
struct Asker {
    tries: Value<u64>,
}

#[derive(Clone)]
enum AskerIn {
    Start,
    Answer(String),
}

impl KeyedProcess for Asker {
    type Key = String;
    type In = AskerIn;
    type Out = (String, u64);
    type Timer = ();

    fn on_record(&self, input: AskerIn, ctx: &mut Ctx<'_, Self>) -> OpResult {
        match input {
            AskerIn::Answer(answer) if answer == "yes" => {
                self.tries.clear(ctx);
                return Ok(());
            }
            AskerIn::Start | AskerIn::Answer(_) => {}
        }
        let tries = self.tries.get(ctx)?.unwrap_or(0) + 1;
        self.tries.set(ctx, &tries);
        ctx.emit((ctx.key().clone(), tries))
    }
}

fn asker() -> Topology {
    let app = TopologyBuilder::new("asker");
    let caller = Caller::new(|_: Result<u64, _>, _: Box<dyn FnOnce(String) + Send>| {});
    let replies = app.replies::<String, String>("ask", Arc::new(caller));
    let answers = replies.stream().map_values("answers", AskerIn::Answer);
    let asked = app
        .source("start", &Topic::<String>::new("start"))
        .keyed("by name", Clone::clone)
        .map_values("starts", |_| AskerIn::Start)
        .merge("events", &answers)
        .process("asker", |state| Asker { tries: state.value("tries") });
    let requests = asked.keyed("request", |(name, _)| name.clone()).map_values("tries", |(_, tries)| tries);
    replies.ask(&requests, |tries| tries.to_be_bytes().to_vec());
    app.build().expect("a valid topology")
}

#[test]
fn an_open_call_is_made_again_after_a_crash_and_answered_once() {
    let mut driver = TestDriver::new(asker(), 4);
    driver.send(&Topic::new("start"), b"paula", &"paula".to_owned());
    let first = driver.take_calls::<u64>("ask");
    assert_eq!(first.len(), 1);
    driver.crash_and_restore();
    let again = driver.take_calls::<u64>("ask");
    assert_eq!(again.len(), 1, "nobody answered, so it is made again");
    driver.answer(&first[0].0, &"no".to_owned());
    driver.answer(&again[0].0, &"no".to_owned());
    let next = driver.take_calls::<u64>("ask");
    assert_eq!(next.iter().map(|(_, tries)| *tries).collect::<Vec<_>>(), [2], "two answers count once");
    driver.answer(&next[0].0, &"yes".to_owned());
    driver.crash_and_restore();
    assert!(driver.take_calls::<u64>("ask").is_empty());
}

/// Fires when event time passes the record's own time by ten seconds.
struct Windowed;

impl KeyedProcess for Windowed {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = ();

    fn on_record(&self, _: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let at = ctx.record().map_or(EventTime::default(), |record| record.timestamp);
        ctx.set_timer((), at + Duration::from_secs(10))
    }

    fn on_timer(&self, (): (), ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.emit(ctx.key().clone())
    }
}

#[test]
fn event_time_timers_wait_for_the_watermark_not_for_the_clock() {
    let app = TopologyBuilder::new("windowed");
    app.source("events", &beats())
        .with_event_time(Duration::from_secs(5))
        .keyed("self", Clone::clone)
        .process("window", |_| Windowed)
        .sink("out", &alerts(), |value| value.clone().into_bytes());
    let mut driver = TestDriver::new(app.build().expect("valid"), 1);
    driver.send(&beats(), b"a", &"a".to_owned());
    driver.advance(Duration::from_secs(14));
    driver.send(&beats(), b"b", &"b".to_owned());
    assert!(driver.output(&alerts()).is_empty(), "watermark is at 9 s");
    driver.crash_and_restore();
    driver.advance(Duration::from_secs(1));
    driver.send(&beats(), b"c", &"c".to_owned());
    assert_eq!(driver.output(&alerts()), ["a"]);
}

/// Says the watermark at each record; a record may be poison.
struct Watermarks;

impl KeyedProcess for Watermarks {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = ();

    fn on_record(&self, record: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        if record == "poison" {
            return Err(OpError::dead_letter("poison"));
        }
        ctx.emit(format!("{:?}", ctx.watermark().map(EventTime::as_millis)))
    }
}

fn watermarks() -> Topology {
    let app = TopologyBuilder::new("watermarks");
    app.dead_letters("dead");
    app.source("events", &beats())
        .with_event_time(Duration::ZERO)
        .keyed("self", |_| "all".to_owned())
        .process("say", |_| Watermarks)
        .sink("out", &alerts(), |value| value.clone().into_bytes());
    app.build().expect("valid")
}

#[test]
fn event_time_does_not_go_back_over_a_restart() {
    let mut driver = TestDriver::new(watermarks(), 1);
    let at = |driver: &TestDriver| driver.now().as_millis();
    driver.advance(Duration::from_secs(60));
    let newest = at(&driver);
    driver.send(&beats(), b"a", &"a".to_owned());
    driver.crash_and_restore();
    driver.send_at(&beats(), b"b", &"late".to_owned(), EventTime::from_millis(newest - 30_000));
    let said = format!("Some({newest})");
    assert_eq!(driver.output(&alerts()), [said.clone(), said]);
}

#[test]
fn a_refused_record_does_not_move_event_time() {
    let mut driver = TestDriver::new(watermarks(), 1);
    driver.send(&beats(), b"a", &"a".to_owned());
    let first = driver.now().as_millis();
    driver.send_at(&beats(), b"b", &"poison".to_owned(), EventTime::from_millis(first + 1_000_000));
    // Late, so that it shows what is remembered and sets nothing itself.
    driver.send_at(&beats(), b"c", &"c".to_owned(), EventTime::from_millis(first - 1));
    assert_eq!(driver.output(&alerts()), [format!("Some({first})"), format!("Some({first})")]);
}

#[test]
fn all_mistakes_of_a_topology_are_told_at_once() {
    let app = TopologyBuilder::new("wrong");
    let one = app.source("one", &beats());
    let _two = app.source("two", &beats());
    let _three = one.map("one", |beat| beat);
    let errors = app.build().err().expect("three mistakes");
    assert_eq!(errors.mistakes.len(), 2, "{errors}");
}

#[test]
fn a_topology_describes_itself() {
    let topology = detector();
    assert!(topology.describe().contains("process `silence` from `text`, `limit.read`"), "{}", topology.describe());
    assert!(topology.mermaid().starts_with("flowchart LR\n"));
}

#[test]
fn a_topology_lists_its_stores_with_their_codecs() {
    let stores: Vec<_> = detector().stores().iter().map(ToString::to_string).collect();
    assert_eq!(stores, ["silence/beats: value of u64", "silence/limit: shared value of u64"]);
}

/// The state of all tasks together: keyed entries of one task or another, shared ones once.
fn all_state(driver: &TestDriver) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
    driver.dump().expect("memory").into_iter().flatten().collect()
}

#[test]
fn a_rescaled_job_has_the_state_timers_and_outputs_of_one_that_never_was() {
    let run = |counts: [u32; 3]| {
        let mut driver = TestDriver::new(detector(), counts[0]);
        driver.send(&limits(), b"any", &"90".to_owned());
        for (round, count) in (0..).zip(counts) {
            if round > 0 && count != counts[round as usize - 1] {
                driver.rescale(count).expect("state that can be divided");
            }
            for number in 0..300u32 {
                driver.send(&beats(), &number.to_be_bytes(), &format!("h{}:", (number * 7 + round) % 97));
                driver.advance(Duration::from_millis(u64::from(number % 17) * 100));
            }
        }
        let before = all_state(&driver);
        driver.advance(Duration::from_secs(90));
        let mut output = driver.output(&alerts());
        output.sort();
        (before, output, all_state(&driver))
    };
    let still = run([4, 4, 4]);
    assert!(still.1.len() >= 97, "every host is silent at the end");
    for counts in [[4, 8, 4], [8, 1, 32]] {
        assert!(run(counts) == still, "outputs or state differ after {counts:?} partitions");
    }
}

#[test]
fn a_call_without_an_answer_is_made_again_by_the_task_its_key_went_to() {
    let mut driver = TestDriver::new(asker(), 2);
    for number in 0..8 {
        let name = format!("q{number}");
        driver.send(&Topic::new("start"), name.as_bytes(), &name);
    }
    assert_eq!(driver.take_calls::<u64>("ask").len(), 8);
    driver.rescale(8).expect("state that can be divided");
    let again = driver.take_calls::<u64>("ask");
    assert_eq!(again.len(), 8);
    for (call, _) in &again {
        driver.answer(call, &"yes".to_owned());
    }
    driver.crash_and_restore();
    assert!(driver.take_calls::<u64>("ask").is_empty(), "all were answered");
}
