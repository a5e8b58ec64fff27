//! What the job has committed, against what a calm run makes of the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beacon_core::checkpoint::ObjectStore;
use beacon_core::log::{Event, Isolation, Log, Offset, Reader, TopicPartition};
use beacon_core::runtime::{StateLocation, bring_up};

use super::{Job, Lines, PARTITIONS, State, Words, text};

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

/// The first few words that are not as they should be.
fn differences(wanted: &Lines, found: &Lines) -> String {
    let words: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let differing: Vec<_> = words.into_iter().filter(|word| wanted.get(*word) != found.get(*word)).collect();
    let shown = differing.iter().take(4).map(|word| format!("{word}: {:?}", found.get(*word)));
    format!("{} words differ: {}", differing.len(), shown.collect::<Vec<_>>().join("; "))
}
