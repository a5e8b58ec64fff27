//! The task itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::{ChangelogError, Positions, TaskError, decode_chunk, encode_chunks};
use crate::codec::Codec;
use crate::log::{Offset, RecordRef, TopicPartition};
use crate::operator::{
    Call, OpError, OpResult, Outgoing, RecordMeta, Step, TimeFrom, TimedInput, TimerTarget, Watermarks,
};
use crate::state::layout::{EXPIRING, META, TIMERS, is_logged, name_id};
use crate::state::{Change, Entries, Snapshot, StateError, Store, TaskState, replay_expiry};
use crate::time::{EventTime, ProcessingTime};
use crate::topology::{RawRecord, RawSource, Topology};

/// Beside the changelog offset, which making of its topic that offset is of.
const HISTORY: [u8; 2] = [META, 1];

/// Which task of its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskId {
    /// The task of a partition of the application: has state.
    Keyed(u32),
    /// Inputs with another partition count feed stateless steps only: no state, no timers.
    Stateless(u32),
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyed(partition) => write!(f, "{partition}"),
            Self::Stateless(partition) => write!(f, "stateless-{partition}"),
        }
    }
}

/// What a task needs to know of its application.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Which task it is.
    pub id: TaskId,
    /// Partition count of the application.
    pub partitions: u32,
}

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

    /// Whether its store holds nothing but, at most, which changelog it is for.
    ///
    /// # Errors
    /// The store's.
    pub fn is_blank(&self) -> Result<bool, StateError> {
        let mut blank = true;
        self.step.state.scan(&[], None, &mut |key, _| {
            blank = key == HISTORY;
            blank
        })?;
        Ok(blank)
    }

    /// The changelog offset its committed state reflects: replay goes on from here. `None`: it is empty, from the start. The
    /// store may be behind until [`Task::flush`].
    pub fn changelog_end(&self) -> Option<Offset> {
        self.changelog_end
    }

    /// Which making of the changelog's topic its store belongs to; `None`: it was never noted.
    ///
    /// # Errors
    /// The store's.
    pub fn history(&self) -> Result<Option<String>, StateError> {
        let noted = self.step.state.get(&HISTORY)?;
        Ok(noted.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Notes which making of the changelog's topic its store belongs to. Only before anything is pending.
    ///
    /// # Errors
    /// The store's.
    pub fn note_history(&mut self, topic_id: &str) -> Result<(), StateError> {
        self.step.state.put(&HISTORY, topic_id.as_bytes());
        self.step.state.apply()
    }

    /// Applies one record of the changelog to the store: restore.
    ///
    /// # Errors
    /// [`TaskError::Changelog`] when the bytes are no changelog record; the store's.
    pub fn replay(&mut self, offset: Offset, value: &[u8]) -> Result<(), TaskError> {
        for change in decode_chunk(value)? {
            let (Change::Put(key, _) | Change::Delete(key)) = change;
            if key.first() == Some(&TIMERS) {
                let deadline = match change {
                    Change::Put(_, value) => Some(i64::decode(value).map_err(|e| ChangelogError(e.to_string()))?),
                    Change::Delete(_) => None,
                };
                self.step.replay_timer(key, deadline)?;
            }
            let state = &mut self.step.state;
            if key.first() == Some(&EXPIRING) {
                replay_expiry(state, key, if let Change::Put(_, value) = change { Some(value) } else { None })?;
            }
            match change {
                Change::Put(key, value) => state.put(key, value),
                Change::Delete(key) => state.delete(key),
            }
        }
        self.step.state.keep_step();
        self.changelog_end = Some(offset + 1);
        if self.step.state.pending_bytes() >= 1 << 20 {
            self.apply_replayed()?;
        }
        Ok(())
    }

    /// Ends a restore, which read everything before `end`: what was replayed is committed, timers are known.
    ///
    /// # Errors
    /// The store's.
    pub fn finish_replay(&mut self, end: Offset) -> Result<(), TaskError> {
        self.changelog_end = Some(end.max(self.changelog_end.unwrap_or(0)));
        self.apply_replayed()?;
        Ok(self.step.reload()?)
    }

    fn apply_replayed(&mut self) -> Result<(), StateError> {
        self.unflushed += self.step.state.pending_bytes();
        match self.changelog_end {
            Some(end) => self.step.apply_replayed(end),
            None => self.step.state.apply(),
        }
    }

    /// Calls that were not answered before the restart: to be made again.
    ///
    /// # Errors
    /// The store's.
    pub fn open_calls(&self) -> Result<Vec<Call>, StateError> {
        self.step.open_calls()
    }

    /// Runs one record. What it wants sent goes to `send`, before this returns.
    ///
    /// # Errors
    /// See [`TaskError`]; after any of them the pending commit must be dropped.
    pub fn feed(
        &mut self,
        record: RecordRef<'_>,
        now: ProcessingTime,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let Some(input) =
            self.inputs.iter().find(|input| Arc::ptr_eq(&input.topic, record.topic) || input.topic == *record.topic)
        else {
            return Ok(());
        };
        let timestamp = EventTime::from_millis(record.timestamp_ms);
        self.step.begin(
            now,
            Some(RecordMeta {
                topic: Arc::clone(record.topic),
                partition: record.partition,
                offset: record.offset,
                timestamp,
            }),
        );
        if input.internal && record.key.is_none() {
            return self.hear(&record, send);
        }
        if let Some(TimeFrom::Records { lateness, .. }) = input.time {
            self.step.observe_event_time(input.number, timestamp - lateness);
        }
        let raw = RawRecord { key: record.key, value: record.value };
        let result = input.source.feed(raw, &mut self.step);
        // Nobody said that it was his: the bytes could not be read.
        let reader = result.is_err().then(|| input.name.clone());
        if let Some(reader) = reader {
            self.step.refused_by(&reader);
        }
        let at = || format!("{}/{}@{}", record.topic, record.partition, record.offset);
        self.settle(result, &at, (record.key, record.value), send)?;
        self.positions.advance(record.topic, record.partition, record.offset);
        self.fire_event_timers(send)
    }

    /// Takes another task's announcement of its event time: a record of an internal topic without a key.
    fn hear(
        &mut self,
        record: &RecordRef<'_>,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let number = name_id(record.topic);
        self.step.hear_announcement(number, record.value.unwrap_or_default())?;
        self.step.keep_state();
        self.positions.advance(record.topic, record.partition, record.offset);
        self.fire_event_timers(send)
    }

    fn fire_event_timers(&mut self, send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>) -> Result<(), TaskError> {
        while let Some(timer) = self.step.pop_event_timer()? {
            self.step.keep_state();
            self.step.begin_event_timer(EventTime::from_millis(timer.deadline_ms));
            self.fire(&timer, send)?;
        }
        Ok(())
    }

    /// Fires processing-time timers that are due, earliest first, at most `limit`. Returns how many.
    ///
    /// # Errors
    /// As [`Task::feed`].
    pub fn fire_timers(
        &mut self,
        now: ProcessingTime,
        limit: usize,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<usize, TaskError> {
        let mut fired = 0;
        self.step.begin(now, None);
        if self.step.find_idle() {
            // Work like a timer's: it must be committed.
            fired += 1;
            self.step.keep_state();
            self.fire_event_timers(send)?;
        }
        while fired < limit {
            let Some(timer) = self.step.processing_timers.pop_due(&mut self.step.state, now.as_millis())? else {
                break;
            };
            // Taking the timer is a step of its own: what the operator does may be taken back, the timer is used up.
            self.step.keep_state();
            self.step.begin(now, None);
            self.fire(&timer, send)?;
            fired += 1;
        }
        Ok(fired)
    }

    fn fire(
        &mut self,
        timer: &crate::timer::Timer,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let (id, deadline_ms) = (self.id, timer.deadline_ms);
        let at = || format!("task {id}, a timer due at {deadline_ms} ms");
        let result = match self.timers.get(&timer.operator) {
            Some(target) => target.fire(timer, &mut self.step),
            None => Err(OpError::Stop(
                "a stored timer belongs to an operator that this version of the program does not have".into(),
            )),
        };
        self.settle(result, &at, (Some(&timer.key), None), send)
    }

    /// Keeps or takes back a step, by its result.
    fn settle(
        &mut self,
        result: OpResult,
        at: &dyn Fn() -> String,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let operator = self.step.take_refused_by();
        let blamed = || match &operator {
            Some(operator) => format!("{}, operator `{operator}`", at()),
            None => at(),
        };
        match result {
            Ok(()) => {}
            Err(OpError::DeadLetter(reason)) => {
                self.step.undo();
                let Some(topic) = &self.dead_letters else {
                    let reason = format!("{reason} (and the job has no topic for dead letters)");
                    return Err(TaskError::Stop { at: blamed(), reason });
                };
                tracing::warn!(
                    source = at(),
                    operator = operator.as_deref(),
                    reason,
                    "record goes to the dead letters"
                );
                let headers = vec![
                    ("beacon.error".to_owned(), reason.into_bytes()),
                    ("beacon.source".to_owned(), at().into_bytes()),
                    ("beacon.operator".to_owned(), operator.unwrap_or_default().into_string().into_bytes()),
                    (
                        "beacon.application-task".to_owned(),
                        format!("{} {}", self.changelog.topic, self.id).into_bytes(),
                    ),
                ];
                self.step.send(Outgoing {
                    topic: Arc::clone(topic),
                    partition: None,
                    key: key.map(<[u8]>::to_vec),
                    value: value.map(<[u8]>::to_vec),
                    headers,
                    timestamp: self.step.output_time(),
                });
            }
            Err(OpError::Retry(reason)) => return Err(TaskError::Retry { at: blamed(), reason }),
            Err(OpError::Stop(reason)) => return Err(TaskError::Stop { at: blamed(), reason }),
            Err(OpError::State(error)) => return Err(error.into()),
        }
        self.step.settle_lifetimes()?;
        let (outgoing, calls) = self.step.keep();
        self.calls.extend(calls);
        for record in outgoing {
            self.sent = true;
            send(record)?;
        }
        Ok(())
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

    /// Hands out the changelog records of the commit at hand, and the offsets that belong to it.
    ///
    /// # Errors
    /// Those of `send`, and the store's.
    pub fn seal(
        &mut self,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<Vec<(TopicPartition, Offset)>, TaskError> {
        let (topic, partition) = (Arc::clone(&self.changelog.topic), self.changelog.partition);
        let timestamp = EventTime::from_millis(self.step.now().as_millis());
        // After the records that are before them in event time.
        for announcement in self.step.announcements() {
            for partition in 0..self.partitions {
                send(Outgoing {
                    topic: Arc::clone(&announcement.topic),
                    partition: Some(partition),
                    key: None,
                    value: Some(announcement.bytes.clone()),
                    headers: Vec::new(),
                    timestamp,
                })?;
            }
        }
        self.step.seal_event_time();
        encode_chunks(self.step.state.logged_changes(), |chunk| {
            send(Outgoing {
                topic: Arc::clone(&topic),
                partition: Some(partition),
                key: None,
                value: Some(chunk),
                headers: Vec::new(),
                timestamp,
            })
        })?;
        Ok(self.positions.to_commit())
    }

    /// The commit went through: state becomes what the steps wrote. `ends` are the offsets after the records written
    /// in it. Returns the calls to make now.
    ///
    /// # Errors
    /// The store's. The commit stands in the log: drop the task and restore it.
    pub fn committed(&mut self, ends: &[(TopicPartition, Offset)]) -> Result<Vec<Call>, StateError> {
        let end = ends.iter().find(|(partition, _)| *partition == self.changelog).map(|(_, end)| *end);
        self.changelog_end = end.or(self.changelog_end);
        self.unflushed += self.step.state.pending_bytes();
        self.step.committed(end)?;
        self.positions.committed();
        self.sent = false;
        Ok(std::mem::take(&mut self.calls))
    }

    /// A planted bug: see [`crate::planted::Planted::AppliedBeforeCommit`].
    ///
    /// # Errors
    /// The store's.
    #[cfg(test)]
    pub(crate) fn apply_uncommitted(&mut self) -> Result<(), StateError> {
        self.step.state.apply()
    }

    /// The commit was dropped: everything is as after the last one. Returns where to read from again.
    ///
    /// # Errors
    /// The store's.
    pub fn dropped(&mut self) -> Result<Vec<(TopicPartition, Offset)>, StateError> {
        self.step.drop_pending();
        self.calls.clear();
        self.sent = false;
        Ok(self.positions.rewind())
    }

    /// Bytes applied since the last flush: the length of the tail that a crash makes us read again.
    pub fn unflushed_bytes(&self) -> usize {
        self.unflushed
    }

    /// Makes committed state survive a crash of the machine.
    ///
    /// # Errors
    /// The store's.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.step.state.flush()?;
        self.unflushed = 0;
        Ok(())
    }

    /// What it may keep in memory of its committed state: see [`TaskState::set_room`].
    pub fn set_room(&mut self, bytes: usize) {
        self.step.state.set_room(bytes);
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
