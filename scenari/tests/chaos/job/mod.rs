//! The job that goes through the rounds, its input, and what must come of it; [`audit`] is whether that came.
//!
//! A record's way has all that can go wrong: a stateless read of another partition count, a re-key, a count in state, a
//! processing-time timer set and one cancelled. Each round brings words of its own, so that a later round also finds a
//! record of an earlier one that came late or twice.

mod audit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use beacon_core::checkpoint::{CheckpointConfig, ObjectStore};
use beacon_core::log::{Appender, CleanupPolicy, Isolation, Log, LogErrorKind, Record, TopicPartition, TopicSpec};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::AppConfig;
use beacon_core::state::{Registry, Value};
use beacon_core::testing::TestDriver;
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

pub use audit::Auditor;

/// Tasks of the application.
pub const PARTITIONS: u32 = 4;
/// Partitions of the input: another count, so that reading it is a task of its own.
const INPUTS: u32 = 3;
/// How often each word comes.
const TIMES: u64 = 16;
/// Words of a round.
pub const WORDS: u64 = 40;
/// Words that come at the same time; when they are complete, the next ones begin.
const AT_ONCE: u64 = 8;
/// From the last record of a word to its closing.
const CLOSES_AFTER: Duration = Duration::from_millis(40);
/// A timer that the last record of a word cancels; later than any round ends.
const GIVES_UP_AFTER: Duration = Duration::from_secs(600);

timer_tags! {
    enum Deadline { Close = 1, GiveUp = 2 }
}

struct Counter {
    count: Value<u64>,
}

impl KeyedProcess for Counter {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = Deadline;

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        if count == TIMES {
            ctx.cancel_timer(Deadline::GiveUp)?;
            ctx.set_timer(Deadline::Close, ctx.processing_time() + CLOSES_AFTER)?;
        } else {
            ctx.set_timer(Deadline::GiveUp, ctx.processing_time() + GIVES_UP_AFTER)?;
        }
        ctx.emit((word, count.to_string()))
    }

    fn on_timer(&self, timer: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0);
        let what = match timer {
            Deadline::Close => "closed",
            Deadline::GiveUp => "given up",
        };
        ctx.emit((ctx.key().clone(), format!("{what} at {count}")))
    }
}

/// Names of one run.
#[derive(Clone, Debug)]
pub struct Job {
    pub prefix: String,
}

impl Job {
    pub fn application(&self) -> String {
        format!("{}-chaos", self.prefix)
    }

    fn input(&self) -> String {
        format!("{}-in", self.prefix)
    }

    fn output(&self) -> String {
        format!("{}-out", self.prefix)
    }

    pub fn changelog(&self) -> String {
        format!("{}-changelog", self.application())
    }

    pub fn topology(&self) -> Topology {
        let app = TopologyBuilder::new(self.application());
        app.source("words", &Topic::<String>::new(self.input()))
            .key_by("word", Clone::clone)
            .process("count", |state: &mut Registry| Counter { count: state.value("count") })
            .map("line", |(word, text)| Changed { key: word.into_bytes(), value: Some(text) })
            .sink_changes("out", &Topic::<String>::new(self.output()));
        app.build().expect("a valid topology")
    }

    /// Settings of a worker but for its name and place. Checkpoints are often and few, so that the changelog is soon trimmed
    /// and a lost disk has to be restored from one.
    pub fn config(&self, storage: Arc<dyn ObjectStore>) -> AppConfig {
        let mut checkpoints = CheckpointConfig::new(storage);
        checkpoints.interval = Duration::from_millis(500);
        checkpoints.keep = 2;
        // Longer than a frozen worker's upload, so that clean-ups delete while others work.
        checkpoints.minimum_age = Duration::from_secs(15);
        let mut config = AppConfig::new(PARTITIONS);
        config.commit_interval = Duration::from_millis(20);
        config.retry_backoff = Duration::from_millis(50);
        config.topics = self.topics();
        config.checkpoints = Some(checkpoints);
        config
    }

    fn topics(&self) -> Vec<TopicSpec> {
        let cleanup = CleanupPolicy::Delete { retention: None };
        let topic = |name, partitions| TopicSpec { name, partitions, cleanup };
        vec![topic(self.input(), INPUTS), topic(self.output(), PARTITIONS)]
    }

