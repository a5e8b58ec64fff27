//! Retention that takes what nobody has read: an application had it at hand already, or it ends and says what is gone. It never
//! goes on without.

use beacon_core::log::TopicPartition;
use beacon_core::testing::simulation::{Fault, Faults};

use crate::job::{PARTITIONS, shop};
use crate::{asked_for, tell};

/// Seeds of a run without `BEACON_SEEDS`.
const SEEDS: u64 = 200;

/// Application, partition and offsets.
fn says_what_is_gone(reason: &str) -> bool {
    let inputs = ["visits", "prices"].into_iter();
    let mut places = inputs.flat_map(|topic| (0..PARTITIONS).map(move |number| TopicPartition::new(topic, number)));
    let named = places.any(|place| reason.contains(&format!("application `shop`: {place} begins at offset ")));
    named && reason.contains(" was trimmed away")
}

#[test]
fn input_that_was_not_read_is_never_passed_over() {
    let (start, end) = asked_for(SEEDS);
    let simulation = shop(Faults::all().with(Fault::ExpiredInput));
    let (mut had_it, mut ended) = (0, 0);
    for seed in start..end {
        match simulation.run_seed(seed) {
            // Nothing is missing from what comes out of a calm run.
            Ok(run) => had_it += u64::from(run.faults.contains_key(&Fault::ExpiredInput)),
            Err(failure) => {
                assert!(says_what_is_gone(&failure.reason), "{failure}");
                assert!(failure.faults.contains_key(&Fault::ExpiredInput), "{failure}");
                ended += 1;
            }
        }
    }
    tell(&format!("simulation of retention: seeds {start}..{end}: {ended} ended, {had_it} had at hand what was taken"));
    assert!(end - start < 20 || ended > (end - start) / 10, "{ended} ended, {had_it} had it");
}
