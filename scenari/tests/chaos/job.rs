//! The job that goes through the rounds, its input, and what must come of it.
//!
//! A record's way has all that can go wrong: a stateless read of another partition count, a re-key, a count in state, a
//! processing-time timer set and one cancelled. Each round brings words of its own, so that a later round also finds a
//! record of an earlier one that came late or twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beacon_core::checkpoint::{CheckpointConfig, ObjectStore};
use beacon_core::log::{
    Appender, CleanupPolicy, Event, Isolation, Log, LogErrorKind, Offset, Reader, Record, TopicPartition, TopicSpec,
};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{AppConfig, StateLocation, bring_up};
use beacon_core::state::{Registry, Value};
use beacon_core::testing::TestDriver;
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

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

/// When outputs came, task by task.
#[derive(Default)]
pub struct Pulse {
    last: BTreeMap<u32, Instant>,
    longest: BTreeMap<u32, Duration>,
}

impl Pulse {
    fn note(&mut self, partition: u32, now: Instant) {
        if let Some(last) = self.last.insert(partition, now) {
            let longest = self.longest.entry(partition).or_default();
            *longest = (*longest).max(now.duration_since(last));
        }
    }

    /// The longest time that a task was silent between two outputs.
    pub fn longest_gap(&self) -> Duration {
        self.longest.values().max().copied().unwrap_or_default()
    }
}

/// Reads what the job commits, from round to round, and compares it with what a calm run makes of the same words.
pub struct Auditor {
    log: Arc<dyn Log>,
    storage: Arc<dyn ObjectStore>,
    job: Job,
    outputs: Tail,
    /// Of all rounds so far.
    wanted: State,
    /// Of the last round.
    pub pulse: Pulse,
}

impl Auditor {
    /// `storage` has the workers' checkpoints.
    pub fn new(log: Arc<dyn Log>, storage: Arc<dyn ObjectStore>, job: &Job) -> Result<Self> {
        let outputs = Tail::new(log.as_ref(), &job.output())?;
        Ok(Self { log, storage, job: job.clone(), outputs, wanted: State::new(), pulse: Pulse::default() })
    }

    /// Where the changelog of each task begins.
    pub fn changelog_starts(&self) -> Result<Vec<Offset>> {
        let start = |number| {
            let at = TopicPartition::new(self.job.changelog(), number);
            Ok(self.log.offsets(&at, Isolation::Uncommitted)?.start)
        };
        (0..PARTITIONS).map(start).collect()
    }

    /// Waits for all outputs of a round; then each must be there once and in order, and the state as it should be.
    ///
    /// # Errors
    /// What is missing after `patience`, or what is wrong.
    pub fn check(&mut self, words: &Words, patience: Duration, alive: impl FnMut() -> Result<()>) -> Result<()> {
        let state = self.check_outputs(words, patience, alive)?;
        self.wanted.extend(state);
        self.check_state()
    }

