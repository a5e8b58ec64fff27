//! An application whose partition count changes between phases of its life, compared with one for which it never did.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::{CheckpointConfig, ObjectStore};
use beacon_core::codec::Codec;
use beacon_core::log::{Log, Record, TopicSpec};
use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig, StateLocation};
use beacon_core::state::layout::WATERMARKS;
use beacon_core::state::{Registry, SharedValue, Value};
use beacon_core::testing::TestDriver;
use beacon_core::time::{EventTime, ProcessingTime};
use beacon_core::timer_tags;
use beacon_core::tools::{self, Rescale, ResetPlan, ResetTo, ToolError};
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::counting::by_word;
use super::{Seen, clicks, read_all, state_by_changelog, timeless, topic, wait_until};

const WORDS: u64 = 60;
pub const PER_PHASE: u64 = 300;
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
pub struct Total {
    pub total: Value<u64>,
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

/// A task's state as any number of tasks has it. How far each writer of a re-keyed topic has come is kept by writer, and at
/// the end of a phase all are equally far: those that four tasks do not have count as those that they were split from.
pub fn comparable(task: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut task = timeless(task);
    for (key, _) in task.iter_mut().filter(|(key, _)| key.first() == Some(&WATERMARKS) && key.len() == 9) {
        key[8] %= 4;
    }
    task
}

/// One life of the application.
pub struct Scaling {
    pub log: Arc<dyn Log>,
    /// Where an instance keeps its state, below.
    pub states: PathBuf,
    /// Begins all names.
    pub prefix: String,
    pub session_timeout: Duration,
    /// Where checkpoints go, if there are any.
    pub checkpoints: Option<Arc<dyn ObjectStore>>,
}

pub type AllState = BTreeMap<Vec<u8>, Vec<u8>>;

impl Scaling {
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn application(&self) -> String {
        self.name("scaled")
    }

    pub fn words(&self) -> Topic<String> {
        Topic::new(self.name("words"))
    }

    fn clicks(&self) -> Topic<u64> {
        Topic::new(self.name("clicks"))
    }

    fn titles(&self) -> Topic<String> {
        Topic::new(self.name("titles"))
    }

    pub fn topology(&self) -> Topology {
        let app = TopologyBuilder::new(self.application());
        let titles = app.source("titles", &self.titles()).broadcast("title");
        let counted =
            app.source("words", &self.words()).keyed("word", Clone::clone).process_with("count", &titles, Counts::new);
        counted
            .clone()
            .map("line", |(word, text)| Changed { key: word.into_bytes(), value: Some(text) })
            .sink_changes("out", &Topic::<String>::new(self.name("out")));
        counted
            .map("counted word", |(word, _)| word)
            .key_by("letter", |word| word.chars().take(2).collect::<String>())
            .process("total", |state| Total { total: state.value("total") });
        clicks::add(&app, &self.clicks(), &Topic::new(self.name("out")));
        app.build().expect("a valid topology")
    }

    pub fn specs(&self, partitions: u32) -> Vec<TopicSpec> {
        // Nobody relies on the count of `titles`: it feeds a broadcast only.
        ["words", "out", "clicks"].map(|name| topic(self.name(name), partitions)).into()
    }

    pub fn config(&self, partitions: u32) -> AppConfig {
        let mut config = AppConfig::new(partitions);
        config.commit_interval = Duration::from_millis(10);
        config.session_timeout = self.session_timeout;
        config.topics = self.specs(partitions);
        config.topics.push(topic(self.name("titles"), 1));
        config.checkpoints = self.checkpoints.clone().map(|store| {
            let mut checkpoints = CheckpointConfig::new(store);
            checkpoints.interval = Duration::from_millis(40);
            checkpoints.keep = 2;
            checkpoints.minimum_age = Duration::ZERO;
            checkpoints
        });
        self.on_disk(config)
    }

    /// The same settings with state on disk.
    pub fn on_disk(&self, mut config: AppConfig) -> AppConfig {
        config.state = StateLocation::Directory(self.state(&config.instance));
        config
    }

    pub fn state(&self, instance: &str) -> PathBuf {
        self.states.join(format!("state-{instance}"))
    }

    pub fn start(&self, topology: Topology, config: AppConfig) -> App {
        App::start(Arc::clone(&self.log), topology, config).expect("started")
    }

    /// Writes to one of its topics.
    pub fn write(&self, topic: &str, records: impl IntoIterator<Item = String>) {
        let name = self.name(topic);
        self.append(records.into_iter().map(|text| Record::new(name.as_str(), text.clone(), text)).collect());
    }

