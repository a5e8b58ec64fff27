//! The tasks of a job over a log that is a map. They read and commit when the test says so, and so records between two of
//! them can be left unread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use beacon_core::operator::Call;

use beacon_core::log::{Offset, OwnedBatch, Record, RecordBatch, TopicPartition, partition};
use beacon_core::operator::Outgoing;
use beacon_core::state::{Change, Entries, MemoryStore, Store};
use beacon_core::task::{Task, TaskId, TaskSettings};
use beacon_core::time::ProcessingTime;
use beacon_core::topology::{Topology, encode_reply};

use crate::job::{ORDERS, TOLD};
use crate::kept::{Disk, Kept};

/// Whose changelog the disks are of.
pub const HISTORY: &str = "first-making";
/// Where the answers of the job's calls go.
const REPLIES: &str = "shop-credit-replies";

pub struct Run {
    topology: Topology,
    partitions: u32,
    now: ProcessingTime,
    tasks: Vec<Task>,
    log: BTreeMap<TopicPartition, Vec<Record>>,
    committed: BTreeMap<TopicPartition, Offset>,
    disks: Vec<Disk>,
    sent: Vec<Outgoing>,
    told: Vec<String>,
}

impl Run {
    /// A job that nobody has run before.
    pub fn begin(topology: Topology, partitions: u32, now_ms: i64) -> Self {
        Self::over(topology, &Kept { partitions, now_ms, ..Kept::default() }, false)
    }

    /// A job that goes on where another version of the library has left it. With the disks, of the changelog only what
    /// they do not have is read.
    pub fn over(topology: Topology, kept: &Kept, with_disks: bool) -> Self {
        let mut run = Self {
            topology,
            partitions: kept.partitions,
            now: ProcessingTime::from_millis(kept.now_ms),
            tasks: Vec::new(),
            log: kept.log.clone(),
            committed: kept.committed.clone(),
            disks: Vec::new(),
            sent: Vec::new(),
            told: Vec::new(),
        };
        run.tasks = (0..run.partitions)
            .map(|number| run.open(number, with_disks.then(|| &kept.disks[number as usize])))
            .collect();
        run
    }

    fn open(&self, number: u32, disk: Option<&Disk>) -> Task {
        let mut store = MemoryStore::default();
        let entries = disk.iter().flat_map(|disk| &disk.entries);
        store.write(&mut entries.map(|(key, value)| Change::Put(key, value))).expect("memory");
        let settings = TaskSettings { id: TaskId::Keyed(number), partitions: self.partitions };
        let mut task = Task::new(&self.topology, &settings, Box::new(store)).expect("a readable store");
        assert_eq!(task.changelog_end(), disk.map(|disk| disk.reflects), "what the disk of task {number} reflects");
        match disk {
            Some(_) => assert_eq!(task.history().expect("memory").as_deref(), Some(HISTORY), "whose disk it is"),
            None => task.note_history(HISTORY).expect("memory"),
        }
        let changelog = self.log.get(task.changelog()).map_or(&[][..], Vec::as_slice);
        let from = task.changelog_end().unwrap_or(0);
        for (offset, record) in (0..).zip(changelog).skip_while(|(offset, _)| *offset < from) {
            task.replay(offset, record.value.as_deref().expect("a value")).expect("a readable changelog");
        }
        task.finish_replay(changelog.len() as Offset).expect("memory");
        let sources = self.topology.sources().iter().map(|source| &source.topic);
        let internal = self.topology.internal_topics().iter().map(|topic| &topic.name);
        for topic in sources.chain(internal) {
            let input = TopicPartition::new(Arc::clone(topic), number);
            let next = self.committed.get(&input).copied().unwrap_or(0);
            task.positions.assign(input, next);
        }
        task
    }

    /// An order, at the partition of its number.
    pub fn order(&mut self, order: &str) {
        self.send(ORDERS, order.split(' ').next().unwrap_or_default(), order);
    }

    pub fn send(&mut self, topic: &str, key: &str, value: &str) {
        self.append(Record::new(topic, key, value));
    }