    pub fn make_topics(&self, log: &dyn Log) -> Result<()> {
        let mut topics = self.topics();
        let cleanup = CleanupPolicy::Delete { retention: None };
        topics.push(TopicSpec { name: self.changelog(), partitions: PARTITIONS, cleanup });
        Ok(log.create_topics(&topics)?)
    }
}

/// The words of one round.
#[derive(Clone, Debug)]
pub struct Words {
    job: Job,
    round: u64,
    count: u64,
}

/// Logged state by key, over all tasks.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;
/// The lines of each word, in order.
pub type Lines = BTreeMap<String, Vec<String>>;

impl Words {
    /// `count` words, a multiple of [`AT_ONCE`].
    pub fn new(job: &Job, round: u64, count: u64) -> Self {
        assert!(count.is_multiple_of(AT_ONCE), "{count} words do not come {AT_ONCE} at a time");
        Self { job: job.clone(), round, count }
    }

    pub fn records(&self) -> u64 {
        self.count * TIMES
    }

    pub fn outputs(&self) -> usize {
        (self.count * (TIMES + 1)) as usize
    }

    fn record(&self, number: u64) -> Record {
        let word = number / (AT_ONCE * TIMES) * AT_ONCE + number % AT_ONCE;
        Record::new(self.job.input(), number.to_string(), format!("r{}w{word}", self.round))
            .to_partition((number % u64::from(INPUTS)) as u32)
    }

    /// Lines and state of a run in which nothing goes wrong.
    pub fn calm(&self) -> (Lines, State) {
        let mut driver = TestDriver::new(self.job.topology(), PARTITIONS);
        for number in 0..self.records() {
            let record = self.record(number);
            driver.send_bytes(&record.topic, &record.key.expect("has one"), record.value);
        }
        driver.advance(CLOSES_AFTER);
        let mut lines = Lines::new();
        for record in driver.records(&self.job.output()) {
            lines.entry(text(record.key.as_deref())).or_default().push(text(record.value.as_deref()));
        }
        let state = driver.dump().expect("memory").into_iter().flatten().collect();
        (lines, state)
    }

    /// Appends all records, evenly over `span`. The broker may be away meanwhile.
    pub fn feed(&self, log: &dyn Log, span: Duration) -> Result<()> {
        const TOGETHER: u64 = 8;
        let started = Instant::now();
        let before = self.fed(log)?;
        let mut appender: Box<dyn Appender> = log.appender()?;
        let mut next = 0;
        while next < self.records() {
            let due = span.mul_f64(next as f64 / self.records() as f64);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            let batch = (next..self.records().min(next + TOGETHER)).map(|number| self.record(number)).collect();
            match appender.append_blocking(batch) {
                Ok(_) => next = self.records().min(next + TOGETHER),
                Err(error) if error.kind() == LogErrorKind::Retriable => {
                    // Some may be in the log, and none is on its way any more once the appender is gone.
                    drop(appender);
                    next = self.fed(log)? - before;
                    appender = log.appender()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let fed = self.fed(log)? - before;
        ensure!(fed == self.records(), "the input has {fed} records of this round, not {}", self.records());
        Ok(())
    }

    /// How many records of the input are in the log. They are plain appends, so their offsets have no gaps.
    fn fed(&self, log: &dyn Log) -> Result<u64> {
        (0..INPUTS)
            .map(|number| {
                let at = TopicPartition::new(self.job.input(), number);
                Ok(log.offsets(&at, Isolation::Committed)?.end)
            })
            .sum()
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_run_counts_every_word_and_closes_it_once() {
        let words = Words::new(&Job { prefix: "test".into() }, 3, WORDS);
        let (lines, state) = words.calm();
        assert_eq!(lines.len() as u64, WORDS);
        let wanted: Vec<_> = (1..=TIMES).map(|n| n.to_string()).chain([format!("closed at {TIMES}")]).collect();
        assert!(lines.values().all(|found| *found == wanted), "{lines:?}");
        assert_eq!(lines.values().map(Vec::len).sum::<usize>(), words.outputs());
        assert!(state.len() as u64 >= WORDS);
    }
}
