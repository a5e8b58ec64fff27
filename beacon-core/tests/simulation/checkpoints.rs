//! Checkpoints, trimmed changelogs and restores from object storage under every fault, the storage's own included.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::{CheckpointConfig, MemoryObjectStore};
use beacon_core::log::TopicPartition;
use beacon_core::testing::simulation::{Compared, Fault, Faults, Simulation};

use crate::job::{PARTITIONS, shop, topology};
use crate::{asked_for, tell};

/// Seeds of a run without `BEACON_SEEDS`.
const SEEDS: u64 = 400;

pub fn kept(faults: Faults) -> Simulation {
    shop(faults).compared(Compared::Outputs).configure(|config| {
        let mut checkpoints = CheckpointConfig::new(Arc::new(MemoryObjectStore::new()));
        checkpoints.interval = Duration::from_millis(800);
        checkpoints.keep = 2;
        checkpoints.minimum_age = Duration::from_secs(4);
        config.checkpoints = Some(checkpoints);
    })
}

#[test]
fn every_seed_ends_as_a_calm_run_does_when_changelogs_are_trimmed_and_disks_are_lost() {
    let (start, end) = asked_for(SEEDS);
    let trimmed = Rc::new(Cell::new(0_u32));
    let seen = Rc::clone(&trimmed);
    let simulation = kept(Faults::all()).seeds(start..end).invariant("changelogs may be trimmed", move |finished| {
        for number in 0..PARTITIONS {
            let at = TopicPartition::new(topology().changelog(), number);
            let start = finished.begins_at(&at).map_err(|error| error.to_string())?;
            seen.set(seen.get() + u32::from(start > 0));
        }
        Ok(())
    });
    let summary = simulation.run().unwrap_or_else(|failure| panic!("{failure}"));
    let trims = trimmed.get();
    tell(&format!("simulation with checkpoints: seeds {start}..{end}: {summary}; {trims} changelogs trimmed"));
    // One seed alone may trim nothing; of many, most do.
    let changelogs = (end - start) * u64::from(PARTITIONS);
    assert!(u64::from(trims) * 8 > changelogs || end - start < 20, "{trims} of {changelogs} trimmed");
    assert!(summary.checkpoint_restores > (end - start) / 4 || end - start < 20, "{summary}");
}

#[test]
fn one_seed_with_checkpoints_is_one_course_of_events() {
    for seed in 1..4 {
        let first = kept(Faults::all()).run_seed(seed).unwrap_or_else(|failure| panic!("{failure}"));
        let again = kept(Faults::all()).run_seed(seed).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(first, again, "seed {seed}");
    }
}

#[test]
fn standby_copies_begin_from_checkpoints_and_change_nothing_that_comes_out() {
    let (start, end) = asked_for(SEEDS / 2);
    let simulation = kept(Faults::all()).seeds(start..end).configure(|config| config.standbys = 2);
    let summary = simulation.run().unwrap_or_else(|failure| panic!("{failure}"));
    tell(&format!("simulation with checkpoints and standby copies: seeds {start}..{end}: {summary}"));
    assert!(summary.checkpoint_restores > 0 || end - start < 20, "{summary}");
}

#[test]
fn storage_alone_in_trouble_changes_nothing_that_comes_out() {
    let troubles = [
        Fault::FailedStorageCall,
        Fault::StorageAway,
        Fault::DeniedStorage,
        Fault::FullStorage,
        Fault::SlowStorage,
        Fault::DamagedManifest,
        Fault::DamagedFile,
    ];
    // Disks have to be lost for anything to be asked of the storage.
    let faults = Faults::only(troubles.into_iter().chain([Fault::Blackout, Fault::LostDisk]));
    let (start, end) = asked_for(SEEDS / 4);
    let summary = kept(faults).seeds(start..end).run().unwrap_or_else(|failure| panic!("{failure}"));
    tell(&format!("simulation of storage alone in trouble: seeds {start}..{end}: {summary}"));
    assert!(end - start < 20 || summary.checkpoint_restores > 0, "{summary}");
    // Some of them are rare.
    let all = troubles.iter().all(|trouble| summary.faults.contains_key(trouble));
    assert!(end - start < SEEDS / 4 || all, "{summary}");
}