    /// Answers a call; its task has still to read that.
    pub fn answer(&mut self, call: &Call, answer: &str) {
        self.append(Record::new(REPLIES, call.key.clone(), encode_reply(&call.id, answer.as_bytes())));
    }

    fn append(&mut self, mut record: Record) {
        let key = record.key.as_deref().unwrap_or_default();
        let number = record.partition.unwrap_or_else(|| partition::for_key(key, self.partitions));
        record.partition = Some(number);
        record.timestamp_ms.get_or_insert(self.now.as_millis());
        self.log.entry(TopicPartition::new(Arc::clone(&record.topic), number)).or_default().push(record);
    }

    pub fn open_calls(&self) -> Vec<Call> {
        self.tasks.iter().flat_map(|task| task.open_calls().expect("memory")).collect()
    }

    pub fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
    }

    /// Reads and commits until there is nothing left to do.
    pub fn settle(&mut self) {
        loop {
            self.feed();
            if !self.commit() {
                return;
            }
        }
    }

    /// Has each task read what lies there now, and then fires its timers.
    pub fn feed(&mut self) {
        for task in &mut self.tasks {
            let mut send = |record| {
                self.sent.push(record);
                Ok(())
            };
            let inputs: Vec<_> = task.positions.partitions().cloned().collect();
            for input in inputs {
                let next = task.positions.next(&input).expect("one of its inputs");
                let unread = (0..).zip(self.log.get(&input).into_iter().flatten().cloned());
                let batch = OwnedBatch::new(unread.skip_while(|(offset, _)| *offset < next).collect());
                for index in 0..batch.len() {
                    task.feed(batch.get(index), self.now, &mut send).unwrap_or_else(|error| panic!("{error}"));
                }
            }
            task.fire_timers(self.now, usize::MAX, &mut send).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Commits all tasks. `false`: none had anything.
    pub fn commit(&mut self) -> bool {
        let mut sent = std::mem::take(&mut self.sent);
        let dirty: Vec<_> = (0..self.tasks.len()).filter(|number| self.tasks[*number].is_dirty()).collect();
        for number in &dirty {
            let mut send = |record| {
                sent.push(record);
                Ok(())
            };
            let offsets = self.tasks[*number].seal(&mut send).unwrap_or_else(|error| panic!("{error}"));
            self.committed.extend(offsets);
        }
        for Outgoing { topic, partition, key, value, headers, timestamp } in sent {
            let timestamp_ms = Some(timestamp.as_millis());
            let record = Record { topic, partition, key, value, headers, timestamp_ms };
            match &*record.topic {
                TOLD => self.told.push(String::from_utf8(record.value.expect("a value")).expect("text")),
                _ => self.append(record),
            }
        }
        for number in &dirty {
            let task = &mut self.tasks[*number];
            let changelog = task.changelog().clone();
            let end = self.log.get(&changelog).map_or(0, Vec::len) as Offset;
            task.committed(&[(changelog, end)]).expect("memory");
        }
        !dirty.is_empty()
    }

    /// What was told since the last call, in alphabetical order.
    pub fn told(&mut self) -> Vec<String> {
        self.told.sort();
        std::mem::take(&mut self.told)
    }

    /// Takes copies of the tasks' stores as they are now.
    pub fn keep_disks(&mut self) {
        self.disks.clear();
        for task in &mut self.tasks {
            let reflects = task.changelog_end().expect("it has committed");
            let mut entries = Entries::new();
            let mut keep = |key: &[u8], value: &[u8]| {
                entries.push((key.to_vec(), value.to_vec()));
                true
            };
            task.store().and_then(|store| store.scan(&[], None, &mut keep)).expect("memory");
            self.disks.push(Disk { reflects, entries });
        }
    }

    pub fn kept(&self) -> Kept {
        let Self { partitions, log, committed, disks, .. } = self;
        Kept {
            partitions: *partitions,
            now_ms: self.now.as_millis(),
            log: log.clone(),
            committed: committed.clone(),
            disks: disks.clone(),
        }
    }
}
