//! Checkpoints to object storage, a trimmed changelog, lost disks, damage, and storage that fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::storage::FolderStore;
use beacon_core::checkpoint::{ObjectErrorKind, ObjectFault, ObjectStore, Operation};
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::runtime::{App, StateLocation};

use super::rig::{PACE, Rig};
use crate::support::children::{Other, say};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::faulty::FaultyLog;
use crate::support::kept::{
    Kept, Spoilt, a_changelog_trimmed_past_every_checkpoint_is_refused,
    a_spoilt_newest_checkpoint_falls_back_along_the_chain, checkpoints, one_task_fetches_files_while_the_others_work,
    one_task_reads_its_changelog_while_the_others_work,
};
use crate::support::{chance, state_on_disk, wait_until};

/// The job on a log of its own.
fn kept(name: &str) -> (Rig, Kept) {
    let rig = Rig::new();
    let kept = rig.kept(name, 60);
    (rig, kept)
}

#[test]
fn state_is_exact_after_checkpoint_trim_and_a_lost_disk() {
    let (_rig, kept) = kept("lost");
    kept.run_until_trimmed_and_lose_the_disk();
    let app = kept.start();
    wait_until("all tasks run", || app.stats().tasks == u64::from(PARTITIONS));
    assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS));
    assert_eq!(app.restores(), [], "nothing is left to restore");
    kept.finish(app);
    for task in 0..PARTITIONS {
        assert!(kept.manifests(task).len() <= 3, "old ones are deleted: {:?}", kept.manifests(task));
    }
}

#[test]
fn a_disk_that_is_there_needs_no_checkpoint() {
    let (_rig, kept) = kept("there");
    let app = kept.start();
    kept.job.feed(kept.log.as_ref(), kept.job.records() / 2, PACE);
    wait_until("there are checkpoints", || app.stats().checkpoints >= u64::from(PARTITIONS));
    app.stop().expect("stopped");
    let app = kept.start();
    wait_until("all tasks run", || app.stats().tasks == u64::from(PARTITIONS));
    assert_eq!(app.stats().checkpoint_restores, 0);
    kept.finish(app);
}

#[test]
fn damage_of_the_newest_checkpoint_falls_back_along_the_chain() {
    for spoilt in [Spoilt::Manifest, Spoilt::File, Spoilt::Missing] {
        let (_rig, kept) = kept(&format!("damaged-{spoilt:?}"));
        a_spoilt_newest_checkpoint_falls_back_along_the_chain(&kept, spoilt);
    }
}

#[test]
fn a_changelog_trimmed_past_every_checkpoint_is_refused_with_the_way_out() {
    let (_rig, kept) = kept("refused");
    a_changelog_trimmed_past_every_checkpoint_is_refused(&kept);
}

#[test]
fn an_application_without_checkpoints_is_told_so() {
    let (rig, kept) = kept("without");
    kept.run_until_trimmed_and_lose_the_disk();
    let app = rig.count(&kept.job, "0", &Arc::default());
    let error = app.wait().expect_err("refused");
    let text = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(text.contains("no checkpoints"), "{text}");
}

#[test]
fn storage_that_fails_costs_no_commit_and_no_state() {
    // Retries take their time: input has to go on meanwhile, for there to be more to checkpoint.
    let rig = Rig::new();
    let mut kept = rig.kept("failing", 240);
    kept.pace = Duration::from_millis(500);
    let mut number = 0_u64;
    kept.store.set_faults(move |operation, _| {
        number += 1;
        match number % 16 {
            0 => Some(ObjectFault::Fail(ObjectErrorKind::Retriable)),
            5 if operation != Operation::Download => Some(ObjectFault::LoseAnswer),
            10 => Some(ObjectFault::Half),
            15 if number.is_multiple_of(3) => Some(ObjectFault::Fail(ObjectErrorKind::Denied)),
            _ => None,
        }
    });
    kept.run_until_trimmed_and_lose_the_disk();
    let app = kept.start();
    wait_until("all tasks run", || app.stats().tasks == u64::from(PARTITIONS));
    assert_eq!((app.stats().aborts, app.stats().rejoined), (0, 0));
    kept.finish(app);
}