    /// The outputs only, for when the storage cannot be asked; returns what the state should be.
    ///
    /// # Errors
    /// What is missing after `patience`, or what is wrong.
    pub fn check_outputs(
        &mut self,
        words: &Words,
        patience: Duration,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<State> {
        let deadline = Instant::now() + patience;
        let (calm, state) = words.calm();
        let mut lines = Lines::new();
        let mut seen = 0;
        self.pulse = Pulse::default();
        while seen < words.outputs() {
            let pulse = &mut self.pulse;
            seen += self.outputs.poll(|partition, key, value| {
                pulse.note(partition, Instant::now());
                lines.entry(text(key)).or_default().push(text(value));
                Ok(())
            })?;
            alive()?;
            if Instant::now() >= deadline {
                bail!("{seen} of {} outputs after {patience:?}; {}", words.outputs(), differences(&calm, &lines));
            }
        }
        // Whatever else is committed by now.
        self.outputs.read_to_end(self.log.as_ref(), |_, key, value| {
            lines.entry(text(key)).or_default().push(text(value));
            Ok(())
        })?;
        ensure!(lines == calm, "outputs differ: {}", differences(&calm, &lines));
        Ok(state)
    }

    /// Nothing may have come since, and state is what it was.
    pub fn check_end(&mut self) -> Result<()> {
        let mut late = Vec::new();
        self.outputs.read_to_end(self.log.as_ref(), |_, key, value| {
            late.push(format!("{}: {}", text(key), text(value)));
            Ok(())
        })?;
        ensure!(late.is_empty(), "outputs after the end: {late:?}");
        self.check_state()
    }

    /// The state that a worker with an empty disk would begin with.
    fn check_state(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let state = loop {
            match self.restored() {
                Ok(state) => break state,
                // Its workers may trim a changelog or clean a checkpoint up while it is read: a new worker would begin anew.
                Err(error) if Instant::now() >= deadline => return Err(error.context("restoring beside the workers")),
                Err(_) => {}
            }
        };
        if state == self.wanted {
            return Ok(());
        }
        let keys: BTreeSet<_> = state.keys().chain(self.wanted.keys()).collect();
        let differing: Vec<_> = keys.into_iter().filter(|key| state.get(*key) != self.wanted.get(*key)).collect();
        bail!(
            "restored state differs in {} of {} keys, first {:?}: {:?}, wanted {:?}",
            differing.len(),
            self.wanted.len(),
            String::from_utf8_lossy(differing[0]),
            state.get(differing[0]),
            self.wanted.get(differing[0])
        )
    }

    fn restored(&self) -> Result<State> {
        let empty = tempfile::tempdir().context("a temporary directory")?;
        let mut config = self.job.config(Arc::clone(&self.storage));
        config.state = StateLocation::Directory(empty.path().to_owned());
        let topology = self.job.topology();
        let mut state = State::new();
        for number in 0..PARTITIONS {
            state.extend(bring_up(&self.log, &topology, &config, PARTITIONS, number)?.dump()?);
        }
        Ok(state)
    }
}

/// Follows all partitions of a topic.
struct Tail {
    reader: Box<dyn Reader>,
    next: BTreeMap<TopicPartition, Offset>,
}

impl Tail {
    fn new(log: &dyn Log, topic: &str) -> Result<Self> {
        let mut reader = log.reader(Isolation::Committed)?;
        let next: BTreeMap<_, _> = (0..PARTITIONS).map(|number| (TopicPartition::new(topic, number), 0)).collect();
        let places: Vec<_> = next.iter().map(|(at, offset)| (at.clone(), *offset)).collect();
        reader.assign(&places)?;
        Ok(Self { reader, next })
    }

    /// Hands over what is there within a moment; how many records that were.
    fn poll(&mut self, mut take: impl FnMut(u32, Option<&[u8]>, Option<&[u8]>) -> Result<()>) -> Result<usize> {
        match self.reader.poll(Duration::from_millis(50))? {
            Event::Records(batch) => {
                for index in 0..batch.len() {
                    let record = batch.get(index);
                    self.next.insert(record.topic_partition(), record.offset + 1);
                    take(record.partition, record.key, record.value)?;
                }
                Ok(batch.len())
            }
            Event::EndOfPartition(at, end) => {
                self.next.insert(at, end);
                Ok(0)
            }
            _ => Ok(0),
        }
    }

    /// Reads up to where each partition ends now.
    fn read_to_end(
        &mut self,
        log: &dyn Log,
        mut take: impl FnMut(u32, Option<&[u8]>, Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        let mut ends = BTreeMap::new();
        for at in self.next.keys() {
            ends.insert(at.clone(), log.offsets(at, Isolation::Committed)?.end);
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while ends.iter().any(|(at, end)| self.next[at] < *end) {
            self.poll(&mut take)?;
            ensure!(Instant::now() < deadline, "cannot read to {ends:?}; read to {:?}", self.next);
        }
        Ok(())
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// The first few words that are not as they should be.
fn differences(wanted: &Lines, found: &Lines) -> String {
    let words: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let differing: Vec<_> = words.into_iter().filter(|word| wanted.get(*word) != found.get(*word)).collect();
    let shown = differing.iter().take(4).map(|word| format!("{word}: {:?}", found.get(*word)));
    format!("{} words differ: {}", differing.len(), shown.collect::<Vec<_>>().join("; "))
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
