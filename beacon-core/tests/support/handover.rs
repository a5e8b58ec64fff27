//! A job whose commit is far away when its tasks are asked back, or its process is asked to stop. What it did is committed
//! all the same, and nobody does it again; claims about it that hold on every log.
//!
//! It has no internal topic: what passes one is read only after a commit, and there is none to wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::{Isolation, Log, Record, TopicPartition, partition};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig, AppStatus, StatsSnapshot};
use beacon_core::state::{Registry, Value};
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::counting::by_word;
use super::{PATIENCE, count, read_all, topic, wait_until};

const PARTITIONS: u32 = 4;
const WORDS: u64 = 40;
/// How often each word comes before the handover. After it, each comes once more.
const TIMES: u64 = 10;
/// Longer than all that a test waits for together: no commit comes of itself.
const INTERVAL: Duration = PATIENCE.saturating_mul(10);

struct Tally {
    count: Value<u64>,
}

impl KeyedProcess for Tally {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        ctx.emit((word, count.to_string()))
    }
}

/// One run of the job.
pub struct Handover {
    log: Arc<dyn Log>,
    /// Begins all names.
    prefix: String,
}

impl Handover {
    pub fn new(log: Arc<dyn Log>, prefix: impl Into<String>) -> Self {
        let job = Self { log, prefix: prefix.into() };
        job.log.create_topics(&job.config("any").topics).expect("made");
        job
    }

    fn application(&self) -> String {
        format!("{}-tally", self.prefix)
    }

    fn input(&self) -> String {
        format!("{}-words", self.prefix)
    }

    fn output(&self) -> String {
        format!("{}-tallies", self.prefix)
    }

    fn topology(&self) -> Topology {
        let app = TopologyBuilder::new(self.application());
        app.source("words", &Topic::<String>::new(self.input()))
            .keyed("word", Clone::clone)
            .process("tally", |state: &mut Registry| Tally { count: state.value("count") })
            .map("line", |(word, text)| Changed { key: word.into_bytes(), value: Some(text) })
            .sink_changes("out", &Topic::<String>::new(self.output()));
        app.build().expect("a valid topology")
    }

    pub fn config(&self, instance: &str) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.instance = instance.to_owned();
        config.retry_backoff = Duration::from_millis(20);
        config.topics = [self.input(), self.output()].map(|name| topic(name, PARTITIONS)).to_vec();
        config
    }

    /// Starts it so that it commits when it has to, and at no other time.
    fn start(&self, mut config: AppConfig) -> App {
        config.commit_interval = INTERVAL;
        config.commit_when_idle = false;
        config.transaction_timeout = INTERVAL;
        App::start(Arc::clone(&self.log), self.topology(), config).expect("started")
    }

    /// Every word once, as often as that.
    fn feed(&self, times: u64) {
        let words = || (0..WORDS).map(|number| format!("w{number}"));
        let places: BTreeSet<_> = words().map(|word| partition::for_key(word.as_bytes(), PARTITIONS)).collect();
        assert_eq!(places.len(), PARTITIONS as usize, "every task has some");
        let records = (0..times).flat_map(|_| words()).map(|word| Record::new(self.input(), word.clone(), word));
        self.log.appender().expect("an appender").append_blocking(records.collect()).expect("appended");
    }

    /// Whether the group has committed all of the input.
    fn is_committed(&self) -> bool {
        let committed = self.log.committed(&self.application(), &[&self.input()]).expect("asked");
        (0..PARTITIONS).map(|number| TopicPartition::new(self.input(), number)).all(|at| {
            let end = self.log.offsets(&at, Isolation::Committed).expect("asked").end;
            committed.contains(&(at, end))
        })
    }

    /// Waits until each word was counted so often in what is committed, once each.
    fn wait_counted(&self, times: u64) {
        wait_until("what was done is committed", || self.is_committed());
        let wanted = (WORDS * times) as usize;
        // On Kafka a moment later than the offsets: each partition has a marker of its own.
        wait_until("what was sent is visible", || count(self.log.as_ref(), &self.output()) >= wanted);
        let lines: Vec<_> = (1..=times).map(|number| number.to_string()).collect();
        let calm: BTreeMap<_, _> = (0..WORDS).map(|number| (format!("w{number}"), lines.clone())).collect();
        assert_eq!(by_word(read_all(self.log.as_ref(), &self.output())), calm);
    }

    /// An application that has all tasks, has done all of the input, and has committed none of it.
    fn work(&self, config: AppConfig) -> App {
        let app = self.start(config);
        wait_shared(&[&app]);
        self.feed(TIMES);
        wait_until("the work is done", || app.stats().records == WORDS * TIMES);
        assert_eq!(app.stats().commits, 0, "a commit came of itself");
        assert_eq!(count(self.log.as_ref(), &self.output()), 0);
        app
    }

    /// Each word comes once more, behind anything that is done again. Then they stop, and all of it was done once.
    fn finish(&self, apps: Vec<App>, before: u64) {
        self.feed(1);
        let all = WORDS * (TIMES + 1);
        let done = || before + apps.iter().map(|app| app.stats().records).sum::<u64>();
        wait_until("the rest is done", || done() >= all);
        let done = before + apps.into_iter().map(stop).map(|stats| stats.records).sum::<u64>();
        self.wait_counted(TIMES + 1);
        assert_eq!(done, all, "records were processed twice");
    }

    /// Another process comes, and tasks are asked back from the one that has worked.
    pub fn a_task_asked_back_is_committed_before_it_goes(&self, first: AppConfig, second: AppConfig) {
        let first = self.work(first);
        let second = self.start(second);
        wait_shared(&[&first, &second]);
        self.wait_counted(TIMES);
        assert_eq!(first.stats().aborts + second.stats().aborts, 0);
        self.finish(vec![first, second], 0);
    }

    /// The process that has worked is stopped, and comes back.
    pub fn a_stop_commits_what_was_done(&self, config: AppConfig) {
        let before = stop(self.work(config.clone()));
        self.wait_counted(TIMES);
        let app = self.start(config);
        wait_shared(&[&app]);
        self.finish(vec![app], before.records);
    }
}

/// Waits until each has its share of the tasks.
fn wait_shared(apps: &[&App]) {
    let share = u64::from(PARTITIONS) / apps.len() as u64;
    let has_its_share = |app: &&App| app.stats().tasks == share && app.stats().restoring == 0;
    wait_until("each has its share of the tasks", || apps.iter().all(has_its_share));
}

/// Stops it in good order, and says what it had counted at its end.
fn stop(app: App) -> StatsSnapshot {
    app.request_stop();
    wait_until("it has stopped", || app.status() == AppStatus::Stopped);
    let stats = app.stats();
    app.wait().expect("in good order");
    stats
}
