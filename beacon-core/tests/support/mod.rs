//! What the runtime's tests share: a counting job with its expected result, child processes, a log that fails at will.

#![allow(dead_code, reason = "each test program uses the part it needs")]

pub mod beats;
pub mod children;
pub mod clicks;
pub mod counting;
pub mod damage;
pub mod faulty;
pub mod handover;
#[cfg(feature = "rocksdb")]
pub mod kept;
pub mod large;
#[cfg(feature = "rocksdb")]
pub mod misdeeds;
pub mod mood;
pub mod plant;
pub mod scaling;
pub mod scaling_checkpoints;
pub mod silent;
pub mod small_disk;
pub mod told;
#[cfg(feature = "rocksdb")]
pub mod trimmed;
#[cfg(feature = "rocksdb")]
pub mod verbose;
pub mod watchdog;
pub mod watched;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use beacon_core::log::{CleanupPolicy, Event, Header, Isolation, Log, Offset, Record, TopicPartition, TopicSpec};
use beacon_core::runtime::{AppConfig, StateLocation};
use beacon_core::state::Change;
use beacon_core::state::layout::{EXPIRING, is_logged};
use beacon_core::task::decode_chunk;

/// How long something may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds`; `what` says for what, when it does not come.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A number below `below` that no run can foresee.
pub fn chance(below: u64) -> u64 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    // The low bits of a clock are regular on some machines.
    (nanos ^ (nanos >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) % below
}

/// An error and what caused it, as text.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A topic that keeps everything.
pub fn topic(name: impl Into<String>, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, cleanup: CleanupPolicy::Delete { retention: None } }
}

/// A committed record as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: TopicPartition,
    pub offset: Offset,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// What a `TestDriver` has written, which tells no offsets.
impl From<Record> for Seen {
    fn from(record: Record) -> Self {
        Self {
            at: TopicPartition::new(record.topic, record.partition.unwrap_or_default()),
            offset: 0,
            key: record.key.unwrap_or_default(),
            value: record.value,
            headers: record.headers,
        }
    }
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// All committed records of a topic, partition by partition.
pub fn read_all(log: &dyn Log, topic: &str) -> Vec<Seen> {
    read_all_as(log, topic, Isolation::Committed)
}

/// All records of a topic, under this isolation.
pub fn read_all_as(log: &dyn Log, topic: &str, isolation: Isolation) -> Vec<Seen> {
    let count = log.describe_topic(topic).expect("described").expect("the topic is there").partitions;
    (0..count).flat_map(|number| read_partition_as(log, &TopicPartition::new(topic, number), isolation)).collect()
}

/// All committed records of a partition, up to where it ends now.
pub fn read_partition(log: &dyn Log, at: &TopicPartition) -> Vec<Seen> {
    read_partition_as(log, at, Isolation::Committed)
}

fn read_partition_as(log: &dyn Log, at: &TopicPartition, isolation: Isolation) -> Vec<Seen> {
    let wanted = log.offsets(at, isolation).expect("offsets");
    let mut reader = log.reader(isolation).expect("a reader");
    reader.assign(&[(at.clone(), wanted.start)]).expect("assigned");
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match reader.poll(Duration::from_millis(100)).expect("read") {
            Event::Records(batch) => seen.extend((0..batch.len()).map(|index| {
                let record = batch.get(index);
                Seen {
                    at: at.clone(),
                    offset: record.offset,
                    key: record.key.unwrap_or_default().to_vec(),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record.headers(),
                }
            })),
            Event::EndOfPartition(_, end) if end >= wanted.end => return seen,
            _ => {}
        }
        assert!(Instant::now() < deadline, "no end of {at} within {PATIENCE:?}");
    }
}

/// How many committed records a topic has, up to where it ends now.
pub fn count(log: &dyn Log, topic: &str) -> usize {
    read_all(log, topic).len()
}

/// A task's state without the moments at which entries with a lifetime end, which are of the wall clock.
pub fn timeless(mut task: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    for (key, value) in &mut task {
        if key.first() == Some(&EXPIRING) {
            // The stamp: a byte for the grain of the index, eight for the end.
            value.drain(..9);
        }
    }
    task
}

/// The logged state of every task as its changelog tells it, in the form of `TestDriver::dump`.
pub fn state_by_changelog(log: &dyn Log, application: &str, partitions: u32) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    (0..partitions)
        .map(|number| {
            let mut state = BTreeMap::new();
            for record in read_partition(log, &TopicPartition::new(format!("{application}-changelog"), number)) {
                for change in decode_chunk(&record.value.expect("changelog records have values")).expect("a chunk") {
                    match change {
                        Change::Put(key, value) => drop(state.insert(key.to_vec(), value.to_vec())),
                        Change::Delete(key) => drop(state.remove(key)),
                    }
                }
            }
            state.into_iter().collect()
        })
        .collect()
}

/// Where a configuration keeps state.
///
/// # Panics
/// When that is not on disk.
pub fn state_directory(config: &AppConfig) -> &std::path::Path {
    match &config.state {
        StateLocation::Directory(directory) => directory,
        other => panic!("state is kept in {other:?}"),
    }
}

/// The logged state of every task as the disk has it; tasks without a directory are empty.
#[cfg(feature = "rocksdb")]
pub fn state_on_disk(directory: &std::path::Path, application: &str, partitions: u32) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    use beacon_core::state::Store as _;
    use beacon_core::state::rocks::{RocksMemory, RocksStore};
    (0..partitions)
        .map(|number| {
            let path = directory.join(application).join(format!("task-{number}"));
            let mut found = Vec::new();
            if path.exists() {
                let store = RocksStore::open(&path, &RocksMemory::default()).expect("opened");
                store
                    .scan(&[], None, &mut |key, value| {
                        if is_logged(key) {
                            found.push((key.to_vec(), value.to_vec()));
                        }
                        true
                    })
                    .expect("scanned");
            }
            found
        })
        .collect()
}
