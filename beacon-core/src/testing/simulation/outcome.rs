//! What simulations end with.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Fault;

/// One seed that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Steps of all processes.
    pub steps: u64,
    /// Virtual time from the start until it came to rest.
    pub time: Duration,
    /// How often a checkpoint became the store of a task or of a standby copy.
    pub checkpoint_restores: u64,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// A hash over every call, every fault, every byte of the log and of the object storage: equal for two runs of one seed.
    pub trace_hash: u64,
}

/// Several seeds that all ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many seeds.
    pub seeds: u64,
    /// Steps of all processes, calm runs left out.
    pub steps: u64,
    /// Virtual time of all of them together.
    pub time: Duration,
    /// How often a checkpoint became the store of a task or of a standby copy.
    pub checkpoint_restores: u64,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
}

impl Summary {
    pub(super) fn add(&mut self, run: &Run) {
        self.seeds += 1;
        self.steps += run.steps;
        self.time += run.time;
        self.checkpoint_restores += run.checkpoint_restores;
        for (fault, count) in &run.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seeds, {} steps, {} s of virtual time; ", self.seeds, self.steps, self.time.as_secs())?;
        if self.checkpoint_restores > 0 {
            write!(f, "{} restores from checkpoints; ", self.checkpoint_restores)?;
        }
        let faults: Vec<_> = self.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        write!(f, "faults: {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") })
    }
}

/// A seed that did not end well. As text: what is wrong, how to run it again, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The seed; running it again fails in the same way.
    pub seed: u64,
    /// What is wrong.
    pub reason: String,
    /// How often each fault had happened.
    pub faults: BTreeMap<Fault, u64>,
    /// The faults of the run and its last events, a line each.
    pub report: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {}\nrun it again with `.seeds({}..{})`\n{}",
            self.seed,
            self.reason,
            self.seed,
            self.seed + 1,
            self.report
        )
    }
}

impl std::error::Error for Failure {}
