//! An application changes its partition count with its state, and nobody can tell from what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::{Log, Record, TopicSpec};
use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::AppConfig;
use beacon_core::state::{Registry, SharedValue, Value};
use beacon_core::testing::TestDriver;
use beacon_core::time::ProcessingTime;
use beacon_core::timer_tags;
use beacon_core::tools::{self, Rescale, ResetTo, ToolError};
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::rig::Rig;
use crate::support::counting::by_word;
use crate::support::{Seen, read_all, state_by_changelog, topic, wait_until};

const APPLICATION: &str = "scaled";
const WORDS: u64 = 60;
const PER_PHASE: u64 = 300;
/// The count at which a word's overdue timer is set.
const CALLED_AT: u64 = 7;

timer_tags! {
    enum Deadline {
        Far = 1,
        Overdue = 2,
    }
}

/// Counts a word, keeps a timer far in the future that moves with the count, and has one overdue timer in its life.
struct Counts {
    count: Value<u64>,
    title: SharedValue<String>,
}

impl Counts {
    fn new(state: &mut Registry) -> Self {
        Self { count: state.value("count"), title: state.shared_value("title") }
    }
}

impl KeyedProcess for Counts {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = Deadline;

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        ctx.set_timer(Deadline::Far, ProcessingTime::from_millis(4_000_000_000_000 + count as i64))?;
        if count == CALLED_AT {
            ctx.set_timer(Deadline::Overdue, ProcessingTime::from_millis(1))?;
        }
        let title = self.title.get(ctx)?.unwrap_or_default();
        ctx.emit((word, format!("{title} {count}")))
    }

    fn on_timer(&self, timer: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.emit((ctx.key().clone(), format!("{timer:?}")))
    }
}

impl BroadcastProcess for Counts {
    type Broadcast = String;

    fn on_broadcast(&self, title: String, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        self.title.set(&mut *ctx, &title);
        Ok(())
    }
}

/// Adds up by first letter, behind a re-key.
struct Total {
    total: Value<u64>,
}

impl KeyedProcess for Total {
    type Key = String;
    type In = String;
    type Out = ();
    type Timer = ();

    fn on_record(&self, _: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let total = self.total.get(ctx)?.unwrap_or(0) + 1;
        self.total.set(ctx, &total);
        Ok(())
    }
}

fn words() -> Topic<String> {
    Topic::new("words")
}

fn titles() -> Topic<String> {
    Topic::new("titles")
}

fn topology() -> Topology {
    let app = TopologyBuilder::new(APPLICATION);
    let titles = app.source("titles", &titles()).broadcast("title");
    let counted = app.source("words", &words()).keyed("word", Clone::clone).process_with("count", &titles, Counts::new);
    counted
        .clone()
        .map("line", |(word, text)| Changed { key: word.into_bytes(), value: Some(text) })
        .sink_changes("out", &Topic::<String>::new("out"));
    counted
        .map("counted word", |(word, _)| word)
        .key_by("letter", |word| word.chars().take(2).collect::<String>())
        .process("total", |state| Total { total: state.value("total") });
    app.build().expect("a valid topology")
}

fn word(number: u64) -> String {
    format!("w{}", number * 7 % WORDS)
}

fn specs(partitions: u32) -> Vec<TopicSpec> {
    // Nobody relies on the count of `titles`: it feeds a broadcast only.
    vec![topic("words", partitions), topic("out", partitions)]
}

fn config(rig: &Rig, partitions: u32) -> AppConfig {
    let mut config = AppConfig::new(partitions);
    config.commit_interval = Duration::from_millis(10);
    config.topics = specs(partitions);
    config.topics.push(topic("titles", 1));
    rig.on_disk(config)
}

fn read_to_the_end(log: &dyn Log) -> bool {
    let lag = tools::lag(log, &topology()).expect("lag");
    !lag.is_empty() && lag.iter().all(|lag| lag.stable_lag() == 0)
}

