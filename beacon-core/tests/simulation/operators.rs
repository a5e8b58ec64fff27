//! Nearly every operator there is, in the job that the real logs run too: under every fault, on three processes.
//!
//! A sensor's readings come by one input partition, in order; those of a group by all of them, in no order that is fixed, so
//! its windows are right only if event time is. What comes out is then the same whatever happens when. Lifetimes are not of
//! event time, so what they leave is not compared: the job stops when it meets an entry after its end.

use std::collections::BTreeMap;
use std::time::Duration;

use beacon_core::log::{Record, partition};
use beacon_core::testing::simulation::{Compared, Fault, Faults, Finished, Simulation};

use crate::job::{PARTITIONS, topic};
use crate::plant::{CUSTOMERS, ENDS, PAYMENTS, TARIFFS, customer, sensor, time_ms, topology};
use crate::{asked_for, tell};

/// Seeds of a run without `BEACON_SEEDS`.
const SEEDS: u64 = 300;
const READINGS: u64 = 90;

fn number(topic: &str, key: String, number: u64) -> Record {
    Record::new(topic, key, number.to_be_bytes())
}

fn reading(reading: u64) -> Record {
    let mut record = number("readings", sensor(reading), reading);
    record.timestamp_ms = Some(time_ms(reading));
    record
}

/// A reading every tenth of a second, with a pause in the middle; orders, payments and tariffs meanwhile; and an end of event
/// time for each partition.
fn input() -> Vec<(Duration, Record)> {
    let at = |number: u64| Duration::from_millis(number * 100 + if number > READINGS / 2 { 3000 } else { 0 });
    let readings = (0..READINGS).map(|number| (at(number), reading(number)));
    let paid = |payment: u64| (at(payment * 2), number("payments", customer(payment), payment));
    let ordered = |order: u64| (at(order * 9), number("orders", customer(order), order));
    let tariff = |tariff: u64| (at(tariff * 30 + 5), number("tariffs", customer(tariff), tariff));
    let mut ends = BTreeMap::new();
    for end in (ENDS..).map(reading) {
        if ends.len() == PARTITIONS as usize {
            break;
        }
        ends.entry(partition::for_key(end.key.as_deref().unwrap_or_default(), PARTITIONS)).or_insert(end);
    }
    let ends = ends.into_values().map(|end| (at(READINGS), end));
    readings
        .chain((0..CUSTOMERS * PAYMENTS).map(paid))
        .chain((0..CUSTOMERS).map(ordered))
        .chain((0..TARIFFS).map(tariff))
        .chain(ends)
        .collect()
}

/// Every operator that is compared said something.
fn all_was_told(finished: &Finished<'_>) -> Result<(), String> {
    let by_key = finished.by_key("out").map_err(|error| error.to_string())?;
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, lines) in &by_key {
        let key = std::str::from_utf8(key).map_err(|error| error.to_string())?;
        *told.entry(key.split(' ').next().unwrap_or_default()).or_default() += lines.len();
    }
    let dead = finished.records("dead").map_err(|error| error.to_string())?.len();
    let expected = [
        ("remembered", 80),
        ("alarm", 10),
        ("second", 60),
        ("late", 1),
        ("named", 10),
        ("unmatched", 10),
        ("total", 80),
        ("sums", 80),
        ("slid", 50),
        ("burst", 10),
        ("matched", CUSTOMERS as usize),
        ("billed", CUSTOMERS as usize),
    ];
    let lacks = expected.iter().any(|(stream, least)| told.get(stream).is_none_or(|lines| lines < least));
    if lacks || dead != 3 { Err(format!("{told:?}, {dead} dead letters")) } else { Ok(()) }
}

/// The job under every fault, on three processes.
pub fn plant() -> Simulation {
    Simulation::new(topology(""))
        .partitions(PARTITIONS)
        .topics(["readings", "titles", "orders", "payments", "tariffs", "out", "dead"].map(topic))
        .input(|_| input())
        .faults(Faults::all())
        // Longer than the windows of the wall clock are open.
        .quiet(Duration::from_millis(1500))
        .compared(Compared::Outputs)
        .invariant("all was told", all_was_told)
}

#[test]
fn every_operator_says_under_every_fault_what_it_says_without_any() {
    let (start, end) = asked_for(SEEDS);
    let summary = plant().seeds(start..end).run().unwrap_or_else(|failure| panic!("{failure}"));
    tell(&format!("simulation of every operator: seeds {start}..{end}: {summary}"));
    assert!(end - start < 20 || summary.faults.contains_key(&Fault::Crash), "{summary}");
}