    pub fn append(&self, records: Vec<Record>) {
        self.log.appender().expect("an appender").append_blocking(records).expect("appended");
    }

    pub fn out(&self) -> Vec<Seen> {
        read_all(self.log.as_ref(), &self.name("out"))
    }

    /// The lines under each word, those of overdue timers last.
    pub fn sorted_out(&self) -> BTreeMap<String, Vec<String>> {
        sorted(by_word(self.out()))
    }

    pub fn read_to_the_end(&self) -> bool {
        let lag = tools::lag(self.log.as_ref(), &self.topology()).expect("lag");
        !lag.is_empty() && lag.iter().all(|lag| lag.stable_lag() == 0)
    }

    /// Runs the application over the next records until everything is out.
    pub fn run_phase(&self, partitions: u32, phase: u64) {
        let config = self.config(partitions);
        self.log.create_topics(&config.topics).expect("made");
        if phase == 0 {
            self.write("titles", ["title".to_owned()]);
        }
        let app = self.start(self.topology(), config);
        wait_until("the title is known", || self.read_to_the_end());
        self.write_part(phase, 0..100);
        self.finish(app, phase + 1);
    }

    /// Waits until everything of so many phases is out, and stops it.
    pub fn finish(&self, app: App, phases: u64) {
        let expected = self.calm_run(phases).0.values().map(Vec::len).sum::<usize>();
        wait_until("everything is out", || self.out().len() >= expected);
        wait_until("everything is read", || self.read_to_the_end());
        app.stop().expect("stopped");
    }

    pub fn calm_run(&self, phases: u64) -> (BTreeMap<String, Vec<String>>, AllState) {
        let mut driver = TestDriver::new(self.topology(), 4);
        driver.send(&self.titles(), b"title", &"title".to_owned());
        for number in 0..phases * PER_PHASE {
            driver.send(&self.words(), word(number).as_bytes(), &word(number));
        }
        let name = self.name("clicks");
        for phase in 0..phases {
            let ends = clicks::ends(&name, phase);
            for click in clicks::records(&name, phase, 0..clicks::PER_PHASE).into_iter().chain(ends) {
                let [key, value] = [click.key, click.value].map(Option::unwrap_or_default);
                let at = EventTime::from_millis(click.timestamp_ms.unwrap_or_default());
                driver.send_at(&self.clicks(), &key, &u64::decode(&value).expect("a number"), at);
            }
        }
        let seen = driver.records(&self.name("out")).into_iter().map(Seen::from);
        let state = driver.dump().expect("memory").into_iter().flat_map(comparable).collect();
        (sorted(by_word(seen.collect())), state)
    }

    pub fn rescale(&self, from: u32, to: u32) -> Result<Vec<String>, ToolError> {
        let topology = self.topology();
        let mut done = Vec::new();
        let applications = vec![(&topology, self.config(from))];
        let plan = Rescale { applications, topics: self.specs(to), readers: Vec::new(), to };
        tools::rescale(&self.log, &plan, &mut |step| done.push(step.to_string()))?;
        Ok(done)
    }

