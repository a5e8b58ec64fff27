//! How the files of a checkpoint come: several at a time, each once, though the restore be given up in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::rig::Rig;
use crate::support::counting::PARTITIONS;
use crate::support::kept::Kept;
use crate::support::wait_until;
use crate::support::watched::{Meeting, Watched};

/// Files that a restore downloads at the same time, by default.
const DOWNLOADS: usize = 4;

/// The files of each task's newest checkpoint: their names on the disk, by object.
fn newest(kept: &Kept) -> BTreeMap<String, (u32, String)> {
    let mut files = BTreeMap::new();
    for task in 0..PARTITIONS {
        let manifest = kept.manifests(task).pop().expect("there are some");
        for file in kept.manifest(&manifest).files {
            files.insert(kept.task(task).file(&file), (task, file.name));
        }
    }
    files
}

#[test]
fn files_of_a_checkpoint_are_downloaded_several_at_a_time() {
    let rig = Rig::new();
    let kept = rig.kept("parallel", 60);
    kept.run_until_trimmed_and_lose_the_disk();
    let of_one_task = newest(&kept).values().filter(|(task, _)| *task == 0).count();
    assert!(of_one_task >= DOWNLOADS, "{of_one_task} files are too few to tell");
    let (meeting, prefix) = (Meeting::of(DOWNLOADS), kept.task(0).prefix());
    let storage = {
        let meeting = std::sync::Arc::clone(&meeting);
        Watched::over(&kept.store, move |name| !name.starts_with(&prefix) || meeting.join())
    };
    let app = kept.wait_running(kept.start_with(kept.config_with(storage)));
    assert!(meeting.has_met(), "never {DOWNLOADS} at a time");
    kept.finish(app);
}

#[test]
fn a_restore_that_was_given_up_goes_on_with_what_is_missing() {
    let rig = Rig::new();
    let kept = rig.kept("resumed", 60);
    kept.run_until_trimmed_and_lose_the_disk();
    let files = newest(&kept);
    // Of each task every second file comes, then nothing more.
    let first: BTreeSet<String> = files.keys().step_by(2).cloned().collect();
    let arrives_at = |object: &String| -> PathBuf {
        let (task, name) = &files[object];
        kept.directory(*task).with_extension("restoring").join(name)
    };
    let storage = {
        let first = first.clone();
        Watched::over(&kept.store, move |name| first.contains(name))
    };
    let app = kept.start_with(kept.config_with(storage.clone()));
    wait_until("half of the files are here", || first.iter().all(|object| arrives_at(object).exists()));
    app.stop().expect("stopped in good order");
    assert_eq!(BTreeSet::from_iter(storage.downloaded()), first);

    let storage = Watched::over(&kept.store, |_| true);
    let app = kept.wait_running(kept.start_with(kept.config_with(storage.clone())));
    assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS));
    let (rest, downloaded) = (files.keys().filter(|object| !first.contains(*object)), storage.downloaded());
    assert_eq!(downloaded.iter().collect::<BTreeSet<_>>(), rest.collect::<BTreeSet<_>>());
    assert_eq!(downloaded.len() + first.len(), files.len(), "each once");
    kept.finish(app);
}
