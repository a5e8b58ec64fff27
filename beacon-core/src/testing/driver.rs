//! The test driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;
use crate::log::{Offset, OwnedBatch, Record, RecordBatch, TopicPartition, partition};
use crate::operator::{Call, Outgoing, divide_marks};
use crate::state::division::{Division, DivisionError};
use crate::state::layout::name_id;
use crate::state::{Change, Entries, MemoryStore, StateError, Store};
use crate::task::{Task, TaskError, TaskId, TaskSettings, encode_chunks};
use crate::time::{EventTime, ProcessingTime};
use crate::topology::{Topic, Topology, encode_reply};

/// Runs all tasks of a topology in one thread over topics in memory.
///
/// Every method that moves something runs until nothing is left to do and then commits, unless
/// [`TestDriver::hold_commits`] was called. Failures of operators panic, with the record's coordinates.
pub struct TestDriver {
    topology: Topology,
    partitions: u32,
    now: ProcessingTime,
    topics: BTreeMap<TopicPartition, Vec<Record>>,
    committed: BTreeMap<TopicPartition, Offset>,
    tasks: Vec<Task>,
    pending: Vec<Outgoing>,
    hold: bool,
    read: BTreeMap<TopicPartition, usize>,
    calls: Vec<(u32, Call)>,
}

impl TestDriver {
    /// A driver for an application of `partitions` partitions, at 2026-01-01T00:00:00Z.
    pub fn new(topology: Topology, partitions: u32) -> Self {
        let mut driver = Self {
            topology,
            partitions,
            now: ProcessingTime::from_millis(1_767_225_600_000),
            topics: BTreeMap::new(),
            committed: BTreeMap::new(),
            tasks: Vec::new(),
            pending: Vec::new(),
            hold: false,
            read: BTreeMap::new(),
            calls: Vec::new(),
        };
        driver.start();
        driver
    }

    /// The time by this driver.
    pub fn now(&self) -> ProcessingTime {
        self.now
    }

    fn start(&mut self) {
        self.tasks = (0..self.partitions)
            .map(|number| {
                let settings = TaskSettings { id: TaskId::Keyed(number), partitions: self.partitions };
                let mut task = Task::new(&self.topology, &settings, Box::new(MemoryStore::default()))
                    .expect("an empty store in memory opens");
                let changelog = self.topics.get(task.changelog()).cloned().unwrap_or_default();
                for (offset, record) in changelog.iter().enumerate() {
                    let value = record.value.as_deref().expect("changelog records have values");
                    task.replay(offset as Offset, value).expect("own changelog");
                }
                task.finish_replay(changelog.len() as Offset).expect("a store in memory takes writes");
                for topic in self.topology.inputs() {
                    let input = TopicPartition::new(Arc::clone(topic), number);
                    let next = self.committed.get(&input).copied().unwrap_or(0);
                    task.positions.assign(input, next);
                }
                task
            })
            .collect();
        self.calls = self
            .tasks
            .iter()
            .enumerate()
            .flat_map(|(number, task)| {
                let calls = task.open_calls().expect("a store in memory reads");
                calls.into_iter().map(move |call| (number as u32, call))
            })
            .collect();
    }

    /// Sends a record with key and value, to the partition of its key.
    pub fn send<V: Codec>(&mut self, topic: &Topic<V>, key: &[u8], value: &V) {
        self.send_bytes(topic.name(), key, Some(value.to_bytes()));
    }

    /// Sends a record with a timestamp of its own: late, or from a clock that goes wrong.
    pub fn send_at<V: Codec>(&mut self, topic: &Topic<V>, key: &[u8], value: &V, timestamp: EventTime) {
        let mut record = Record::new(Arc::clone(topic.name()), key, value.to_bytes());
        record.timestamp_ms = Some(timestamp.as_millis());
        self.append(record);
        self.run();
    }

    /// Sends a tombstone.
    pub fn send_tombstone<V: Codec>(&mut self, topic: &Topic<V>, key: &[u8]) {
        self.send_bytes(topic.name(), key, None);
    }

    /// Sends any bytes.
    pub fn send_bytes(&mut self, topic: &Arc<str>, key: &[u8], value: Option<Vec<u8>>) {
        let record = Record {
            topic: Arc::clone(topic),
            partition: Some(partition::for_key(key, self.partitions)),
            key: Some(key.to_vec()),
            value,
            headers: Vec::new(),
            timestamp_ms: Some(self.now.as_millis()),
        };
        self.append(record);
        self.run();
    }

