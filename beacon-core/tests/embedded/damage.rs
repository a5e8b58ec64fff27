//! State on disk that is damaged, or half of a store: removed with a word why, and restored.

use std::time::Duration;

use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::state::{Change, Store, layout};

use super::rig::Rig;
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::damage::{EVERY_HARM, Harm, Part, harm};
use crate::support::told::{listen, told};
use crate::support::verbose::Verbose;
use crate::support::{count, wait_until};

/// Half of the input counted, and the process gone in good order.
fn half_done(rig: &Rig, job: &Counting) {
    job.make_topics(rig.log.as_ref());
    let app = rig.count(job, "0", &Default::default());
    let half = job.records() / 2;
    job.feed(rig.log.as_ref(), half, Duration::ZERO);
    wait_until("half is counted", || count(rig.log.as_ref(), &job.output()) as u64 >= half);
    app.stop().expect("stopped in good order");
}

/// The rest counted by a process that has what the disk holds, and everything as it should be.
fn finish(rig: &Rig, job: &Counting) {
    let app = rig.count(job, "0", &Default::default());
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(job);
    app.stop().expect("stopped in good order");
    rig.check(job, "0");
}

#[test]
fn damaged_state_is_restored_from_the_changelog() {
    listen();
    for (part, how) in EVERY_HARM {
        let (rig, job) = (Rig::new(), Counting::new(format!("damaged-{part:?}-{how:?}"), 20));
        half_done(&rig, &job);
        let directory = |task| rig.state("0").join(job.application()).join(format!("task-{task}"));
        (0..PARTITIONS).for_each(|task| harm(&directory(task), part, how));
        finish(&rig, &job);
        // The end of a manifest may be missing after a crash: then the store is that of a while ago, and whole.
        if part != Part::Manifest {
            for task in 0..PARTITIONS {
                let path = directory(task);
                let lines = told(&["it is damaged", "removing it", path.to_str().expect("text")]);
                assert_eq!(lines.len(), 1, "{part:?} {how:?}: {lines:?}");
            }
        }
    }
}

#[test]
fn damaged_state_is_restored_from_a_checkpoint_when_the_changelog_was_trimmed() {
    for how in [Harm::Flipped, Harm::Cut] {
        let rig = Rig::new();
        let kept = rig.kept(&format!("damaged-kept-{how:?}"), 60);
        kept.run_until_trimmed();
        (0..PARTITIONS).for_each(|task| harm(&kept.directory(task), Part::Tables, how));
        let app = kept.wait_running(kept.start());
        assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS), "{how:?}");
        kept.finish(app);
    }
}

#[test]
fn damage_that_a_running_job_meets_is_restored_and_nothing_is_lost_or_done_twice() {
    let (rig, job) = (Rig::new(), Verbose { prefix: "damaged".to_owned() });
    job.meets_damage_while_it_runs(&rig.log, &rig.on_disk(job.config("0")));
}

#[test]
fn half_of_a_store_is_never_taken_for_one_that_begins_at_offset_zero() {
    let (rig, job) = (Rig::new(), Counting::new("half", 20));
    half_done(&rig, &job);
    for task in 0..PARTITIONS {
        let path = rig.state("0").join(job.application()).join(format!("task-{task}"));
        let mut store = RocksStore::open(&path, &RocksMemory::default()).expect("opened");
        // Something that no replay of the changelog would remove, and no word of what the store reflects.
        let stray = [layout::KEYED, 0, 0, 1, 2, 3, 4, 0, 0, 0, 1, b'x'];
        store
            .write(&mut [Change::Put(&stray, b"stray"), Change::Delete(&[layout::META])].into_iter())
            .expect("written");
        store.flush().expect("flushed");
    }
    finish(&rig, &job);
}