/// Runs the application over the next records until everything is out.
fn run_phase(rig: &Rig, partitions: u32, phase: u64) {
    let config = config(rig, partitions);
    rig.log.create_topics(&config.topics).expect("made");
    let appender = rig.log.appender().expect("an appender");
    if phase == 0 {
        appender.append_blocking(vec![Record::new("titles", "t", "title")]).expect("appended");
    }
    let app = rig.start(topology(), config);
    wait_until("the title is known", || read_to_the_end(rig.log.as_ref()));
    let records =
        (phase * PER_PHASE..(phase + 1) * PER_PHASE).map(|n| Record::new("words", word(n), word(n))).collect();
    appender.append_blocking(records).expect("appended");
    let expected = outputs_of_calm_run(phase + 1).0.values().map(Vec::len).sum::<usize>();
    wait_until("everything is out", || read_all(rig.log.as_ref(), "out").len() >= expected);
    wait_until("everything is read", || read_to_the_end(rig.log.as_ref()));
    app.stop().expect("stopped");
}

type AllState = BTreeMap<Vec<u8>, Vec<u8>>;

fn outputs_of_calm_run(phases: u64) -> (BTreeMap<String, Vec<String>>, AllState) {
    let mut driver = TestDriver::new(topology(), 4);
    driver.send(&titles(), b"t", &"title".to_owned());
    for number in 0..phases * PER_PHASE {
        driver.send(&words(), word(number).as_bytes(), &word(number));
    }
    let seen = driver.records("out").into_iter().map(|record| Seen {
        at: beacon_core::log::TopicPartition::new("out", 0),
        offset: 0,
        key: record.key.unwrap_or_default(),
        value: record.value,
    });
    (sorted(by_word(seen.collect())), driver.dump().expect("memory").into_iter().flatten().collect())
}

/// An overdue timer fires when it fires; counts come in their order.
fn sorted(mut words: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for lines in words.values_mut() {
        lines.sort_by_key(|line| line.starts_with("Overdue"));
    }
    words
}

fn rescale(rig: &Rig, from: u32, to: u32) -> Result<Vec<String>, ToolError> {
    let topology = topology();
    let mut done = Vec::new();
    let plan =
        Rescale { applications: vec![(&topology, config(rig, from))], topics: specs(to), readers: Vec::new(), to };
    tools::rescale(&rig.log, &plan, &mut |step| done.push(step.to_string()))?;
    Ok(done)
}

fn check(rig: &Rig, partitions: u32, phases: u64) {
    let (outputs, state) = outputs_of_calm_run(phases);
    assert_eq!(sorted(by_word(read_all(rig.log.as_ref(), "out"))), outputs);
    let found: AllState = state_by_changelog(rig.log.as_ref(), APPLICATION, partitions).into_iter().flatten().collect();
    assert_eq!(found.len(), state.len());
    assert!(found == state, "state differs after phase {phases}");
}

#[test]
fn four_to_eight_and_back_to_four_is_as_if_it_had_never_been() {
    let rig = Rig::new();
    run_phase(&rig, 4, 0);
    check(&rig, 4, 1);
    rescale(&rig, 4, 8).expect("to eight");
    check(&rig, 8, 1);
    run_phase(&rig, 8, 1);
    check(&rig, 8, 2);
    // The disk has the state of eight tasks, and that of the four before it must never be taken for the new one.
    rescale(&rig, 8, 4).expect("back to four");
    run_phase(&rig, 4, 2);
    check(&rig, 4, 3);
    let names: Vec<_> = rig.log.list_topics().expect("listed").into_iter().map(|topic| topic.name).collect();
    assert!(names.iter().all(|name| !name.contains("staged") && !name.contains("maintenance")), "{names:?}");
}

#[test]
fn what_is_at_work_or_unread_is_not_touched() {
    let rig = Rig::new();
    run_phase(&rig, 4, 0);
    let app = rig.start(topology(), config(&rig, 4));
    wait_until("it has joined", || !rig.log.members(APPLICATION).expect("members").is_empty());
    let error = rescale(&rig, 4, 8).expect_err("it is at work");
    assert!(matches!(&error, ToolError::AtWork { members, .. } if members.len() == 1), "{error}");
    let reset = tools::plan_reset(rig.log.as_ref(), &topology(), ResetTo::Latest, &BTreeMap::new());
    assert!(matches!(reset, Err(ToolError::AtWork { .. })));
    app.stop().expect("stopped");
    let appender = rig.log.appender().expect("an appender");
    appender.append_blocking(vec![Record::new("words", "late", "late")]).expect("appended");
    let error = rescale(&rig, 4, 8).expect_err("a record is unread").to_string();
    assert!(error.contains("has not read words/"), "{error}");
    assert!(rescale(&rig, 4, 6).expect_err("no power of two").to_string().contains("powers of two"));
}