#[test]
fn storage_that_is_away_stops_nothing() {
    let (rig, kept) = kept("away");
    kept.store.set_faults(|_, _| Some(ObjectFault::Fail(ObjectErrorKind::Retriable)));
    let app = kept.start();
    kept.job.feed_all(kept.log.as_ref());
    rig.wait_complete(&kept.job);
    wait_until("uploads fail", || app.stats().checkpoint_failures > 0);
    assert_eq!((app.stats().checkpoints, app.stats().aborts), (0, 0));
    app.stop().expect("stopped");
    kept.job.check(kept.log.as_ref());
    assert_eq!(kept.starts().iter().max(), Some(&0), "nothing is trimmed without a checkpoint");
}

#[test]
fn one_task_restores_while_the_others_work() {
    let (_rig, kept) = kept("meanwhile");
    one_task_fetches_files_while_the_others_work(&kept);
}

#[test]
fn one_task_replays_while_the_others_work() {
    let rig = Rig::new();
    let log = FaultyLog::over(Arc::clone(&rig.log));
    let kept = Kept::new(log.clone(), rig.state("0"), "replay", 60);
    one_task_reads_its_changelog_while_the_others_work(&kept, &log);
}

const DIRECTORY: &str = "BEACON_TEST_CHECKPOINT_DIRECTORY";
const LIMIT: &str = "BEACON_TEST_CHECKPOINT_LIMIT";
const KILLS: u64 = 10;

fn killed() -> Counting {
    Counting::new("checkpoint-killed", 200)
}

/// Feeds and counts up to a number of records with checkpoints in a folder, then says so.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let limit: u64 = std::env::var(LIMIT).expect("set by the parent").parse().expect("a number");
    let directory = Path::new(&directory);
    let (job, log) = (killed(), EmbeddedLog::open(directory.join("log")).expect("opened"));
    job.make_topics(log.as_ref());
    let mut config = job.config("0");
    config.state = StateLocation::Directory(directory.join("state"));
    let store = FolderStore::open(&directory.join("checkpoints")).expect("opened");
    config.checkpoints = Some(checkpoints(Arc::new(store)));
    config.threads = 2;
    let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
    job.feed(log.as_ref(), limit, PACE);
    while !job.is_complete(log.as_ref()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    app.stop().expect("stopped in good order");
    say("DONE");
}

/// Killed while it uploads and while it restores; the disk is lost each second time, half-restored files are not.
#[test]
fn kill_9_in_uploads_and_restores_leaves_state_exact() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let job = killed();
    let state = directory.path().join("state").join(job.application());
    for kill in 0..=KILLS {
        if kill % 2 == 1 && state.exists() {
            for entry in std::fs::read_dir(&state).expect("read") {
                let path = entry.expect("an entry").path();
                if path.is_file() {
                    std::fs::remove_file(path).expect("removed");
                } else if !path.to_string_lossy().ends_with(".restoring") {
                    std::fs::remove_dir_all(path).expect("removed");
                }
            }
        }
        let limit = (job.records() * (kill + 1) / (KILLS + 1)).to_string();
        let path = directory.path().to_str().expect("text").to_owned();
        let mut other = Other::start("embedded::checkpoints::child", &[(DIRECTORY, &path), (LIMIT, &limit)]);
        if kill == KILLS {
            other.wait_for("DONE");
        } else {
            assert!(other.kill_after(Duration::from_millis(100 + chance(500))), "it ended before it was killed");
        }
    }
    let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
    job.check_outputs(log.as_ref());
    let disk = state_on_disk(&directory.path().join("state"), &job.application(), PARTITIONS);
    assert!(disk == job.calm_run().1, "the state on disk differs");
    let store = FolderStore::open(&directory.path().join("checkpoints")).expect("opened");
    let objects = store.list(&format!("{}/", job.application())).expect("listed");
    assert!(objects.iter().any(|object| object.name.contains("/manifests/")), "there were checkpoints");
}
