//! What a crash leaves to be read again: as much as the settings of flushes say, however large the state is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use beacon_core::codec::Codec;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Log, Offset, TopicPartition};
use beacon_core::runtime::{App, StateLocation};
use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::state::{Change, Store, layout};
use beacon_core::task::decode_chunk;

use super::rig::{PACE, Rig, wait_running};
use crate::support::children::{Other, say, wait_for_parent};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::{chance, read_partition, wait_until};

const DIRECTORY: &str = "BEACON_TEST_DIRECTORY";
const WORDS: &str = "BEACON_TEST_WORDS";
const FLUSH_BYTES: usize = 2 << 10;
const NEVER: Duration = Duration::from_secs(3600);

fn job(words: u64) -> Counting {
    Counting::new("tails", words)
}

/// Counts with a flush every so many bytes, and never because of its age.
#[test]
#[ignore = "started by another test as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let job = job(std::env::var(WORDS).expect("set by the parent").parse().expect("a number"));
    let log = EmbeddedLog::open(directory.join("log")).expect("opened");
    job.make_topics(log.as_ref());
    let mut config = job.config("0");
    config.state = StateLocation::Directory(directory.join("state"));
    (config.flush_bytes, config.flush_interval) = (FLUSH_BYTES, NEVER);
    let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
    job.feed(log.as_ref(), job.records() / 2, PACE);
    say("HALF");
    job.feed(log.as_ref(), job.records(), PACE);
    wait_for_parent();
    app.stop().expect("stopped in good order");
}

/// Keys and values in each record of a task's changelog from an offset on.
fn logged(log: &dyn Log, job: &Counting, task: u32, from: Offset) -> Vec<usize> {
    let at = TopicPartition::new(format!("{}-changelog", job.application()), task);
    let records = read_partition(log, &at).into_iter().filter(|record| record.offset >= from);
    let bytes = |change: &Change<'_>| match change {
        Change::Put(key, value) => key.len() + value.len(),
        Change::Delete(key) => key.len(),
    };
    records
        .map(|record| {
            let chunk = record.value.expect("changelog records have values");
            decode_chunk(&chunk).expect("a chunk").iter().map(bytes).sum()
        })
        .collect()
}

/// Up to which offset of its changelog the disk of a task reflects it; `None`: nobody can tell now.
fn reflected(path: &Path) -> Option<Offset> {
    let store = RocksStore::open(path, &RocksMemory::default()).ok()?;
    let end = store.get(&[layout::META]).ok()?;
    Some(end.map_or(0, |bytes| Offset::decode(&bytes).expect("an offset")))
}

fn task_directory(state: &Path, job: &Counting, task: u32) -> PathBuf {
    state.join(job.application()).join(format!("task-{task}"))
}

#[test]
fn the_tail_after_kill_9_is_as_long_as_flush_bytes_says_with_any_number_of_keys() {
    for words in [30, 300] {
        let (directory, job) = (tempfile::tempdir().expect("a temporary directory"), job(words));
        let path = directory.path().to_str().expect("text");
        let mut child = Other::start("embedded::tails::child", &[(DIRECTORY, path), (WORDS, &words.to_string())]);
        child.wait_for("HALF");
        assert!(child.kill_after(Duration::from_millis(chance(200))), "it waits for its end");

        let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
        let state = directory.path().join("state");
        let mut tail = 0;
        let mut all = 0;
        for task in 0..PARTITIONS {
            let reflected = reflected(&task_directory(&state, &job, task)).expect("a whole store");
            let records = logged(log.as_ref(), &job, task, reflected);
            // The last commit may be what the flush was to follow.
            let before_the_last: usize = records.iter().rev().skip(1).sum();
            assert!(before_the_last < FLUSH_BYTES, "{words} words, task {task}: {before_the_last} bytes: {records:?}");
            tail += records.len();
            all += logged(log.as_ref(), &job, task, 0).iter().sum::<usize>();
        }
        assert!(words < 300 || all > 2 * PARTITIONS as usize * FLUSH_BYTES, "{all} bytes are too few to tell");
        println!("{words} words: {tail} records to read again, of {all} bytes in the changelog");

        let mut config = job.config("0");
        config.state = StateLocation::Directory(state);
        let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
        wait_running(&app, u64::from(PARTITIONS));
        assert_eq!(app.stats().restored_records, tail as u64, "that tail is read, and nothing else");
        job.feed_all(log.as_ref());
        wait_until("all counts and closings", || job.is_complete(log.as_ref()));
        app.stop().expect("stopped in good order");
        job.check(log.as_ref());
    }
}

/// The store of a running task, copied: `None` when it moved meanwhile.
fn copied(from: &Path) -> Option<tempfile::TempDir> {
    let copy = tempfile::tempdir().expect("a temporary directory");
    for entry in std::fs::read_dir(from).ok()? {
        let path = entry.ok()?.path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name()?)).ok()?;
        }
    }
    Some(copy)
}

#[test]
fn state_that_is_old_enough_is_on_the_disk_however_little_it_is() {
    let (rig, job) = (Rig::new(), job(10));
    job.make_topics(rig.log.as_ref());
    let mut config = rig.on_disk(job.config("0"));
    (config.flush_bytes, config.flush_interval) = (1 << 30, Duration::from_millis(200));
    let app = rig.start(job.topology(&Default::default()), config);
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    for task in 0..PARTITIONS {
        let path = task_directory(&rig.state("0"), &job, task);
        wait_until("nothing is left to be read after a crash", || {
            let copy = copied(&path);
            let reflected = copy.and_then(|copy| reflected(copy.path()));
            reflected.is_some_and(|reflected| logged(rig.log.as_ref(), &job, task, reflected).is_empty())
        });
    }
    assert!((0..PARTITIONS).any(|task| !logged(rig.log.as_ref(), &job, task, 0).is_empty()), "something was logged");
    app.stop().expect("stopped in good order");
    rig.check(&job, "0");
}
