//! A task: everything an application does with one partition number.
//!
//! Operators, one state, one changelog partition. A task is fed records and the time, and hands out records to send;
//! it is told when they were committed or dropped. What it deliberately does not do: it never touches the log, a clock
//! or a thread (`tests/layers.rs: pure_modules_neither_wait_nor_look_around`), so tests, simulation and production
//! run the same code.
//!
//! Invariant: between a commit and the next step, state, timers and watermarks are those of a replay of the task's
//! changelog, state says where in it it stands, and positions are the offsets committed with it
//! (`src/task/tests.rs: after_each_commit_state_is_the_changelog_and_positions_are_what_was_committed`).

mod changelog;
mod commit;
mod error;
mod identity;
mod positions;
mod replay;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use crate::codec::Codec;
use crate::log::{Offset, TopicPartition};
use crate::operator::{Call, Step, TimeFrom, TimedInput, TimerTarget, Watermarks};
use crate::state::layout::{META, is_logged, name_id};
use crate::state::{Entries, Snapshot, StateError, Store, TaskState};
use crate::time::ProcessingTime;
use crate::topology::{RawSource, Topology};

pub use changelog::{CHUNK_BYTES, ChangelogError, decode_chunk, encode_chunks};
pub use error::TaskError;
pub use identity::{TaskId, TaskSettings};
pub use positions::Positions;

struct Input {
    topic: Arc<str>,
    /// The operator that reads it.
    name: String,
    source: Rc<dyn RawSource>,
    /// Written by tasks of this application.
    internal: bool,
    time: Option<TimeFrom>,
    stage: u8,
    number: u32,
}

/// One task. See the module's documentation.
pub struct Task {
    id: TaskId,
    changelog: TopicPartition,
    dead_letters: Option<Arc<str>>,
    inputs: Vec<Input>,
    partitions: u32,
    timers: HashMap<u32, Rc<dyn TimerTarget>>,
    step: Step,
    /// How far each input has been read.
    pub positions: Positions,
    /// Calls to make once the commit at hand went through.
    calls: Vec<Call>,
    changelog_end: Option<Offset>,
    /// Logged bytes applied since the last flush.
    unflushed: usize,
    /// Something beside state and positions waits for the commit.
    sent: bool,
}

impl Task {
    /// A task over its store, which holds what an earlier run left there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(topology: &Topology, settings: &TaskSettings, store: Box<dyn Store>) -> Result<Self, TaskError> {
        let assembly = topology.assemble();
        let inputs: Vec<_> = assembly
            .sources
            .iter()
            .map(|(topic, source)| {
                let spec = topology.sources().iter().find(|spec| spec.topic == *topic);
                Input {
                    topic: Arc::clone(topic),
                    name: spec.map_or_else(|| topic.to_string(), |spec| spec.name.clone()),
                    source: Rc::clone(source),
                    internal: spec.is_none(),
                    time: topology.time_of(topic),
                    stage: topology.stage_of(topic),
                    number: name_id(topic),
                }
            })
            .collect();
        let partition = match settings.id {
            TaskId::Keyed(partition) | TaskId::Stateless(partition) => partition,
        };
        let timed = inputs
            .iter()
            .filter_map(|i| Some(TimedInput { number: i.number, from: i.time?, stage: i.stage }))
            .collect();
        let watermarks = Watermarks::new(timed, topology.announced().to_vec(), settings.partitions);
        let state = TaskState::new(store);
        let changelog_end = read_changelog_end(&state)?;
        Ok(Self {
            id: settings.id,
            changelog: TopicPartition::new(topology.changelog(), partition),
            dead_letters: topology.dead_letters().cloned(),
            partitions: settings.partitions,
            inputs,
            timers: assembly.timers,
            step: Step::new(state, changelog_end, watermarks, partition, settings.partitions)?,
            positions: Positions::default(),
            calls: Vec::new(),
            changelog_end,
            unflushed: 0,
            sent: false,
        })
    }

    /// Which task it is.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Where its changes are logged.
    pub fn changelog(&self) -> &TopicPartition {
        &self.changelog
    }

    /// The changelog offset its committed state reflects: replay goes on from here. `None`: it is empty, from the start. The
    /// store may be behind until [`Task::flush`].
    pub fn changelog_end(&self) -> Option<Offset> {
        self.changelog_end
    }

    /// Calls that were not answered before the restart: to be made again.
    ///
    /// # Errors
    /// The store's.
    pub fn open_calls(&self) -> Result<Vec<Call>, StateError> {
        self.step.open_calls()
    }

    /// When the next processing-time timer is due, or a source will be idle.
    ///
    /// # Errors
    /// The store's.
    pub fn next_timer(&mut self) -> Result<Option<ProcessingTime>, StateError> {
        let next = self.step.processing_timers.next_deadline(&self.step.state)?;
        Ok([next.map(ProcessingTime::from_millis), self.step.next_idle()].into_iter().flatten().min())
    }

    /// Whether there is anything to commit.
    pub fn is_dirty(&self) -> bool {
        self.sent || self.positions.moved() || self.step.is_dirty()
    }

    /// Bytes of state waiting for the commit.
    pub fn pending_bytes(&self) -> usize {
        self.step.state.pending_bytes()
    }

    /// What it may keep in memory of its committed state: see [`TaskState::set_room`].
    pub fn set_room(&mut self, bytes: usize) {
        self.step.state.set_room(bytes);
    }

    /// Its store may do its upkeep from now on: see [`Store::begin_upkeep`].
    ///
    /// # Errors
    /// The store's.
    pub fn begin_upkeep(&mut self) -> Result<bool, StateError> {
        self.step.state.begin_upkeep()
    }

    /// Its store, with all that is committed.
    ///
    /// # Errors
    /// The store's.
    pub fn store(&mut self) -> Result<&dyn Store, StateError> {
        self.step.state.store()
    }

    /// Holds on to committed state as files: the state of [`Task::changelog_end`]. What steps have written since the last
    /// commit is not in it.
    ///
    /// # Errors
    /// The store's.
    pub fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError> {
        let snapshot = self.step.state.snapshot()?;
        self.unflushed = 0;
        Ok(snapshot)
    }

    /// All logged state, as bytes: for tests and simulation to compare.
    ///
    /// # Errors
    /// The store's.
    pub fn dump(&self) -> Result<Entries, StateError> {
        let entries = self.step.state.entries(&[])?;
        let mut logged: BTreeMap<_, _> = entries.into_iter().filter(|(key, _)| is_logged(key)).collect();
        logged.extend(self.step.unsealed().map(|(key, bytes)| (key.to_vec(), bytes)));
        Ok(logged.into_iter().collect())
    }
}

fn read_changelog_end(state: &TaskState) -> Result<Option<Offset>, StateError> {
    state
        .get(&[META])?
        .map(|bytes| {
            Offset::decode(&bytes).map_err(|source| StateError::Codec { store: "changelog offset".into(), source })
        })
        .transpose()
}
