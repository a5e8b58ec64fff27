//! Example 6: Losing the disk: state is a copy of the changelog, and comes back from it, or from a checkpoint and what came
//! after that.
//!
//! `cargo run --example 06_restore`

mod place;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::CheckpointConfig;
use beacon_core::checkpoint::storage::FolderStore;
use beacon_core::topology::{Topic, Topology, TopologyBuilder};
use place::{Place, wait_until};

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

    // A folder on another disk, or object storage by its URL: `checkpoint::storage::open`.
    let mut checkpoints = CheckpointConfig::new(Arc::new(FolderStore::open(&place.checkpoints())?));
    checkpoints.interval = Duration::from_millis(200); // Five minutes unless told otherwise.
    let mut config = place.config();
    config.checkpoints = Some(checkpoints);

    let running = place.start_with(totals(&payments, &sums)?, config.clone())?;
    for cents in [5, 10, 500, 20] {
        place.send(&payments, "any", &cents)?;
    }
    place.wait_for(&sums, 4)?;
    wait_until("a checkpoint", || running.stats().checkpoints > 0)?;
    running.stop()?;

    println!("removing {}", place.state().display());
    std::fs::remove_dir_all(place.state())?;

    let running = place.start_with(totals(&payments, &sums)?, config)?;
    place.send(&payments, "any", &7)?;
    place.send(&payments, "any", &300)?;
    let found = place.wait_for(&sums, 6)?;
    wait_until("every task to be back", || running.stats().restoring + running.stats().waiting == 0)?;
    let restored = running.stats().checkpoint_restores;
    running.stop()?;
    println!("{restored} tasks came back from checkpoints");
    let largest = |size: &str| found.iter().filter(|(key, _)| key == size).map(|(_, sum)| *sum).max();
    println!("small {:?}, large {:?}", largest("small"), largest("large"));
    assert!(restored > 0, "where there is a checkpoint it is used");
    assert_eq!(found.len(), 6, "nothing was counted again");
    assert_eq!((largest("small"), largest("large")), (Some(42), Some(800)));
    Ok(())
}
