//! A store's tables: when they are merged, and that they are not read again for checksums that are known.

use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::*;

/// Far more tables than a store leaves side by side.
const FLUSHES: u32 = 12;

fn tables(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("the store's directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect()
}

fn idle(path: &Path) -> RocksStore {
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
    assert_eq!(tables(&path).len(), FLUSHES as usize, "nothing is merged before");
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
fn tables_are_not_read_again_for_the_first_checkpoint_after_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("task-0");
    let mut store = idle(&path);
    fill(&mut store);
    let before = store.snapshot().expect("linked").files().expect("read");
    drop(store);
    // Other bytes behind the file system's back: only who reads them finds another checksum.
    for table in tables(&path) {
        let mut file = File::options().write(true).open(&table).expect("opened");
        let modified = file.metadata().and_then(|data| data.modified()).expect("known");
        file.seek(SeekFrom::Start(1)).and_then(|_| file.write_all(b"?")).expect("written");
        file.set_modified(modified).expect("set back");
    }
    let after = idle(&path).snapshot().expect("linked").files().expect("read");
    let of_tables =
        |files: &[StoreFile]| -> Vec<_> { files.iter().filter(|file| file.name.ends_with(".sst")).cloned().collect() };
    assert_eq!(of_tables(&after), of_tables(&before));
    assert_eq!(of_tables(&after).len(), FLUSHES as usize);
}
