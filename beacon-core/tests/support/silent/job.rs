//! A job with a re-key, on most of whose input partitions nobody speaks: event time goes on without them.
//!
//! All readings stand in one partition. So it does not matter who is taken for idle when: the silent ones are sooner or
//! later, the other one as well, in a pause or because its reader was slow or dead, and with all idle event time stands
//! where the furthest has come, before which nothing is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use beacon_core::log::Record;
use beacon_core::operator::{Aggregate, OpResult};
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder, Windows};

/// Readings that are counted. One more comes long after them, so that only its own window stays open.
pub const READINGS: u64 = 80;
/// The partition that somebody speaks on.
pub const SPOKEN: u32 = 2;
/// How long a partition is silent before event time goes on without it.
pub const IDLE_AFTER: Duration = Duration::from_millis(700);
const OUT_OF_ORDER: Duration = Duration::from_millis(500);
const GROUPS: u64 = 5;

/// How many readings there are.
#[derive(Clone)]
struct Count;

impl Aggregate for Count {
    type In = u64;
    type Accumulator = u64;
    type Out = u64;

    fn init(&self) -> u64 {
        0
    }

    fn add(&self, count: &mut u64, _: &u64) -> OpResult {
        *count += 1;
        Ok(())
    }

    fn result(&self, count: &u64) -> u64 {
        *count
    }
}

fn group(reading: u64) -> String {
    format!("g{}", reading % GROUPS)
}

/// A line for each window, under its group; late readings, of which there are none, under a name of their own.
pub fn topology(prefix: &str) -> Topology {
    let out = Topic::<String>::new(format!("{prefix}out"));
    let app = TopologyBuilder::new(format!("{prefix}silent"));
    let windows = app
        .source("readings", &Topic::<u64>::new(format!("{prefix}readings")))
        .with_event_time(OUT_OF_ORDER)
        .with_idleness(IDLE_AFTER)
        .key_by("group", |reading| group(*reading))
        .window("seconds", Windows::tumbling(Duration::from_secs(1)), Count);
    let line = |key: String, text: String| Changed { key: key.into_bytes(), value: Some(text) };
    windows
        .to_stream()
        .map("line", move |(group, told)| line(group, format!("{} at {}", told.value, told.start.as_millis())))
        .sink_changes("out", &out);
    windows
        .output::<(String, u64)>("late")
        .map("late.line", move |(group, reading)| line(format!("late {group}"), reading.to_string()))
        .sink_changes("late.out", &out);
    app.build().expect("a valid topology")
}

/// One each tenth of a second, out of order by less than is waited for.
fn time_ms(number: u64) -> u64 {
    if number == READINGS { 1_000_000 } else { number * 100 + 1000 - number * 7919 % 450 }
}

/// The record of a reading, or of the one after all.
pub fn reading(prefix: &str, number: u64) -> Record {
    let mut record = Record::new(format!("{prefix}readings"), "sensor", number.to_be_bytes()).to_partition(SPOKEN);
    record.timestamp_ms = Some(time_ms(number) as i64);
    record
}

/// The lines of each group, in order.
pub fn wanted() -> BTreeMap<String, Vec<String>> {
    let mut counts: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for number in 0..READINGS {
        *counts.entry((group(number), time_ms(number) / 1000 * 1000)).or_default() += 1;
    }
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((group, start), count) in counts {
        lines.entry(group).or_default().push(format!("{count} at {start}"));
    }
    lines
}
