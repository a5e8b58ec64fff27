//! Settings of a simulation, and how one seed is run.

use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faults::Rates;
use super::finished::Finished;
use super::random::Random;
use super::scheduler::Scheduler;
use super::storage::SimulatedStorage;
use super::world::{World, enter};
use super::{Failure, Faults, Run, Summary};
use crate::log::{Isolation, Log, Record, TopicSpec};
use crate::runtime::{AppConfig, StateLocation};
use crate::state::Entries;
use crate::topology::Topology;

/// What of a run must equal that of a calm run of the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compared {
    /// Nothing: the job depends on time or on the order of keys. Its invariants say what must hold.
    Nothing,
    /// For each sink and key, the values in their order.
    Outputs,
    /// The same, and the state of every task, byte for byte.
    OutputsAndState,
}

type Invariant = Box<dyn Fn(&Finished<'_>) -> Result<(), String>>;
type Input = Vec<(Duration, Record)>;

/// A job to simulate, with what it is fed and what may go wrong. See the module's documentation.
pub struct Simulation {
    topology: Topology,
    config: AppConfig,
    processes: usize,
    seeds: Range<u64>,
    faults: Faults,
    input: Box<dyn Fn(u64) -> Input>,
    faults_after_input: Duration,
    quiet: Duration,
    patience: Duration,
    step_limit: u64,
    compared: Compared,
    invariants: Vec<(String, Invariant)>,
}

/// What a run is compared by.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    outputs: Vec<(String, super::ByKey)>,
    state: Vec<Entries>,
}

impl Simulation {
    /// A simulation of this job: 3 processes, 4 partitions, seeds 0 to 99, all faults, no input, session time-out 6 s,
    /// transaction time-out 5 s; outputs and state are compared with those of a calm run.
    pub fn new(topology: Topology) -> Self {
        let mut config = AppConfig::new(4);
        config.session_timeout = Duration::from_secs(6);
        config.transaction_timeout = Duration::from_secs(5);
        config.flush_bytes = 400;
        config.flush_interval = Duration::from_secs(1);
        config.trim_interval = Duration::from_secs(1);
        Self {
            topology,
            config,
            processes: 3,
            seeds: 0..100,
            faults: Faults::all(),
            input: Box::new(|_| Vec::new()),
            faults_after_input: Duration::from_secs(5),
            quiet: Duration::from_secs(1),
            patience: Duration::from_secs(300),
            step_limit: 300_000,
            compared: Compared::OutputsAndState,
            invariants: Vec::new(),
        }
    }

