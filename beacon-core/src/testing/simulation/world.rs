//! What all simulated processes share: the time, chance, disks, and what has happened so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Fault;
use super::disk::Disk;
use super::faults::Rates;
use super::random::Random;
use super::trace::{Event, Trace};
use crate::log::model::Rebalancing;

/// One start of a process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Incarnation(pub(super) u64);

/// The shared state of one run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) rates: Rates,
    /// No fault any more: the run comes to rest.
    pub(super) calm: bool,
    /// Those whose calls have an effect.
    pub(super) alive: BTreeSet<Incarnation>,
    pub(super) disks: Vec<Disk>,
    pub(super) away_until: Duration,
    /// Until when the object storage refuses calls, by the fault that it does so for.
    pub(super) storage_refuses_until: BTreeMap<Fault, Duration>,
    /// Objects that come with a wrong byte, and a number that says which, where [`Fault::DamagedFile`] allows it.
    pub(super) damaged_files: BTreeMap<String, u64>,
    /// Stores that checkpoints became.
    pub(super) checkpoint_restores: u64,
    pub(super) session_timeout: Duration,
    /// What each process may keep at hand of committed state: from nothing, so that each commit is stored at once, to all.
    pub(super) table_bytes: usize,
    /// How much longer than it is set its stores wait to be flushed.
    pub(super) flush_factor: u32,
    /// How partitions change hands: as for dynamic members of Kafka, or as for static ones.
    pub(super) rebalancing: Rebalancing,
    pub(super) trace: Trace,
    last_incarnation: u64,
}

/// Shared by the scheduler and the hands of all processes, which are one thread: never waited for.
pub(super) type SharedWorld = Arc<Mutex<World>>;

/// The world, whoever panicked with it in hand.
pub(super) fn enter(world: &SharedWorld) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(mut random: Random, rates: Rates, session_timeout: Duration) -> Self {
        let table_bytes = random.pick(&[0, 4 << 10, 1 << 20]);
        let flush_factor = random.pick(&[1, 30]);
        let rebalancing = random.pick(&[Rebalancing::OneByOne, Rebalancing::AllAtOnce]);
        let chosen = match rebalancing {
            Rebalancing::OneByOne => "partitions change hands one by one",
            Rebalancing::AllAtOnce => "partitions change hands all at once",
        };
        Self {
            now: Duration::ZERO,
            random,
            rates,
            calm: false,
            alive: BTreeSet::new(),
            disks: Vec::new(),
            away_until: Duration::ZERO,
            storage_refuses_until: BTreeMap::new(),
            damaged_files: BTreeMap::new(),
            checkpoint_restores: 0,
            session_timeout,
            table_bytes,
            flush_factor,
            rebalancing,
            trace: Trace::new(chosen),
            last_incarnation: 0,
        }
    }

    pub(super) fn incarnate(&mut self) -> Incarnation {
        self.last_incarnation += 1;
        let incarnation = Incarnation(self.last_incarnation);
        self.alive.insert(incarnation);
        incarnation
    }

    pub(super) fn note(&mut self, process: Option<usize>, what: &'static str, detail: u64) {
        self.trace.note(Event { at: self.now, process, what, detail });
    }

    pub(super) fn strike(&mut self, process: Option<usize>, fault: Fault, what: &'static str, detail: u64) {
        self.trace.fault(Event { at: self.now, process, what, detail }, fault);
    }

    /// Whether a fault of this kind happens on this occasion.
    pub(super) fn draws(&mut self, fault: Fault) -> bool {
        !self.calm && self.rates.strikes(fault, &mut self.random)
    }

    /// Decides whether a file that is stored will be damaged. Also where all else is calm: most restores come then, and one that has
    /// to take an older checkpoint comes to rest as well.
    pub(super) fn draw_damage(&mut self, file: &str) {
        if self.rates.strikes(Fault::DamagedFile, &mut self.random) {
            let chosen = self.random.next();
            self.damaged_files.insert(file.to_owned(), chosen);
        }
    }

    /// Ends an incarnation as `kill -9` does. Of what its disk holds unflushed, a prefix stays.
    pub(super) fn kill(&mut self, incarnation: Incarnation, disk: usize) {
        self.alive.remove(&incarnation);
        let random = &mut self.random;
        self.disks[disk].crash(&mut |writes| random.below(writes as u64 + 1) as usize);
    }
}
