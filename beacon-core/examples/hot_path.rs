//! How fast one task takes records: the alert lifecycle (a value read and written, a timer set, moved or fired) with
//! commits, without a log. Checked against a plain map, so that a wrong answer is never a fast one.
//!
//! `cargo run --release -p beacon-core --example hot_path -- memory|rocks RECORDS KEYS COMMIT_RECORDS`
//!
//! Instructions tell more than seconds on a shared machine:
//! `valgrind --tool=callgrind --toggle-collect='*Lifecycles*::run*' target/release/examples/hot_path memory 100000`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::codec::{Codec, CodecError};
use beacon_core::log::{OwnedBatch, Record, RecordBatch, TopicPartition};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::{MemoryStore, Registry, Store, Value};
use beacon_core::task::{Task, TaskId, TaskSettings};
use beacon_core::time::{EventTime, ProcessingTime};
use beacon_core::topology::{Topic, Topology, TopologyBuilder};

const PENDING_MS: i64 = 300_000;
const RECORD_BYTES: usize = 200;

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Known {
    since_ms: i64,
    status: u8,
    episode: u32,
}

const IDLE: u8 = 0;
const PENDING: u8 = 1;
const ALERTING: u8 = 2;

impl Codec for Known {
    fn encode(&self, out: &mut Vec<u8>) {
        self.since_ms.encode(out);
        out.push(self.status);
        self.episode.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (since, rest) = bytes.split_at_checked(8).ok_or_else(|| CodecError::new("Known", "too short"))?;
        let (status, episode) = rest.split_first().ok_or_else(|| CodecError::new("Known", "too short"))?;
        Ok(Self { since_ms: i64::decode(since)?, status: *status, episode: u32::decode(episode)? })
    }
}

/// `key u64, event_ms i64, firing u8`, and filler.
#[derive(Clone)]
struct Signal {
    key: u64,
    event_ms: i64,
    firing: bool,
}

impl Codec for Signal {
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.encode(out);
        self.event_ms.encode(out);
        out.push(u8::from(self.firing));
        out.resize(RECORD_BYTES, b'.');
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let bytes = bytes.get(..17).ok_or_else(|| CodecError::new("Signal", "too short"))?;
        Ok(Self { key: u64::decode(&bytes[..8])?, event_ms: i64::decode(&bytes[8..16])?, firing: bytes[16] == 1 })
    }
}

struct Lifecycle {
    known: Value<Known>,
}

impl KeyedProcess for Lifecycle {
    type Key = u64;
    type In = Signal;
    type Out = Vec<u8>;
    type Timer = ();

    fn on_record(&self, signal: Signal, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let mut known = self.known.get(ctx)?.unwrap_or_default();
        match (signal.firing, known.status) {
            (true, IDLE) => {
                known = Known { since_ms: signal.event_ms, status: PENDING, episode: known.episode + 1 };
                ctx.set_timer((), EventTime::from_millis(known.since_ms + PENDING_MS))?;
            }
            (false, PENDING) => {
                ctx.cancel_timer(())?;
                known.status = IDLE;
            }
            (false, ALERTING) => {
                known.status = IDLE;
                ctx.emit(output(2, &known))?;
            }
            _ => return Ok(()),
        }
        self.known.set(ctx, &known);
        Ok(())
    }

    fn on_timer(&self, (): (), ctx: &mut Ctx<'_, Self>) -> OpResult {
        let mut known = self.known.get(ctx)?.unwrap_or_default();
        known.status = ALERTING;
        self.known.set(ctx, &known);
        ctx.emit(output(1, &known))
    }
}

fn output(kind: u8, known: &Known) -> Vec<u8> {
    let mut bytes = vec![kind];
    known.encode(&mut bytes);
    bytes
}

