//! Calls to the world outside: asked again when an answer was lost, applied once; never in the way.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beacon_core::codec::CodecError;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Log, Record};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig, StateLocation};
use beacon_core::state::Value;
use beacon_core::topology::{Caller, Changed, Topic, Topology, TopologyBuilder};

use super::rig::Rig;
use crate::support::children::{Other, say};
use crate::support::counting::by_word;
use crate::support::{chance, read_all, topic, wait_until};

const DIRECTORY: &str = "BEACON_TEST_CALLS_DIRECTORY";
const PARTITIONS: u32 = 4;
const ASKERS: u64 = 120;
/// Questions each asker asks, one after the other.
const ROUNDS: u64 = 3;

type Answer = Box<dyn FnOnce(String) + Send>;

/// Asks `ROUNDS` times; each answer is counted and written out.
struct Asker {
    answers: Value<u64>,
}

#[derive(Clone)]
enum Turn {
    Start,
    Answer(String),
}

impl KeyedProcess for Asker {
    type Key = String;
    type In = Turn;
    type Out = (String, u64, String);
    type Timer = ();

    fn on_record(&self, turn: Turn, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let answers = self.answers.get(ctx)?.unwrap_or(0) + u64::from(matches!(turn, Turn::Answer(_)));
        self.answers.set(ctx, &answers);
        let said = match turn {
            Turn::Start => "start".to_owned(),
            Turn::Answer(answer) => answer,
        };
        ctx.emit((ctx.key().clone(), answers, said))
    }
}

fn topology(call: impl Fn(String, Answer) + Send + Sync + 'static) -> Topology {
    let app = TopologyBuilder::new("asking");
    let caller = Caller::new(move |request: Result<String, CodecError>, done: Answer| {
        call(request.expect("own requests are readable"), done);
    })
    .in_lanes(|request: &String| request.as_bytes()[..1].to_vec());
    let replies = app.replies::<String, String>("ask", Arc::new(caller));
    let answers = replies.stream().map_values("answers", Turn::Answer);
    let turns = app
        .source("start", &Topic::<String>::new("start"))
        .keyed("by name", Clone::clone)
        .map_values("starts", |_| Turn::Start)
        .merge("turns", &answers)
        .process("asker", |state| Asker { answers: state.value("answers") });
    let requests = turns
        .filter("not done", |(_, answers, _)| *answers < ROUNDS)
        .keyed("request", |(name, _, _)| name.clone())
        .map_values("question", |(name, answers, _)| format!("{name}-{answers}"));
    replies.ask(&requests, |question| question.clone().into_bytes());
    turns
        .map("said", |(name, _, said)| Changed { key: name.into_bytes(), value: Some(said) })
        .sink_changes("out", &Topic::<String>::new("said"));
    app.build().expect("a valid topology")
}

fn config() -> AppConfig {
    let mut config = AppConfig::new(PARTITIONS);
    config.topics = vec![topic("start", PARTITIONS), topic("said", PARTITIONS)];
    config.commit_interval = Duration::from_millis(10);
    config.retry_backoff = Duration::from_millis(20);
    config
}

fn start_askers(log: &dyn Log) {
    let record = |number| Record::new("start", format!("a{number}"), format!("a{number}"));
    log.appender().expect("an appender").append_blocking((0..ASKERS).map(record).collect()).expect("appended");
}

fn is_complete(log: &dyn Log) -> bool {
    read_all(log, "said").len() as u64 >= ASKERS * (ROUNDS + 1)
}

fn check(log: &dyn Log) {
    let said = by_word(read_all(log, "said"));
    assert_eq!(said.len() as u64, ASKERS);
    for (name, lines) in said {
        let expected: Vec<_> = (0..ROUNDS).map(|round| format!("yes to {name}-{round}")).collect();
        assert_eq!(lines[0], "start");
        assert_eq!(lines[1..], expected, "answers of {name}");
    }
}

/// The world outside is a file of what it was asked. It takes a while to answer.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let world = Mutex::new(
        std::fs::OpenOptions::new().create(true).append(true).open(directory.join("world")).expect("opened"),
    );
    let ask = move |question: String, done: Answer| {
        writeln!(world.lock().expect("no panic under it"), "{question}").expect("written");
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(chance(60)));
            done(format!("yes to {question}"));
        });
    };
    let log = EmbeddedLog::open(directory.join("log")).expect("opened");
    let mut config = config();
    config.state = StateLocation::Directory(directory.join("state"));
    config.calls_in_flight = 16;
    let app = App::start(log.clone(), topology(ask), config).expect("started");
    while log.describe_topic("said").expect("described").is_none() || !is_complete(log.as_ref()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    app.stop().expect("stopped");
    say("DONE");
}

