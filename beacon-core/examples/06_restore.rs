//! Example 6: Losing the disk: state is a copy of the changelog, and comes back from it.
//!
//! `cargo run --example 06_restore`

mod place;

use std::error::Error;

use beacon_core::topology::{Topic, Topology, TopologyBuilder};
use place::Place;

fn totals(payments: &Topic<u64>, totals: &Topic<u64>) -> Result<Topology, Box<dyn Error>> {
    let app = TopologyBuilder::new("totals");
    app.source("payments", payments)
        .key_by("size", |cents| if *cents < 100 { "small".to_owned() } else { "large".to_owned() })
        .reduce("total", |total, cents| total + cents)
        .sink("totals", totals);
    Ok(app.build()?)
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (payments, sums) = (Topic::<u64>::new("payments"), Topic::<u64>::new("totals"));
    let place = Place::with_topics(&["payments", "totals"])?;

    let running = place.start(totals(&payments, &sums)?)?;
    for cents in [5, 10, 500, 20] {
        place.send(&payments, "any", &cents)?;
    }
    place.wait_for(&sums, 4)?;
    running.stop()?;

    println!("removing {}", place.state().display());
    std::fs::remove_dir_all(place.state())?;

    let running = place.start(totals(&payments, &sums)?)?;
    place.send(&payments, "any", &7)?;
    place.send(&payments, "any", &300)?;
    let found = place.wait_for(&sums, 6)?;
    running.stop()?;
    let largest = |size: &str| found.iter().filter(|(key, _)| key == size).map(|(_, sum)| *sum).max();
    println!("small {:?}, large {:?}", largest("small"), largest("large"));
    assert_eq!(found.len(), 6, "nothing was counted again");
    assert_eq!((largest("small"), largest("large")), (Some(42), Some(800)));
    Ok(())
}
