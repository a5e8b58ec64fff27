//! Example 7, simulation: many courses of events, each from a seed, with crashes, zombies and failing calls; and what
//! must hold after each of them.
//!
//! `cargo run --example 07_simulate`

use std::error::Error;
use std::time::Duration;

use beacon_core::log::{CleanupPolicy, Record, TopicSpec};
use beacon_core::testing::simulation::{Faults, Simulation};
use beacon_core::topology::{Topic, TopologyBuilder};

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (payments, totals) = (Topic::<u64>::new("payments"), Topic::<u64>::new("totals"));
    let app = TopologyBuilder::new("totals");
    app.source("payments", &payments)
        .key_by("parity", |cents| cents % 2)
        .reduce("total", |total, cents| total + cents)
        .sink("totals", &totals);

    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        partitions: 4,
        cleanup: CleanupPolicy::Delete { retention: None },
    };
    let payment = |number: u64| {
        let record = Record::new("payments", "one customer", number.to_be_bytes());
        (Duration::from_millis(number * 50), record)
    };
    // One customer, so one order: payments of several would come to a total in any order.
    // Besides the invariant given here, each run is compared with one in which nothing went wrong: the same outputs, the
    // same state. A failing seed prints what it did, and does it again whenever it is asked to.
    let summary = Simulation::new(app.build()?)
        .topics([topic("payments"), topic("totals")])
        .input(move |_seed| (0..40).map(payment).collect())
        .faults(Faults::all())
        .seeds(0..20)
        .invariant("the last totals are those of all payments", |finished| {
            let totals = finished.values(&Topic::<u64>::new("totals"))?;
            let last: Vec<_> = totals.values().filter_map(|totals| totals.last().copied()).collect();
            // 0 + 2 + .. + 38, and 1 + 3 + .. + 39.
            if last == [380, 400] { Ok(()) } else { Err(format!("they are {last:?}")) }
        })
        .run()?;
    println!("{summary}");
    Ok(())
}
