//! Checkpoints, damage, and restores that take long, on a real Kafka.

use std::sync::Arc;

use beacon_core::log::Log;

use super::support::faulty::FaultyLog;
use super::support::kept::{
    Kept, Spoilt, a_changelog_trimmed_past_every_checkpoint_is_refused,
    a_spoilt_newest_checkpoint_falls_back_along_the_chain, one_task_fetches_files_while_the_others_work,
    one_task_reads_its_changelog_while_the_others_work,
};
use super::{log, unique};

/// The counting job with checkpoints and a disk to lose.
fn kept_on(log: Arc<dyn Log>, what: &str) -> (tempfile::TempDir, Kept) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let kept = Kept::new(log, directory.path().join("state"), unique(what), 40);
    (directory, kept)
}

fn kept(what: &str) -> (tempfile::TempDir, Kept) {
    kept_on(log(), what)
}

#[test]
fn a_damaged_newest_checkpoint_falls_back_along_the_chain() {
    for spoilt in [Spoilt::Manifest, Spoilt::File] {
        let (_directory, kept) = kept("spoilt");
        a_spoilt_newest_checkpoint_falls_back_along_the_chain(&kept, spoilt);
    }
}

#[test]
fn a_changelog_trimmed_past_every_checkpoint_is_refused_with_the_way_out() {
    let (_directory, kept) = kept("refused");
    a_changelog_trimmed_past_every_checkpoint_is_refused(&kept);
}

#[test]
fn one_task_restores_while_the_others_work() {
    let (_directory, kept) = kept("meanwhile");
    one_task_fetches_files_while_the_others_work(&kept);
}

#[test]
fn one_task_replays_while_the_others_work() {
    let log = FaultyLog::over(log());
    let (_directory, kept) = kept_on(log.clone(), "replay");
    one_task_reads_its_changelog_while_the_others_work(&kept, &log);
}