    /// Partition count of the application.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.config.partitions = partitions;
        self
    }

    /// Topics that are there before the start: inputs and outputs of the job.
    pub fn topics(mut self, topics: impl IntoIterator<Item = TopicSpec>) -> Self {
        self.config.topics = topics.into_iter().collect();
        self
    }

    /// How many processes, from 1.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = processes.max(1);
        self
    }

    /// How many stream threads each process has, from 1, which is the default. They share what threads of one process share: a
    /// disk, standby copies, and death. One stands still while the others go on.
    pub fn threads(mut self, threads: u32) -> Self {
        self.config.threads = threads.max(1);
        self
    }

    /// Which seeds [`Simulation::run`] runs.
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Which faults may happen.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// What is appended when, by seed; times count from the start.
    pub fn input(mut self, input: impl Fn(u64) -> Vec<(Duration, Record)> + 'static) -> Self {
        self.input = Box::new(input);
        self
    }

    /// How long faults go on after the last input. Default 5 s.
    pub fn faults_after_input(mut self, time: Duration) -> Self {
        self.faults_after_input = time;
        self
    }

    /// How long the log must have been quiet, with everything read, before a run counts as being at rest: longer than
    /// the longest timer that has to fire. Default 1 s.
    pub fn quiet(mut self, time: Duration) -> Self {
        self.quiet = time;
        self
    }

    /// What must equal a calm run. Default [`Compared::OutputsAndState`].
    pub fn compared(mut self, compared: Compared) -> Self {
        self.compared = compared;
        self
    }

    /// Something that must hold for what a run has left in the log; the error says what does not.
    pub fn invariant(
        mut self,
        name: impl Into<String>,
        holds: impl Fn(&Finished<'_>) -> Result<(), String> + 'static,
    ) -> Self {
        self.invariants.push((name.into(), Box::new(holds)));
        self
    }

    /// Changes the application's settings: commit interval, time-outs, flushes, checkpoints. Instances, the place of state
    /// and the object storage are the simulation's own: each run has an empty one, to which happens what
    /// [`Fault::FailedStorageCall`](super::Fault::FailedStorageCall) and its like say. A changelog that checkpoints trim tells no more of the whole
    /// state: compare [`Compared::Outputs`] then.
    pub fn configure(mut self, change: impl FnOnce(&mut AppConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Runs all seeds, up to the first that fails.
    ///
    /// # Errors
    /// The first failure.
    pub fn run(&self) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        let mut calm = None;
        for seed in self.seeds.clone() {
            summary.add(&self.run_compared(seed, &mut calm)?);
        }
        Ok(summary)
    }

    /// Runs one seed.
    ///
    /// # Errors
    /// When something is wrong with how it ended, or it did not end.
    pub fn run_seed(&self, seed: u64) -> Result<Run, Failure> {
        self.run_compared(seed, &mut None)
    }

    /// Runs one seed; a calm run of the same input is kept for the next.
    fn run_compared(&self, seed: u64, calm: &mut Option<(Input, Left)>) -> Result<Run, Failure> {
        let mut input = (self.input)(seed);
        input.sort_by_key(|(at, _)| *at);
        if self.compared != Compared::Nothing && calm.as_ref().is_none_or(|(known, _)| *known != input) {
            let (_, result) = self
                .run_once(seed, &input, &Faults::none(), 1)
                .map_err(|failure| Failure { reason: format!("without any fault: {}", failure.reason), ..failure })?;
            *calm = Some((input.clone(), result));
        }
        let expected = calm.as_ref().map(|(_, result)| result);
        let (run, _) = self.run_and_check(seed, &input, &self.faults, self.processes, expected)?;
        Ok(run)
    }

    fn run_once(&self, seed: u64, input: &Input, faults: &Faults, processes: usize) -> Result<(Run, Left), Failure> {
        self.run_and_check(seed, input, faults, processes, None)
    }

    fn run_and_check(
        &self,
        seed: u64,
        input: &Input,
        faults: &Faults,
        processes: usize,
        expected: Option<&Left>,
    ) -> Result<(Run, Left), Failure> {
        let mut random = Random::new(seed);
        let rates = Rates::draw(faults, self.config.checkpoints.is_some(), &mut random);
        let world = Arc::new(Mutex::new(World::new(random, rates, self.config.session_timeout)));
        let mut config = self.config.clone();
        config.state = StateLocation::Memory;
        let keep = self.config.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.keep);
        let storage = SimulatedStorage::of_one_run(&world, keep);
        if let Some(checkpoints) = &mut config.checkpoints {
            checkpoints.store = Arc::clone(&storage) as _;
        }
        let fail = |reason: String| {
            let trace = &enter(&world).trace;
            Failure { seed, reason, faults: trace.counts.clone(), report: trace.report() }
        };
        let scheduler = Scheduler::new(
            Arc::clone(&world),
            self.topology.clone(),
            config,
            input.clone(),
            processes,
            self.step_limit,
        )
        .map_err(|error| fail(error.to_string()))?;
        let last_input = input.last().map_or(Duration::ZERO, |(at, _)| *at);
        let faults_until = last_input + self.faults_after_input;
        let running = scheduler.begin(faults_until);
        scheduler.run_until(if !faults.is_none() { faults_until } else { last_input }, &|| false);
        scheduler.calm_down();
        let patience = enter(&world).now + self.patience;
        scheduler.run_until(patience, &|| scheduler.is_at_rest(self.quiet));
        if let Some(reason) = scheduler.take_failure() {
            return Err(fail(reason));
        }
        if !scheduler.is_at_rest(self.quiet) {
            let unread = scheduler.unread().map_err(|error| fail(error.to_string()))?;
            return Err(fail(format!(
                "did not come to rest {} s after the faults: {unread:?}",
                self.patience.as_secs()
            )));
        }
        drop(running);
        for (name, bytes) in storage.objects() {
            let trace = &mut enter(&world).trace;
            trace.mix(name.as_bytes());
            trace.mix(&bytes);
        }
        self.finish(seed, &scheduler, expected).map_err(fail)
    }

    fn finish(&self, seed: u64, scheduler: &Rc<Scheduler>, expected: Option<&Left>) -> Result<(Run, Left), String> {
        let finished = Finished { log: &scheduler.log, topology: &self.topology, partitions: self.config.partitions };
        let result = self.result(&finished)?;
        if let Some(expected) = expected {
            self.compare(&result, expected)?;
        }
        for (name, holds) in &self.invariants {
            holds(&finished).map_err(|what| format!("invariant `{name}` does not hold: {what}"))?;
        }
        hash_log(&finished, scheduler)?;
        let world = enter(&scheduler.world);
        let run = Run {
            seed,
            steps: scheduler.steps(),
            time: world.now,
            checkpoint_restores: world.checkpoint_restores,
            faults: world.trace.counts.clone(),
            trace_hash: world.trace.hash(),
        };
        Ok((run, result))
    }

    fn result(&self, finished: &Finished<'_>) -> Result<Left, String> {
        let mut outputs = Vec::new();
        if self.compared != Compared::Nothing {
            let mut topics: Vec<String> = self.topology.sinks().map(|(_, topic)| topic.to_string()).collect();
            topics.sort();
            topics.dedup();
            for topic in topics {
                let by_key = finished.by_key(&topic).map_err(|error| error.to_string())?;
                outputs.push((topic, by_key));
            }
        }
        let state = if self.compared == Compared::OutputsAndState { finished.state()? } else { Vec::new() };
        Ok(Left { outputs, state })
    }

    fn compare(&self, result: &Left, expected: &Left) -> Result<(), String> {
        for ((topic, found), (_, wanted)) in result.outputs.iter().zip(&expected.outputs) {
            for key in wanted.keys().chain(found.keys()) {
                let (found, wanted) = (found.get(key), wanted.get(key));
                if found != wanted {
                    let text = |values: Option<&Vec<Option<Vec<u8>>>>| {
                        let values = values.map(Vec::as_slice).unwrap_or_default();
                        let texts = values.iter().map(|value| match value {
                            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                            None => "deleted".to_owned(),
                        });
                        texts.collect::<Vec<_>>().join(", ")
                    };
                    return Err(format!(
                        "topic {topic}, key {:?}: [{}], but in a calm run [{}]",
                        String::from_utf8_lossy(key),
                        text(found),
                        text(wanted)
                    ));
                }
            }
        }
        for (task, (found, wanted)) in result.state.iter().zip(&expected.state).enumerate() {
            if found != wanted {
                let differs = found.iter().zip(wanted).find(|(found, wanted)| found != wanted);
                return Err(format!(
                    "the state of task {task} differs from that of a calm run: {} entries, not {}; first {differs:?}",
                    found.len(),
                    wanted.len()
                ));
            }
        }
        Ok(())
    }
}

/// Every byte of the log, the uncommitted ones too, becomes part of the trace.
fn hash_log(finished: &Finished<'_>, scheduler: &Rc<Scheduler>) -> Result<(), String> {
    for topic in scheduler.log.list_topics().map_err(|error| error.to_string())? {
        let records = finished.read(&topic.name, Isolation::Uncommitted).map_err(|error| error.to_string())?;
        let trace = &mut enter(&scheduler.world).trace;
        trace.mix(topic.name.as_bytes());
        for (offset, record) in records {
            trace.mix(&offset.to_le_bytes());
            trace.mix(record.key.as_deref().unwrap_or_default());
            trace.mix(record.value.as_deref().unwrap_or_default());
            trace.mix(&record.timestamp_ms.unwrap_or(0).to_le_bytes());
        }
    }
    Ok(())
}