/// splitmix64's finaliser: a bijection, so that keys spread.
fn mix(id: u64) -> u64 {
    let mut z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Record `index`: keys roughly by Zipf's law with exponent 1 (log-uniform), half of the signals fire.
fn signal(index: u64, keys: u64) -> Signal {
    let random = mix(index ^ 0x5eed);
    let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
    let rank = (keys as f64).powf(unit) as u64;
    Signal { key: mix(rank), event_ms: 1_000_000 + index as i64, firing: random & 1 == 1 }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("hot-path");
    app.source("signals", &Topic::<Signal>::new("signals"))
        .with_event_time(Duration::ZERO)
        .keyed("key", |signal: &Signal| signal.key)
        .process("lifecycle", |state: &mut Registry| Lifecycle { known: state.value("known") })
        .map("bytes", beacon_core::codec::Raw)
        .sink("out", &Topic::new("out"), |raw| raw.0[..1].to_vec());
    app.build().expect("a sound topology")
}

/// A task with its input.
struct Lifecycles {
    task: Task,
    batches: Vec<OwnedBatch>,
}

impl Lifecycles {
    fn new(store: Box<dyn Store>, records: u64, keys: u64, commit_records: u64) -> Self {
        let settings = TaskSettings { id: TaskId::Keyed(0), partitions: 1 };
        let mut task = Task::new(&topology(), &settings, store).expect("an empty store opens");
        task.positions.assign(TopicPartition::new("signals", 0), 0);
        let topic: Arc<str> = "signals".into();
        let record = |index| {
            let signal = signal(index, keys);
            let record = Record::new(Arc::clone(&topic), signal.key.to_bytes(), signal.to_bytes()).to_partition(0);
            (index, Record { timestamp_ms: Some(signal.event_ms), ..record })
        };
        let batches = (0..records)
            .step_by(commit_records as usize)
            .map(|from| OwnedBatch::new((from..records.min(from + commit_records)).map(record).collect()))
            .collect();
        Self { task, batches }
    }

    /// Feeds everything, a commit after each batch. Returns alerts, resolved ones, and changelog bytes.
    #[inline(never)]
    fn run(&mut self) -> (u64, u64, u64) {
        let (mut alerts, mut resolved, mut changelog_bytes) = (0, 0, 0);
        let now = ProcessingTime::from_millis(1);
        for (number, batch) in self.batches.iter().enumerate() {
            for index in 0..batch.len() {
                self.task
                    .feed(batch.get(index), now, &mut |outgoing| {
                        match outgoing.value.as_deref().and_then(|value| value.first()) {
                            Some(1) => alerts += 1,
                            _ => resolved += 1,
                        }
                        Ok(())
                    })
                    .expect("operators do not fail");
            }
            self.task
                .seal(&mut |chunk| {
                    changelog_bytes += chunk.value.map_or(0, |value| value.len() as u64);
                    Ok(())
                })
                .expect("nothing fails here");
            let end = (self.task.changelog().clone(), number as u64 + 1);
            self.task.committed(&[end]).expect("the store takes writes");
        }
        (alerts, resolved, changelog_bytes)
    }
}

/// Alerts and resolved ones by a plain map.
fn expected(records: u64, keys: u64) -> (u64, u64) {
    let mut known: HashMap<u64, Known> = HashMap::new();
    let (mut alerts, mut resolved) = (0, 0);
    let mut last_ms = 0;
    for index in 0..records {
        let signal = signal(index, keys);
        last_ms = signal.event_ms;
        let entry = known.entry(signal.key).or_default();
        if entry.status == PENDING && entry.since_ms + PENDING_MS <= signal.event_ms {
            entry.status = ALERTING;
            alerts += 1;
        }
        match (signal.firing, entry.status) {
            (true, IDLE) => *entry = Known { since_ms: signal.event_ms, status: PENDING, episode: entry.episode + 1 },
            (false, PENDING) => entry.status = IDLE,
            (false, ALERTING) => {
                entry.status = IDLE;
                resolved += 1;
            }
            _ => {}
        }
    }
    let due = |known: &&Known| known.status == PENDING && known.since_ms + PENDING_MS <= last_ms;
    (alerts + known.values().filter(due).count() as u64, resolved)
}

#[cfg(feature = "rocksdb")]
fn rocks(path: &Path) -> Box<dyn Store> {
    use beacon_core::state::rocks::{RocksMemory, RocksStore};
    Box::new(RocksStore::open(path, &RocksMemory::default()).expect("a directory of our own"))
}

#[cfg(not(feature = "rocksdb"))]
fn rocks(_: &Path) -> Box<dyn Store> {
    panic!("built without the feature rocksdb");
}

fn main() {
    let mut args = std::env::args().skip(1);
    let kind = args.next().unwrap_or_else(|| "memory".into());
    let mut number = |default: u64| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (records, keys, commit_records) = (number(1_000_000), number(1_000_000), number(5_000));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = match kind.as_str() {
        "memory" => Box::new(MemoryStore::default()),
        "rocks" => rocks(directory.path()),
        other => panic!("`{other}`: say memory or rocks"),
    };
    let mut lifecycles = Lifecycles::new(store, records, keys, commit_records);
    let started = Instant::now();
    let (alerts, resolved, changelog_bytes) = lifecycles.run();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!((alerts, resolved), expected(records, keys), "alerts, resolved");
    println!(
        "{kind}: {records} records of {keys} keys, a commit every {commit_records}: {:.3} s, {:.0} records/s, \
         {alerts} alerts, {resolved} resolved, {:.1} changelog bytes a record",
        seconds,
        records as f64 / seconds,
        changelog_bytes as f64 / records as f64,
    );
}
