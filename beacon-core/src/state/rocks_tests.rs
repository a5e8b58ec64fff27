//! A store's tables: when they are merged, and that they are not read again for checksums that are known.

use std::io::Read;
use std::time::{Duration, Instant};

use super::*;
use crate::state::{StoreFile, rot};

/// Far more tables than a store leaves side by side.
const FLUSHES: u32 = 10;

fn tables(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("the store's directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect()
}

fn idle(path: &Path) -> RocksStore {
    if !path.exists() {
        assert!(RocksStore::open_idle(path, &RocksMemory::default(), None).expect("opened").has_upkeep, "a new one");
    }
    RocksStore::open_idle(path, &RocksMemory::default(), None).expect("opened")
}

/// Each flush makes a table with all keys.
fn fill(store: &mut RocksStore) {
    for value in 0..FLUSHES {
        let entries: Vec<_> = (0..100_u32).map(|key| (key.to_be_bytes(), value.to_be_bytes())).collect();
        store.write(&mut entries.iter().map(|(key, value)| Change::Put(key, value))).expect("written");
        store.flush().expect("flushed");
    }
}

#[allow(clippy::disallowed_methods, reason = "a real store takes real time")]
fn wait_until_merged(path: &Path) {
    let begun = Instant::now();
    while tables(path).len() >= FLUSHES as usize {
        assert!(begun.elapsed() < Duration::from_secs(60), "never merged: {:?}", tables(path));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_idle_store_merges_its_tables_once_it_may() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("task-0");
    let mut store = idle(&path);
    fill(&mut store);
    assert_eq!((tables(&path).len(), store.has_upkeep), (FLUSHES as usize, false), "nothing is merged before");
    assert!(store.begin_upkeep().expect("begun"));
    assert!(!store.begin_upkeep().expect("begun already"));
    wait_until_merged(&path);
    assert_eq!(store.get(&7_u32.to_be_bytes()).expect("read"), Some((FLUSHES - 1).to_be_bytes().to_vec()));
    drop(store);
    let mut store = idle(&path);
    fill(&mut store);
    drop(store);
    // What is left to do is done when it is opened to work.
    let _store = RocksStore::open(&path, &RocksMemory::default()).expect("opened");
    wait_until_merged(&path);
}

#[test]
fn an_idle_store_merges_its_tables_before_writes_would_wait_for_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("task-0");
    let mut store = idle(&path);
    // Several times as many as stop all writes.
    for _ in 0..10 {
        fill(&mut store);
    }
    assert!(store.has_upkeep);
    wait_until_merged(&path);
    drop(store);
    // Opened with many already, it waits for more.
    let mut store = idle(&path);
    let before = store.tables_side_by_side().expect("asked");
    fill(&mut store);
    assert_eq!(store.has_upkeep, FLUSHES as u64 + before > store.most_tables);
}

#[test]
fn a_table_that_has_rotted_since_it_was_read_is_not_uploaded_under_its_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("task-0");
    let mut store = idle(&path);
    fill(&mut store);
    let mut snapshot = store.snapshot().expect("linked");
    let files = snapshot.files().expect("read");
    let read = |snapshot: &dyn Snapshot, name: &str| {
        let mut bytes = Vec::new();
        snapshot.open(name).expect("opened").read_to_end(&mut bytes).map(|_| bytes.len() as u64)
    };
    for file in &files {
        assert_eq!(read(snapshot.as_ref(), &file.name).expect("whole"), file.size);
    }
    drop((snapshot, store));
    tables(&path).iter().for_each(|table| rot(table));
    let mut store = idle(&path);
    let mut snapshot = store.snapshot().expect("linked");
    let files = snapshot.files().expect("remembered");
    let table = files.iter().find(|file| file.name.ends_with(".sst")).expect("a table");
    let error = read(snapshot.as_ref(), &table.name).expect_err("other bytes");
    assert!(error.to_string().contains(&table.name), "{error}");
    drop((snapshot, store));
    let error = RocksStore::open_idle(&path, &RocksMemory::default(), None).map(drop).expect_err("noted");
    assert!(matches!(&error, StateError::Damaged(text) if text.contains(&table.name)), "{error}");
}

#[test]
fn who_waits_for_a_store_leaves_its_snapshots_alone_and_who_gets_it_removes_what_is_left() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("task-0");
    let links = || {
        let entries = std::fs::read_dir(directory.path()).expect("the state directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".checkpoint-")).count()
    };
    let mut store = idle(&path);
    fill(&mut store);
    let mut snapshot = store.snapshot().expect("linked");
    for _ in 0..2 {
        let error = RocksStore::open_idle(&path, &RocksMemory::default(), None).map(drop).expect_err("in use");
        assert!(matches!(error, StateError::Locked(_)), "{error}");
    }
    let files = snapshot.files().expect("its links are there");
    assert!(files.iter().any(|file| file.name.ends_with(".sst")), "{files:?}");
    for file in &files {
        let read = std::io::copy(&mut snapshot.open(&file.name).expect("opened"), &mut std::io::sink());
        assert_eq!(read.expect("whole"), file.size, "{}", file.name);
    }
    // As a process that was killed leaves them.
    std::mem::forget(snapshot);
    drop(store);
    assert_eq!(links(), 1);
    let _store = idle(&path);
    assert_eq!(links(), 0);
}

#[test]
fn tables_are_not_read_again_for_the_first_checkpoint_after_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("task-0");
    let mut store = idle(&path);
    fill(&mut store);
    let before = store.snapshot().expect("linked").files().expect("read");
    drop(store);
    // Only who reads them finds another checksum.
    tables(&path).iter().for_each(|table| rot(table));
    let after = idle(&path).snapshot().expect("linked").files().expect("read");
    let of_tables =
        |files: &[StoreFile]| -> Vec<_> { files.iter().filter(|file| file.name.ends_with(".sst")).cloned().collect() };
    assert_eq!(of_tables(&after), of_tables(&before));
    assert_eq!(of_tables(&after).len(), FLUSHES as usize);
}