    fn append(&mut self, mut record: Record) {
        let partition = record
            .partition
            .unwrap_or_else(|| partition::for_key(record.key.as_deref().unwrap_or_default(), self.partitions));
        record.partition = Some(partition);
        self.topics.entry(TopicPartition::new(Arc::clone(&record.topic), partition)).or_default().push(record);
    }

    /// Moves time forward; timers fire on the way, each at its deadline.
    pub fn advance(&mut self, by: Duration) {
        let target = self.now + by;
        loop {
            let next = self.tasks.iter_mut().filter_map(|task| task.next_timer().expect("memory reads")).min();
            match next {
                Some(deadline) if deadline <= target => {
                    self.now = self.now.max(deadline);
                    self.run();
                }
                _ => break,
            }
        }
        self.now = target;
        self.run();
    }

    /// Leaves everything that follows uncommitted, until [`TestDriver::commit`] or a crash.
    pub fn hold_commits(&mut self) {
        self.hold = true;
    }

    /// Commits, and goes on committing after each step.
    pub fn commit(&mut self) {
        self.hold = false;
        self.run();
    }

    /// Kills all tasks, their disks included, and restores them from the changelog. What was not committed is gone
    /// and its input is read again.
    pub fn crash_and_restore(&mut self) {
        self.pending.clear();
        self.hold = false;
        self.start();
        self.run();
    }

    /// Stops everything and starts another version of the program on the same topics and state.
    pub fn upgrade(&mut self, topology: Topology) {
        self.topology = topology;
        self.crash_and_restore();
    }

    /// Nothing runs for this long, as when the machine is off; then everything starts again from the changelog.
    pub fn down_for(&mut self, time: Duration) {
        self.now = self.now + time;
        self.crash_and_restore();
    }

