//! The job that cuts its input into windows, what is sent to it and what it tells.

use std::time::Duration;

use beacon_core::codec::{Codec, CodecError};
use beacon_core::operator::{Aggregate, MergeAggregate, OpResult};
use beacon_core::testing::TestDriver;
use beacon_core::time::EventTime;
use beacon_core::topology::{
    Changed, KeyedStream, Sessions, Timing, Topic, Topology, TopologyBuilder, Windowed, Windows,
};

/// All values of a window, sorted.
#[derive(Clone)]
pub struct Collect;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers(pub Vec<u64>);

impl Codec for Numbers {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|number| number.encode(out));
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        bytes.chunks(8).map(u64::decode).collect::<Result<_, _>>().map(Self)
    }
}

impl Aggregate for Collect {
    type In = u64;
    type Accumulator = Numbers;
    type Out = Numbers;

    fn init(&self) -> Numbers {
        Numbers::default()
    }
    fn add(&self, numbers: &mut Numbers, number: &u64) -> OpResult {
        numbers.0.push(*number);
        numbers.0.sort_unstable();
        Ok(())
    }
    fn result(&self, numbers: &Numbers) -> Numbers {
        numbers.clone()
    }
}

impl MergeAggregate for Collect {
    fn merge(&self, numbers: &mut Numbers, other: Numbers) {
        numbers.0.extend(other.0);
        numbers.0.sort_unstable();
    }
}

pub const IN: &str = "in";
pub const EPOCH: i64 = 1_767_225_600_000;

pub fn records() -> Topic<u64> {
    Topic::new(IN)
}

pub fn results() -> Topic<Windowed<Numbers>> {
    Topic::new("results")
}

pub fn lates() -> Topic<u64> {
    Topic::new("late")
}

#[derive(Clone, Debug)]
pub enum Cut {
    Fixed(Windows),
    Sessions(Sessions),
}

/// Three keys, in three of four partitions.
pub fn key_of(number: u64) -> String {
    format!("x{}", number % 3)
}

pub struct Job {
    pub cut: Cut,
    pub disorder: Duration,
    pub idle_after: Option<Duration>,
    pub rekeyed: bool,
}

impl Job {
    pub fn new(cut: Cut, disorder_ms: u64) -> Self {
        Self { cut, disorder: Duration::from_millis(disorder_ms), idle_after: None, rekeyed: false }
    }

    pub fn topology(&self) -> Topology {
        let app = TopologyBuilder::new("windows");
        app.dead_letters("dead");
        let mut source = app.source("in", &records()).with_event_time(self.disorder);
        if let Some(idle_after) = self.idle_after {
            source = source.with_idleness(idle_after);
        }
        let keyed: KeyedStream<String, u64> = if self.rekeyed {
            source.key_by("by-key", |number| key_of(*number))
        } else {
            source.keyed("by key", |number| key_of(*number))
        };
        let windowed = match &self.cut {
            Cut::Fixed(windows) => keyed.window("window", windows.clone(), Collect),
            Cut::Sessions(sessions) => keyed.session_window("window", sessions.clone(), Collect),
        };
        windowed.sink("results", &results());
        windowed
            .output::<(String, u64)>("late")
            .map("late ones", |(key, number)| Changed { key: key.into_bytes(), value: Some(number) })
            .sink_changes("late out", &lates());
        app.build().expect("a valid topology")
    }

    pub fn driver(&self, partitions: u32) -> TestDriver {
        TestDriver::new(self.topology(), partitions)
    }
}

pub fn send(driver: &mut TestDriver, number: u64, at_ms: i64) {
    driver.send_at(&records(), key_of(number).as_bytes(), &number, EventTime::from_millis(EPOCH + at_ms));
}

pub type Told = (String, i64, i64, Timing, Vec<u64>);

pub fn told(driver: &mut TestDriver) -> Vec<Told> {
    let results = driver.changes(&results()).into_iter();
    results
        .filter_map(|(key, result)| {
            let result = result?;
            let key = String::from_utf8(key).expect("text");
            let [start, end] = [result.start, result.end].map(|at| at.as_millis() - EPOCH);
            Some((key, start, end, result.timing, result.value.0))
        })
        .collect()
}

pub fn fixed(windows: Windows) -> Cut {
    Cut::Fixed(windows)
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
