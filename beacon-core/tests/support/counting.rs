//! A job that counts words through a re-key and closes each word by a timer; its input; and what must come of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::{Isolation, Log, Record, TopicPartition};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::AppConfig;
use beacon_core::state::{Registry, Value};
use beacon_core::testing::TestDriver;
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::mood::Mood;
use super::{Seen, read_all, state_by_changelog, topic, wait_until};

/// Tasks of the application.
pub const PARTITIONS: u32 = 4;
/// How often each word comes.
pub const TIMES: u64 = 20;
/// The words that come at the same time; when they are complete, the next ones begin.
const AT_ONCE: u64 = 10;
/// From the last record of a word to its timer.
const CLOSES_AFTER: Duration = Duration::from_millis(40);

timer_tags! {
    enum Deadline { Close = 1 }
}

struct Counter {
    count: Value<u64>,
    mood: Arc<Mood>,
}

impl KeyedProcess for Counter {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = Deadline;

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.mood.meet(&word, count)?;
        self.count.set(ctx, &count);
        if count == TIMES {
            ctx.set_timer(Deadline::Close, ctx.processing_time() + CLOSES_AFTER)?;
        }
        ctx.emit((word, count.to_string()))
    }

    fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0);
        // After something was written and sent: none of it may stay.
        ctx.emit((ctx.key().clone(), format!("closed at {count}")))?;
        self.mood.meet_timer(ctx.key())
    }
}

/// One run of the job: names, and how many words it counts.
#[derive(Clone)]
pub struct Counting {
    /// Begins all names.
    pub prefix: String,
    pub words: u64,
    /// Partitions of the input; another count than [`PARTITIONS`] makes the reading tasks stateless ones.
    pub inputs: u32,
}

impl Counting {
    pub fn new(prefix: impl Into<String>, words: u64) -> Self {
        Self { prefix: prefix.into(), words, inputs: PARTITIONS }
    }

    pub fn application(&self) -> String {
        format!("{}-count", self.prefix)
    }

    pub fn input(&self) -> String {
        format!("{}-in", self.prefix)
    }

    pub fn output(&self) -> String {
        format!("{}-out", self.prefix)
    }

    pub fn records(&self) -> u64 {
        self.words * TIMES
    }

    /// Every word's counts and its closing.
    pub fn outputs(&self) -> usize {
        (self.words * (TIMES + 1)) as usize
    }

    pub fn topology(&self, mood: &Arc<Mood>) -> Topology {
        let app = TopologyBuilder::new(self.application());
        let mood = Arc::clone(mood);
        app.source("words", &Topic::<String>::new(self.input()))
            .key_by("word", Clone::clone)
            .process("count", move |state: &mut Registry| Counter {
                count: state.value("count"),
                mood: Arc::clone(&mood),
            })
            .map("line", |(word, text)| Changed { key: word.into_bytes(), value: Some(text) })
            .sink_changes("out", &Topic::<String>::new(self.output()));
        app.build().expect("a valid topology")
    }

    pub fn config(&self, instance: &str) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.instance = instance.to_owned();
        config.commit_interval = Duration::from_millis(10);
        config.retry_backoff = Duration::from_millis(20);
        config.trim_interval = Duration::from_secs(1);
        config.topics = vec![topic(self.input(), self.inputs), topic(self.output(), PARTITIONS)];
        config
    }

    pub fn make_topics(&self, log: &dyn Log) {
        log.create_topics(&self.config("any").topics).expect("made");
    }

    fn word(&self, number: u64) -> String {
        let turn = AT_ONCE.min(self.words);
        format!("w{}", number / (turn * TIMES) * turn + number % turn)
    }

    fn record(&self, number: u64) -> Record {
        let record = Record::new(self.input(), number.to_string(), self.word(number));
        record.to_partition((number % u64::from(self.inputs)) as u32)
    }

    /// How many records of the input are in the log; records are plain appends, so offsets have no gaps.
    pub fn fed(&self, log: &dyn Log) -> u64 {
        (0..self.inputs)
            .map(|number| {
                log.offsets(&TopicPartition::new(self.input(), number), Isolation::Committed).expect("offsets").end
            })
            .sum()
    }

    /// Appends the input from where it stands up to `limit` records, ten at a time with `pause` between.
    pub fn feed(&self, log: &dyn Log, limit: u64, pause: Duration) {
        let appender = log.appender().expect("an appender");
        let mut next = self.fed(log);
        while next < limit.min(self.records()) {
            let batch: Vec<_> = (next..limit.min(self.records()).min(next + 10)).map(|n| self.record(n)).collect();
            next += batch.len() as u64;
            appender.append_blocking(batch).expect("appended");
            std::thread::sleep(pause);
        }
    }

    pub fn feed_all(&self, log: &dyn Log) {
        self.feed(log, self.records(), Duration::ZERO);
    }

    /// Whether everything that has to come out is there.
    pub fn is_complete(&self, log: &dyn Log) -> bool {
        read_all(log, &self.output()).len() >= self.outputs()
    }

    pub fn wait_complete(&self, log: &dyn Log) {
        wait_until("all counts and closings", || self.is_complete(log));
    }

    /// Checks outputs and state in the log against those of a calm run, and that the disk of this instance holds that state.
    #[cfg(feature = "rocksdb")]
    pub fn check_with_disk(&self, log: &dyn Log, config: &AppConfig) {
        self.check(log);
        let disk = super::state_on_disk(super::state_directory(config), &self.application(), PARTITIONS);
        assert!(disk == self.calm_run().1, "the state on disk differs");
    }

    /// Checks outputs and state against those of a calm run.
    pub fn check(&self, log: &dyn Log) {
        self.check_outputs(log);
        assert!(state_by_changelog(log, &self.application(), PARTITIONS) == self.calm_run().1, "state differs");
    }

    /// Checks outputs only: those of a changelog that was trimmed are not all of the state.
    pub fn check_outputs(&self, log: &dyn Log) {
        let (calm_output, _) = self.calm_run();
        let output = by_word(read_all(log, &self.output()));
        for (word, lines) in &calm_output {
            assert_eq!(output.get(word), Some(lines), "outputs of {word}");
        }
        assert_eq!(output.len(), calm_output.len());
    }

    /// Outputs by word, and the state of each task, of a run in which nothing goes wrong.
    pub fn calm_run(&self) -> (BTreeMap<String, Vec<String>>, Vec<State>) {
        let mut driver = TestDriver::new(self.topology(&Arc::default()), PARTITIONS);
        for number in 0..self.records() {
            let record = self.record(number);
            driver.send_bytes(&record.topic, &record.key.expect("has one"), record.value);
        }
        driver.advance(CLOSES_AFTER);
        let records = driver.records(&self.output()).into_iter().map(Seen::from);
        (by_word(records.collect()), driver.dump().expect("memory"))
    }
}

pub type State = Vec<(Vec<u8>, Vec<u8>)>;

/// The values under each word, in the order of the partition.
pub fn by_word(records: Vec<Seen>) -> BTreeMap<String, Vec<String>> {
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        words.entry(String::from_utf8_lossy(&record.key).into_owned()).or_default().push(record.text());
    }
    words
}