    /// Stops everything, changes the partition count together with the state, and starts again: what the rescaling
    /// tool does to an application. Input that was read stays read; the topics begin anew.
    ///
    /// # Errors
    /// State that cannot be divided, counts that are no powers of two.
    pub fn rescale(&mut self, partitions: u32) -> Result<(), DivisionError> {
        let division = Division::new(self.partitions, partitions)?;
        let stores: Vec<MemoryStore> = self
            .dump()
            .map_err(|source| DivisionError::State { task: 0, source })?
            .into_iter()
            .map(|entries| {
                let mut store = MemoryStore::default();
                store.write(&mut entries.iter().map(|(key, value)| Change::Put(key, value))).map(|()| store)
            })
            .collect::<Result<_, _>>()
            .map_err(|source| DivisionError::State { task: 0, source })?;
        let old: Vec<&dyn Store> = stores.iter().map(|store| store as &dyn Store).collect();
        division.check(&old)?;
        let changelog = self.topology.changelog();
        let mut topics = BTreeMap::new();
        for number in 0..partitions {
            let mut entries: Entries = Vec::new();
            division.state_of(number, &old, divide_marks, &mut |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                true
            })?;
            let records: &mut Vec<Record> =
                topics.entry(TopicPartition::new(Arc::clone(&changelog), number)).or_default();
            let changes = entries.iter().map(|(key, value)| Change::Put(key, value));
            let written: Result<(), std::convert::Infallible> = encode_chunks(changes, |chunk| {
                records.push(Record::new(Arc::clone(&changelog), Vec::new(), chunk).to_partition(number));
                Ok(())
            });
            let Ok(()) = written;
        }
        // What tests have not looked at yet stays to be seen, in topics that nobody reads any more.
        let is_input = |topic: &Arc<str>| *topic == changelog || self.topology.inputs().any(|input| input == topic);
        topics
            .extend(std::mem::take(&mut self.topics).into_iter().filter(|(partition, _)| !is_input(&partition.topic)));
        self.read.retain(|partition, _| !is_input(&partition.topic));
        self.topics = topics;
        self.committed.clear();
        self.pending.clear();
        self.partitions = partitions;
        self.start();
        self.run();
        Ok(())
    }

    fn run(&mut self) {
        loop {
            let mut moved = false;
            for number in 0..self.tasks.len() {
                moved |= self.feed(number);
            }
            for task in &mut self.tasks {
                let pending = &mut self.pending;
                let mut send = |record| {
                    pending.push(record);
                    Ok(())
                };
                let fired = task.fire_timers(self.now, usize::MAX, &mut send).unwrap_or_else(|error| panic!("{error}"));
                moved |= fired > 0;
            }
            if self.hold || !self.commit_once() && !moved {
                return;
            }
        }
    }

    fn feed(&mut self, number: usize) -> bool {
        let inputs: Vec<_> = self.tasks[number].positions.partitions().cloned().collect();
        let mut moved = false;
        for input in inputs {
            let next = self.tasks[number].positions.next(&input).expect("listed above");
            let records = self.topics.get(&input).map_or(&[][..], |all| &all[next as usize..]);
            let batch: Vec<_> = (next..).zip(records.iter().cloned()).collect();
            let batch = OwnedBatch::new(batch);
            for index in 0..batch.len() {
                let pending = &mut self.pending;
                let mut send = |record| {
                    pending.push(record);
                    Ok(())
                };
                self.tasks[number]
                    .feed(batch.get(index), self.now, &mut send)
                    .unwrap_or_else(|error| panic!("{error}"));
                moved = true;
            }
        }
        moved
    }

    fn commit_once(&mut self) -> bool {
        let mut outgoing = std::mem::take(&mut self.pending);
        let mut offsets = Vec::new();
        let mut dirty = Vec::new();
        for (number, task) in self.tasks.iter_mut().enumerate().filter(|(_, task)| task.is_dirty()) {
            let mut send = |record| -> Result<(), TaskError> {
                outgoing.push(record);
                Ok(())
            };
            offsets.extend(task.seal(&mut send).unwrap_or_else(|error| panic!("{error}")));
            dirty.push(number);
        }
        for record in outgoing {
            self.append(Record {
                topic: record.topic,
                partition: record.partition,
                key: record.key,
                value: record.value,
                headers: record.headers,
                timestamp_ms: Some(record.timestamp.as_millis()),
            });
        }
        self.committed.extend(offsets);
        for number in &dirty {
            let changelog = self.tasks[*number].changelog().clone();
            let end = self.topics.get(&changelog).map_or(0, Vec::len) as Offset;
            let ends = if end > 0 { vec![(changelog, end)] } else { Vec::new() };
            let calls = self.tasks[*number].committed(&ends).expect("a store in memory takes writes");
            self.calls.extend(calls.into_iter().map(|call| (*number as u32, call)));
        }
        !dirty.is_empty()
    }

    /// What was committed to a topic since the last call, all partitions in turn: key and value, `None` for a
    /// tombstone.
    pub fn changes<V: Codec>(&mut self, topic: &Topic<V>) -> Vec<(Vec<u8>, Option<V>)> {
        self.records(topic.name())
            .into_iter()
            .map(|record| {
                let value = record.value.map(|bytes| V::decode(&bytes).unwrap_or_else(|error| panic!("{error}")));
                (record.key.unwrap_or_default(), value)
            })
            .collect()
    }

    /// The values committed to a topic since the last call, all partitions in turn; tombstones left out.
    pub fn output<V: Codec>(&mut self, topic: &Topic<V>) -> Vec<V> {
        self.changes(topic).into_iter().filter_map(|(_, value)| value).collect()
    }

    /// The records committed to a topic since the last call, all partitions in turn.
    pub fn records(&mut self, topic: &str) -> Vec<Record> {
        let mut found = Vec::new();
        for (partition, records) in self.topics.iter().filter(|(partition, _)| &*partition.topic == topic) {
            let read = self.read.entry(partition.clone()).or_default();
            found.extend_from_slice(&records[*read..]);
            *read = records.len();
        }
        found
    }

    /// Calls of this kind that wait for an answer and were not taken yet: `(id, request)`. A crash makes open calls
    /// appear again.
    pub fn take_calls<Q: Codec>(&mut self, name: &str) -> Vec<(TakenCall, Q)> {
        let operator = name_id(name);
        let (taken, left) =
            std::mem::take(&mut self.calls).into_iter().partition(|(_, call)| call.operator == operator);
        self.calls = left;
        let taken: Vec<(u32, Call)> = taken;
        taken
            .into_iter()
            .map(|(task, call)| {
                let request = Q::decode(&call.request).unwrap_or_else(|error| panic!("{error}"));
                (TakenCall { task, call }, request)
            })
            .collect()
    }

    /// Answers a call.
    pub fn answer<R: Codec>(&mut self, call: &TakenCall, answer: &R) {
        let site = self.topology.call_site(call.call.operator).expect("taken from this topology");
        let value = encode_reply(&call.call.id, &answer.to_bytes());
        let record = Record::new(Arc::clone(&site.replies), call.call.key.clone(), value).to_partition(call.task);
        self.append(record);
        self.run();
    }

    /// All logged state of all tasks, as bytes: to compare two runs.
    ///
    /// # Errors
    /// Never, in memory.
    pub fn dump(&self) -> Result<Vec<Entries>, StateError> {
        self.tasks.iter().map(Task::dump).collect()
    }
}

/// A call the test took over.
#[derive(Clone, Debug)]
pub struct TakenCall {
    task: u32,
    call: Call,
}
