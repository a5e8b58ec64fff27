//! Object storage that is away or refuses the login, while a job runs and when a disk has to be restored: named in the
//! error, tried again, and never a lost commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use beacon_core::checkpoint::{MemoryObjectStore, ObjectErrorKind, ObjectFault};
use beacon_core::runtime::AppStatus;

use super::rig::Rig;
use crate::support::counting::PARTITIONS;
use crate::support::kept::Kept;
use crate::support::told::{listen, told};
use crate::support::{count, wait_until};

/// What a person has to mend, and what mends itself.
const TROUBLES: [ObjectErrorKind; 3] =
    [ObjectErrorKind::Denied, ObjectErrorKind::Configuration, ObjectErrorKind::Retriable];

/// Every call fails from now on; how many did.
fn spoil(store: &MemoryObjectStore, kind: ObjectErrorKind) -> Arc<AtomicU32> {
    let calls = Arc::new(AtomicU32::new(0));
    let failed = Arc::clone(&calls);
    store.set_faults(move |_, _| {
        failed.fetch_add(1, SeqCst);
        Some(ObjectFault::Fail(kind))
    });
    calls
}

#[test]
fn storage_that_refuses_a_running_job_is_named_and_used_again_when_that_is_mended() {
    listen();
    for kind in TROUBLES {
        let rig = Rig::new();
        let kept = rig.kept(&format!("refused-{kind:?}"), 60);
        spoil(&kept.store, kind);
        let app = kept.start();
        kept.count_half();
        wait_until("uploads fail", || app.stats().checkpoint_failures >= u64::from(PARTITIONS));
        let stats = app.stats();
        assert_eq!((stats.checkpoints, stats.aborts, stats.rejoined), (0, 0, 0), "{kind:?}");
        let lines = told(&[&format!("{}/", kept.job.application()), "in memory", "upload fails; trying again"]);
        assert!(!lines.is_empty(), "{kind:?}");
        kept.store.clear_faults();
        wait_until("a checkpoint of every task", || app.stats().checkpoints >= u64::from(PARTITIONS));
        kept.finish(app);
    }
}

/// A restore that cannot go on without storage.
fn waits(kept: &Kept, kind: ObjectErrorKind) {
    kept.run_until_trimmed_and_lose_the_disk();
    let calls = spoil(&kept.store, kind);
    let mut config = kept.config();
    // Of those that wait for something a restore is not one.
    config.session_timeout = Duration::from_millis(300);
    let app = kept.start_with(config.clone());
    wait_until("storage is asked again and again", || calls.load(SeqCst) >= 3 * PARTITIONS);
    assert_eq!((app.status(), app.stats().tasks), (AppStatus::Running, 0), "{kind:?}");
    let lines = told(&[&format!("{}/", kept.job.application()), "in memory", "cannot look for checkpoints"]);
    assert!(lines.len() >= PARTITIONS as usize, "{kind:?}: {lines:?}");
    app.stop().expect("stopped in good order");
    // Whoever begins anew does not trip over what the first one left waiting.
    let app = kept.start_with(config);
    let before = calls.load(SeqCst);
    wait_until("storage is asked again", || calls.load(SeqCst) >= before + 2 * PARTITIONS);
    assert_eq!((app.status(), app.stats().tasks), (AppStatus::Running, 0), "{kind:?}");
    kept.store.clear_faults();
    let app = kept.wait_running(app);
    assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS), "{kind:?}");
    kept.finish(app);
}

#[test]
fn a_restore_waits_for_storage_when_the_changelog_was_trimmed() {
    listen();
    for kind in TROUBLES {
        let rig = Rig::new();
        waits(&rig.kept(&format!("waits-{kind:?}"), 60), kind);
    }
}

#[test]
fn a_restore_reads_the_changelog_when_that_is_whole_and_storage_stays_away() {
    let rig = Rig::new();
    let mut kept = rig.kept("whole", 40);
    kept.keep = usize::MAX;
    let app = kept.start();
    kept.count_half();
    wait_until("there are checkpoints", || app.stats().checkpoints >= u64::from(PARTITIONS));
    app.stop().expect("stopped in good order");
    assert_eq!(kept.starts().iter().max(), Some(&0), "nothing is trimmed");
    kept.lose_the_disk();
    spoil(&kept.store, ObjectErrorKind::Retriable);
    let app = kept.wait_running(kept.start());
    assert_eq!(app.stats().checkpoint_restores, 0);
    wait_until("all of it is read", || app.stats().restored_records > 0 && app.stats().restoring == 0);
    let outputs = count(rig.log.as_ref(), &kept.job.output());
    kept.finish(app);
    assert!(outputs < kept.job.outputs(), "there was something left to do");
}
