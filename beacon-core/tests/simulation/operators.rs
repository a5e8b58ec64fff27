//! Windows of event time behind a re-key, lists and maps, entries with a lifetime: under every fault, on three processes.
//!
//! A sensor's readings come by one input partition, in order; those of a group by all of them, in no order that is fixed, so
//! its windows are right only if event time is. What comes out is then the same whatever happens when.

use std::time::Duration;

use beacon_core::codec::{Codec, CodecError};
use beacon_core::log::Record;
use beacon_core::operator::{Aggregate, Ctx, KeyedProcess, MergeAggregate, OpResult};
use beacon_core::state::{ListState, MapState, Registry, Ttl};
use beacon_core::testing::simulation::{Compared, Fault, Faults, Simulation};
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Sessions, Topic, Topology, TopologyBuilder, Windows};

use crate::job::{PARTITIONS, topic};
use crate::{asked_for, tell};

/// Seeds of a run without `BEACON_SEEDS`.
const SEEDS: u64 = 300;
const SENSORS: u64 = 7;
const GROUPS: u64 = 5;
const READINGS: u64 = 90;

/// Event time is that of the readings alone: 1 January 2026.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// How many readings there are, and what they come to.
#[derive(Clone)]
struct Sum;

#[derive(Clone, Debug, Default)]
struct Sums {
    count: u64,
    sum: u64,
}

impl Codec for Sums {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(format!("{} {}", self.count, self.sum).bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let text = String::decode(bytes)?;
        let numbers = text.split_once(' ').and_then(|(count, sum)| Some((count.parse().ok()?, sum.parse().ok()?)));
        let (count, sum) = numbers.ok_or_else(|| CodecError::new("two numbers", text.clone()))?;
        Ok(Self { count, sum })
    }
}

impl Aggregate for Sum {
    type In = u64;
    type Accumulator = Sums;
    type Out = Sums;

    fn init(&self) -> Sums {
        Sums::default()
    }
    fn add(&self, sums: &mut Sums, reading: &u64) -> OpResult {
        self.merge(sums, Sums { count: 1, sum: *reading });
        Ok(())
    }
    fn result(&self, sums: &Sums) -> Sums {
        sums.clone()
    }
}

impl MergeAggregate for Sum {
    fn merge(&self, sums: &mut Sums, other: Sums) {
        sums.count += other.count;
        sums.sum += other.sum;
    }
}

timer_tags! {
    enum Never { Fires = 1 }
}

/// Remembers readings in a list, and how often each came in a map; both outlive the run.
struct Remember {
    all: ListState<u64>,
    often: MapState<u64, u64>,
}

impl Remember {
    fn new(state: &mut Registry) -> Self {
        let ttl = Ttl::since_write(Duration::from_secs(24 * 60 * 60));
        Self { all: state.expiring(ttl).list("all"), often: state.map("often") }
    }
}

impl KeyedProcess for Remember {
    type Key = String;
    type In = u64;
    type Out = (String, String);
    type Timer = Never;

    fn on_record(&self, reading: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.all.append(ctx, &reading)?;
        let remainder = reading % 3;
        let often = self.often.get(ctx, &remainder)?.unwrap_or(0) + 1;
        self.often.insert(ctx, &remainder, &often);
        let (all, often) = (self.all.to_vec(ctx)?, self.often.entries(ctx)?);
        ctx.emit((ctx.key().clone(), format!("{all:?} {often:?}")))
    }
}

fn sensor(reading: u64) -> String {
    format!("s{}", reading % SENSORS)
}

fn group(reading: u64) -> String {
    format!("g{}", reading % GROUPS)
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("plant");
    let readings = app.source("readings", &Topic::<u64>::new("readings")).with_event_time(Duration::ZERO);
    let grouped = readings.key_by("group", |reading| group(*reading));
    grouped.window("seconds", Windows::tumbling(Duration::from_secs(1)), Sum).sink("sums", &Topic::new("sums"));
    grouped
        .session_window("bursts", Sessions::with_gap(Duration::from_millis(1300)), Sum)
        .sink("sessions", &Topic::new("sessions"));
    readings
        .key_by("sensor", |reading| sensor(*reading))
        .process("remember", Remember::new)
        .map("line", |(sensor, line)| Changed { key: sensor.into_bytes(), value: Some(line) })
        .sink_changes("lines", &Topic::<String>::new("lines"));
    app.build().expect("a valid topology")
}

/// A reading every tenth of a second, with a pause in the middle that ends all sessions.
fn input() -> Vec<(Duration, Record)> {
    let reading = |number: u64| {
        let at = number * 100 + if number > READINGS / 2 { 3000 } else { 0 };
        let mut record = Record::new("readings", number.to_string(), number.to_be_bytes());
        record.partition = Some((number % SENSORS) as u32 % PARTITIONS);
        record.timestamp_ms = Some(BEGIN_MS + at as i64);
        (Duration::from_millis(at), record)
    };
    (0..READINGS).map(reading).collect()
}

#[test]
fn windows_lists_and_maps_say_under_every_fault_what_they_say_without_any() {
    let (start, end) = asked_for(SEEDS);
    let plant = Simulation::new(topology())
        .partitions(PARTITIONS)
        .topics(["readings", "sums", "sessions", "lines"].map(topic))
        .input(|_| input())
        .faults(Faults::all())
        .compared(Compared::Outputs)
        .invariant("windows were told", |finished| {
            let told = |topic: &str| {
                let by_key = finished.by_key(topic).map_err(|error| error.to_string())?;
                Ok::<_, String>(by_key.values().map(Vec::len).sum::<usize>())
            };
            let (sums, sessions) = (told("sums")?, told("sessions")?);
            if sums > 30 && sessions >= 5 { Ok(()) } else { Err(format!("{sums} sums, {sessions} sessions")) }
        });
    let summary = plant.seeds(start..end).run().unwrap_or_else(|failure| panic!("{failure}"));
    tell(&format!("simulation of windows, lists and maps: seeds {start}..{end}: {summary}"));
    assert!(end - start < 20 || summary.faults.contains_key(&Fault::Crash), "{summary}");
}