    /// Stops a rescale from 4 to 8 by a panic before the first step that begins so.
    pub fn rescale_killed_before(&self, begins: &str) {
        let topology = self.topology();
        let applications = vec![(&topology, self.config(4))];
        let plan = Rescale { applications, topics: self.specs(8), readers: Vec::new(), to: 8 };
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tools::rescale(&self.log, &plan, &mut |step| {
                assert!(!step.to_string().starts_with(begins), "killed here");
            })
        }));
        assert!(killed.is_err());
    }

    pub fn plan_reset(&self, to: ResetTo) -> ResetPlan {
        tools::plan_reset(self.log.as_ref(), &self.topology(), to, &BTreeMap::new()).expect("a plan")
    }

    /// A process that was stopped is in its group until its session expires, if it was a static member.
    pub fn wait_until_nobody_is_in(&self) {
        wait_until("nobody is in the group", || self.log.members(&self.application()).expect("members").is_empty());
    }

    pub fn check(&self, partitions: u32, phases: u64) {
        let (outputs, state) = self.calm_run(phases);
        assert_eq!(self.sorted_out(), outputs);
        let found: AllState = self.logged_state(partitions);
        assert_eq!(found.len(), state.len());
        assert!(found == state, "state differs after phase {phases}");
    }

    fn logged_state(&self, partitions: u32) -> AllState {
        let tasks = state_by_changelog(self.log.as_ref(), &self.application(), partitions);
        tasks.into_iter().flat_map(comparable).collect()
    }

    /// A writer in no group goes on while topics are replaced.
    pub fn a_writer_that_was_not_stopped_loses_nothing(&self) {
        self.run_phase(4, 0);
        self.wait_until_nobody_is_in();
        let write = |numbers: Range<u64>| self.write("words", numbers.map(|number| word(PER_PHASE + number)));
        // After the first topic was replaced and before this one was; then once more between two calls; then when only
        // offsets are left to be set.
        self.rescale_killed_before(&format!("replace {}", self.name("words")));
        write(0..20);
        self.rescale_killed_before(&format!("replace {}", self.name("out")));
        write(20..40);
        self.rescale_killed_before("set offsets");
        write(40..60);
        self.rescale(4, 8).expect("finished");
        let lag = tools::lag(self.log.as_ref(), &self.topology()).expect("lag");
        let words = self.name("words");
        let unread: u64 = lag.iter().filter(|lag| *lag.partition.topic == *words).map(|lag| lag.lag()).sum();
        assert_eq!(unread, 60, "{lag:?}");
        write(60..PER_PHASE);
        self.click(1, 0..clicks::PER_PHASE);
        let app = self.start(self.topology(), self.config(8));
        self.finish(app, 2);
        self.check(8, 2);
    }

    /// What a broadcast brought is state of every task: nobody would say it again after a reset.
    pub fn a_reset_to_now_keeps_what_was_broadcast(&self) {
        self.run_phase(4, 0);
        self.wait_until_nobody_is_in();
        let plan = self.plan_reset(ResetTo::Latest);
        tools::reset(self.log.as_ref(), &self.topology(), &plan).expect("reset");
        let before = self.out().len();
        let app = self.start(self.topology(), self.config(4));
        wait_until("the title is known", || self.read_to_the_end());
        self.write("words", ["new".to_owned()]);
        wait_until("it is counted", || self.out().len() > before);
        app.stop().expect("stopped");
        let out = self.out();
        let counted = out.iter().find(|seen| seen.key == b"new").expect("it came out");
        assert_eq!(counted.text(), "title 1", "with the title, and from nothing");
    }

    /// Everything is read again, on top of nothing.
    pub fn a_reset_to_the_start_tells_everything_again(&self) {
        self.run_phase(4, 0);
        self.wait_until_nobody_is_in();
        let plan = self.plan_reset(ResetTo::Earliest);
        let changelog = format!("{}-changelog", self.application());
        assert!(plan.deleted.contains(&changelog), "{plan}");
        assert!(plan.offsets.iter().all(|(_, _, to)| *to == 0), "{plan}");
        tools::reset(self.log.as_ref(), &self.topology(), &plan).expect("reset");
        assert_eq!(self.log.describe_topic(&changelog).expect("asked"), None);
        // The old state is still on the disk. What comes out the second time is what came out the first time.
        let before = self.out().len();
        let app = self.start(self.topology(), self.config(4));
        wait_until("everything came out again", || self.out().len() >= 2 * before);
        wait_until("everything is read", || self.read_to_the_end());
        app.stop().expect("stopped");
        let state = self.calm_run(1).1;
        assert!(self.logged_state(4) == state, "state differs: the old one was counted in");
    }

    /// There and back, with more to count each time.
    pub fn four_to_eight_and_back_is_as_if_it_had_never_been(&self) {
        self.run_phase(4, 0);
        self.check(4, 1);
        self.wait_until_nobody_is_in();
        self.rescale(4, 8).expect("to eight");
        self.check(8, 1);
        self.run_phase(8, 1);
        self.check(8, 2);
        self.wait_until_nobody_is_in();
        // The disk has the state of eight tasks, and that of the four before it must never be taken for the new one.
        self.rescale(8, 4).expect("back to four");
        self.run_phase(4, 2);
        self.check(4, 3);
        let names: Vec<_> = self.log.list_topics().expect("listed").into_iter().map(|topic| topic.name).collect();
        let ours = names.iter().filter(|name| name.starts_with(&self.prefix));
        let left: Vec<_> = ours.filter(|name| name.contains("staged") || name.contains("maintenance")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

pub fn word(number: u64) -> String {
    format!("w{}", number * 7 % WORDS)
}

/// An overdue timer fires when it fires; counts come in their order.
fn sorted(mut words: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for lines in words.values_mut() {
        lines.sort_by_key(|line| line.starts_with("Overdue"));
    }
    words
}
