//! A disk of state without room: said, lost nothing, and on again by itself.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beacon_core::checkpoint::CheckpointConfig;
use beacon_core::checkpoint::storage::FolderStore;
use beacon_core::runtime::{AppConfig, AppStatus, StateLocation};

use super::rig::{PACE, Rig};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::small_disk::SmallDisk;
use crate::support::told::{listen, told};
use crate::support::watched::Watched;
use crate::support::{state_on_disk, wait_until};

/// State on the small disk, flushed so often that it soon meets the disk's end.
fn on(disk: &SmallDisk, job: &Counting) -> AppConfig {
    let mut config = job.config("0");
    config.state = StateLocation::Directory(disk.path.join("state"));
    config.flush_bytes = 1 << 10;
    config.retry_backoff = Duration::from_millis(50);
    config
}

/// Whoever reads the log knows which disk it is.
fn names_the_path(disk: &SmallDisk) {
    let path = disk.path.to_str().expect("text");
    wait_until("the disk is named", || !told(&["no space left", path]).is_empty());
}

#[test]
fn a_job_whose_disk_is_full_goes_on_when_there_is_room_and_has_lost_nothing() {
    listen();
    let (rig, disk, job) = (Rig::new(), SmallDisk::mount(), Counting::new("fills", 60));
    job.make_topics(rig.log.as_ref());
    let app = rig.start(job.topology(&Arc::default()), on(&disk, &job));
    job.feed(rig.log.as_ref(), job.records() / 3, PACE);
    wait_until("some state is there", || app.stats().commits > 3);
    let filler = disk.fill_but(0);
    job.feed(rig.log.as_ref(), job.records() * 2 / 3, PACE);
    wait_until("the full disk is met", || app.stats().rejoined > 0);
    names_the_path(&disk);
    assert_eq!(app.status(), AppStatus::Running, "it waits for room");
    fs::remove_file(filler).expect("removed");
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    app.stop().expect("stopped in good order");
    job.check(rig.log.as_ref());
    assert!(state_on_disk(&disk.path.join("state"), &job.application(), PARTITIONS) == job.calm_run().1);
}

#[test]
fn a_job_that_starts_on_a_full_disk_waits_for_room() {
    listen();
    let (rig, disk, job) = (Rig::new(), SmallDisk::mount(), Counting::new("starts-full", 30));
    job.make_topics(rig.log.as_ref());
    let filler = disk.fill_but(0);
    let app = rig.start(job.topology(&Arc::default()), on(&disk, &job));
    job.feed_all(rig.log.as_ref());
    wait_until("tasks wait", || app.stats().waiting == u64::from(PARTITIONS));
    names_the_path(&disk);
    assert_ne!(app.status(), AppStatus::Stopped);
    fs::remove_file(filler).expect("removed");
    rig.wait_complete(&job);
    app.stop().expect("stopped in good order");
    job.check(rig.log.as_ref());
}

#[test]
fn a_restore_that_fills_the_disk_waits_for_room_and_names_the_path() {
    listen();
    let (rig, disk) = (Rig::new(), Arc::new(SmallDisk::mount()));
    let mut kept = rig.kept("restore-fills", 60);
    kept.run_until_trimmed_and_lose_the_disk();
    kept.state = disk.path.join("state");
    // Full from the first file on, and again with each file: a task that makes room for its own leaves some to others.
    let fillers = Arc::new(Mutex::new(Some(Vec::new())));
    let storage = {
        let (fillers, disk) = (Arc::clone(&fillers), Arc::clone(&disk));
        Watched::over(&kept.store, move |_| {
            if let Some(fillers) = &mut *fillers.lock().expect("no panic") {
                fillers.push(disk.fill_but(0));
            }
            true
        })
    };
    let app = kept.start_with(kept.config_with(storage));
    let path = disk.path.to_str().expect("text").to_owned();
    wait_until("the full disk is met", || !told(&["no space left", &path, ".restoring"]).is_empty());
    let (status, tasks) = (app.status(), app.stats().tasks);
    assert!(status == AppStatus::Running && tasks < u64::from(PARTITIONS), "it waits for room: {status:?}, {tasks}");
    let fillers = fillers.lock().expect("no panic").take().expect("taken once");
    fillers.into_iter().for_each(|filler| fs::remove_file(filler).expect("removed"));
    let app = kept.wait_running(app);
    assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS));
    kept.finish(app);
}

#[test]
fn checkpoints_on_a_full_disk_fail_beside_the_job_and_come_when_there_is_room() {
    let (rig, disk, job) = (Rig::new(), SmallDisk::mount(), Counting::new("full-storage", 60));
    job.make_topics(rig.log.as_ref());
    let mut config = rig.on_disk(job.config("0"));
    let mut checkpoints =
        CheckpointConfig::new(Arc::new(FolderStore::open(&disk.path.join("checkpoints")).expect("a folder")));
    checkpoints.interval = Duration::from_millis(40);
    config.checkpoints = Some(checkpoints);
    let filler = disk.fill_but(0);
    let app = rig.start(job.topology(&Arc::default()), config);
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    wait_until("storage has refused", || app.stats().checkpoint_failures > 0);
    assert_eq!((app.stats().checkpoints, app.stats().aborts, app.stats().rejoined), (0, 0, 0), "commits do not care");
    fs::remove_file(filler).expect("removed");
    wait_until("a checkpoint", || app.stats().checkpoints > 0);
    app.stop().expect("stopped in good order");
    rig.check(&job, "0");
}