#[test]
fn tasks_with_event_time_behind_a_rekey_are_split_and_not_merged() {
    let rig = Rig::new();
    let timed = || {
        let app = TopologyBuilder::new(APPLICATION);
        app.source("words", &words())
            .with_event_time(Duration::ZERO)
            .key_by("word", Clone::clone)
            .reduce("longest", |a: String, b: String| a.max(b))
            .sink("out", &Topic::new("out"));
        app.build().expect("a valid topology")
    };
    let app = rig.start(timed(), config(&rig, 4));
    wait_until("it has joined", || !rig.log.members(APPLICATION).expect("members").is_empty());
    app.stop().expect("stopped");
    let topology = timed();
    let plan = |to| {
        let applications = vec![(&topology, config(&rig, 4))];
        let plan = Rescale { applications, topics: specs(to), readers: Vec::new(), to };
        tools::plan_rescale(rig.log.as_ref(), &plan)
    };
    assert!(plan(8).is_ok());
    let error = plan(2).expect_err("it would run ahead of time").to_string();
    assert!(error.contains("not yet merged"), "{error}");
}

#[test]
fn a_rescale_that_was_killed_goes_on_and_keeps_the_application_from_starting() {
    let rig = Rig::new();
    run_phase(&rig, 4, 0);
    // Killed between two steps, when the changelog was replaced and the source was not.
    let topology = topology();
    let plan =
        Rescale { applications: vec![(&topology, config(&rig, 4))], topics: specs(8), readers: Vec::new(), to: 8 };
    let log: Arc<dyn Log> = rig.log.clone();
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tools::rescale(&log, &plan, &mut |step| {
            assert!(!step.to_string().starts_with("replace words"), "killed here");
        })
    }));
    assert!(killed.is_err());
    let app = rig.start(self::topology(), config(&rig, 8));
    let error = app.wait().expect_err("a tool is at work").to_string();
    assert!(error.contains("call it again to finish its work"), "{error}");
    assert!(rescale(&rig, 4, 16).expect_err("another plan").to_string().contains("was begun and not finished"));
    let done = rescale(&rig, 4, 8).expect("finished");
    assert!(done.first().is_some_and(|step| step.starts_with("replace words")), "{done:?}");
    run_phase(&rig, 8, 1);
    check(&rig, 8, 2);
}

#[test]
fn a_record_written_while_topics_are_copied_stops_the_rescale_and_is_kept() {
    let rig = Rig::new();
    run_phase(&rig, 4, 0);
    let topology = topology();
    let plan =
        Rescale { applications: vec![(&topology, config(&rig, 4))], topics: specs(8), readers: Vec::new(), to: 8 };
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
    let app = rig.start(self::topology(), config(&rig, 4));
    wait_until("everything is read", || read_to_the_end(rig.log.as_ref()));
    app.stop().expect("stopped");
}

#[test]
fn a_reset_application_begins_again_on_every_machine() {
    let rig = Rig::new();
    run_phase(&rig, 4, 0);
    let plan = tools::plan_reset(rig.log.as_ref(), &topology(), ResetTo::Earliest, &BTreeMap::new()).expect("a plan");
    assert!(plan.deleted.iter().any(|topic| topic == "scaled-changelog"), "{plan}");
    assert!(plan.offsets.iter().all(|(_, _, to)| *to == 0), "{plan}");
    tools::reset(rig.log.as_ref(), &topology(), &plan).expect("reset");
    assert_eq!(rig.log.describe_topic("scaled-changelog").expect("asked"), None);
    // The old state is still on the disk. What comes out the second time is what came out the first time.
    let before = read_all(rig.log.as_ref(), "out").len();
    let app = rig.start(topology(), config(&rig, 4));
    wait_until("everything came out again", || read_all(rig.log.as_ref(), "out").len() >= 2 * before);
    wait_until("everything is read", || read_to_the_end(rig.log.as_ref()));
    app.stop().expect("stopped");
    let state = outputs_of_calm_run(1).1;
    let found: AllState = state_by_changelog(rig.log.as_ref(), APPLICATION, 4).into_iter().flatten().collect();
    assert!(found == state, "state differs: the old one was counted in");
}
