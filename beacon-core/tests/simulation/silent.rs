//! Partitions on which nobody speaks, before a re-key: event time goes on without them, under every fault.

use std::collections::BTreeMap;
use std::time::Duration;

use beacon_core::log::Record;
use beacon_core::testing::simulation::{Compared, Fault, Faults, Finished, Simulation};

use crate::job::{PARTITIONS, topic};
use crate::silent_job::{IDLE_AFTER, READINGS, reading, topology, wanted};
use crate::{asked_for, tell};

/// Seeds of a run without `BEACON_SEEDS`.
const SEEDS: u64 = 200;

/// With a pause in the middle, in which every partition is silent for long.
fn input() -> Vec<(Duration, Record)> {
    let at = |number: u64| Duration::from_millis(number * 100 + if number > READINGS / 2 { 3000 } else { 0 });
    (0..=READINGS).map(|number| (at(number), reading("", number))).collect()
}

/// Each reading is in a window that closed, and none came late.
fn all_were_counted(finished: &Finished<'_>) -> Result<(), String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let by_key = finished.by_key("out").map_err(|error| error.to_string())?;
    let found = by_key.iter().map(|(key, lines)| {
        let lines = lines.iter().map(|line| text(line.as_deref().unwrap_or_default()));
        (text(key), lines.collect::<Vec<_>>())
    });
    let (found, wanted): (BTreeMap<_, _>, _) = (found.collect(), wanted());
    if found == wanted { Ok(()) } else { Err(format!("{found:?}, wanted {wanted:?}")) }
}

#[test]
fn silent_partitions_behind_a_rekey_hold_nobody_up_under_any_fault() {
    let (start, end) = asked_for(SEEDS);
    let silent = Simulation::new(topology(""))
        .partitions(PARTITIONS)
        .topics(["readings", "out"].map(topic))
        .input(|_| input())
        .faults(Faults::all())
        // Longer than a partition is silent before it is idle.
        .quiet(3 * IDLE_AFTER)
        .compared(Compared::Outputs)
        .invariant("all were counted", all_were_counted);
    let summary = silent.seeds(start..end).run().unwrap_or_else(|failure| panic!("{failure}"));
    tell(&format!("simulation of silent partitions: seeds {start}..{end}: {summary}"));
    assert!(end - start < 20 || summary.faults.contains_key(&Fault::Crash), "{summary}");
}