#[test]
fn answers_lost_by_kill_9_are_asked_for_again_and_count_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    {
        let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
        log.create_topics(&config().topics).expect("made");
        start_askers(log.as_ref());
    }
    let path = directory.path().to_str().expect("text").to_owned();
    let start = || Other::start("embedded::calls::child", &[(DIRECTORY, &path)]);
    let world = directory.path().join("world");
    let asked = || std::fs::read_to_string(&world).map_or(0, |text| text.lines().count() as u64);
    let mut kills = 0;
    for _ in 0..6 {
        // A question has just been asked, and answers take their time: however busy the machine is, some are under way.
        let enough = asked() + 1 + chance(30);
        kills += u32::from(start().kill_when("it asks on", || asked() >= enough));
    }
    start().wait_for("DONE");
    assert!(kills >= 3, "only {kills} kills hit the child at work");
    let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
    check(log.as_ref());
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    for question in std::fs::read_to_string(&world).expect("text").lines() {
        *asked.entry(question.to_owned()).or_default() += 1;
    }
    let again = asked.values().filter(|times| **times > 1).count();
    println!("{kills} kills; {} questions, {again} asked more than once", asked.len());
    assert_eq!(asked.len() as u64, ASKERS * ROUNDS);
    assert!(again > 0, "no kill lost an answer: this test shows nothing");
}

#[test]
fn no_more_calls_are_under_way_than_the_limit_and_all_are_made() {
    let rig = Rig::new();
    rig.log.create_topics(&config().topics).expect("made");
    start_askers(rig.log.as_ref());
    let (under_way, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let ask = {
        let (under_way, most) = (Arc::clone(&under_way), Arc::clone(&most));
        move |question: String, done: Answer| {
            most.fetch_max(under_way.fetch_add(1, SeqCst) + 1, SeqCst);
            let under_way = Arc::clone(&under_way);
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(5));
                under_way.fetch_sub(1, SeqCst);
                done(format!("yes to {question}"));
            });
        }
    };
    let mut config = config();
    config.calls_in_flight = 4;
    let app = rig.start(topology(ask), config);
    wait_until("all askers are answered", || is_complete(rig.log.as_ref()));
    app.stop().expect("stopped");
    check(rig.log.as_ref());
    assert_eq!(most.load(SeqCst), 4);
}

#[test]
fn calls_that_hang_hold_up_their_own_lane_only() {
    let rig = Rig::new();
    rig.log.create_topics(&config().topics).expect("made");
    let hang = |number| Record::new("start", format!("h{number}"), format!("h{number}"));
    rig.log.appender().expect("an appender").append_blocking((0..20).map(hang).collect()).expect("appended");
    start_askers(rig.log.as_ref());
    let hanging: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let ask = {
        let hanging = Arc::clone(&hanging);
        move |question: String, done: Answer| {
            if question.starts_with('h') {
                hanging.lock().expect("no panic under it").push(done);
            } else {
                done(format!("yes to {question}"));
            }
        }
    };
    let mut config = config();
    config.calls_in_flight = 2;
    let app = rig.start(topology(ask), config);
    let answered = |line: &&String| line.starts_with("yes");
    wait_until("all that do not hang are answered", || {
        let said = by_word(read_all(rig.log.as_ref(), "said"));
        said.values().flatten().filter(answered).count() as u64 == ASKERS * ROUNDS
    });
    assert_eq!(hanging.lock().expect("no panic under it").len(), 2, "the lane that hangs has its own bound");
    app.stop().expect("stopped");
}

#[test]
fn a_call_whose_answer_was_dropped_is_made_again() {
    let rig = Rig::new();
    rig.log.create_topics(&config().topics).expect("made");
    start_askers(rig.log.as_ref());
    let dropped = Arc::new(AtomicU64::new(0));
    let ask = {
        let dropped = Arc::clone(&dropped);
        move |question: String, done: Answer| {
            // As a task does that panics or is cancelled: each fifth is never answered.
            if dropped.fetch_add(1, SeqCst).is_multiple_of(5) { drop(done) } else { done(format!("yes to {question}")) }
        }
    };
    let mut config = config();
    config.calls_in_flight = 2;
    let app = rig.start(topology(ask), config);
    wait_until("all askers are answered", || is_complete(rig.log.as_ref()));
    app.stop().expect("stopped");
    check(rig.log.as_ref());
    assert!(dropped.load(SeqCst) > ASKERS * ROUNDS, "some were asked again");
}

#[test]
fn an_answer_that_the_log_never_takes_ends_the_application_with_its_name() {
    let rig = Rig::new();
    rig.log.create_topics(&config().topics).expect("made");
    start_askers(rig.log.as_ref());
    let app = rig.start(topology(|_, done| done("yes ".repeat(1 << 20))), config());
    wait_until("it ended", || app.status() == beacon_core::runtime::AppStatus::Stopped);
    let error = app.wait().expect_err("the answer is larger than a record may be").to_string();
    assert!(error.contains("asking-ask-replies"), "{error}");
}
