//! The store on disk and the one in memory are one map: get, scan, last. A damaged one says so.

#[path = "support/damage.rs"]
mod damage;

use std::path::Path;

use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::state::{Change, Entries, MemoryStore, StateError, Store};
use proptest::prelude::*;

use damage::{EVERY_HARM, Part, harm};

fn scan(store: &dyn Store, from: &[u8], to: Option<&[u8]>) -> Entries {
    let mut found = Vec::new();
    store
        .scan(from, to, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            true
        })
        .expect("scanned");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn disk_and_memory_answer_alike(
        writes in proptest::collection::vec((proptest::collection::vec(0u8..4, 0..3), any::<Option<u8>>()), 0..80),
        ranges in proptest::collection::vec(
            (proptest::collection::vec(0u8..4, 0..3), proptest::option::of(proptest::collection::vec(0u8..4, 0..3))), 1..20,
        ),
        flush_at in 0usize..80,
    ) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut disk = RocksStore::open(directory.path(), &RocksMemory::default()).expect("opened");
        let mut memory = MemoryStore::default();
        for (number, (key, value)) in writes.iter().enumerate() {
            let value = value.map(|value| [value]);
            let change = value.as_ref().map_or(Change::Delete(key), |value| Change::Put(key, value));
            disk.write(&mut std::iter::once(change)).expect("written");
            memory.write(&mut std::iter::once(change)).expect("written");
            if number == flush_at {
                disk.flush().expect("flushed");
            }
        }
        for (from, to) in &ranges {
            let to = to.as_deref();
            prop_assert_eq!(scan(&disk, from, to), scan(&memory, from, to));
            prop_assert_eq!(disk.last(from, to).expect("read"), scan(&memory, from, to).pop());
            prop_assert_eq!(memory.last(from, to).expect("read"), scan(&memory, from, to).pop());
            prop_assert_eq!(disk.get(from).expect("read"), memory.get(from).expect("read"));
        }
    }
}

/// Several blocks on disk.
fn filled(path: &Path) {
    let entry = |number: u32| (number.to_be_bytes(), number.wrapping_mul(0x9e37_79b9).to_string().repeat(20));
    let entries: Vec<_> = (0..1000).map(entry).collect();
    let mut store = RocksStore::open(path, &RocksMemory::default()).expect("opened");
    store.write(&mut entries.iter().map(|(key, value)| Change::Put(key, value.as_bytes()))).expect("written");
    store.flush().expect("flushed");
}

fn opened_and_read(path: &Path) -> Result<Entries, StateError> {
    let store = RocksStore::open(path, &RocksMemory::default())?;
    let mut found = Vec::new();
    store.scan(&[], None, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        true
    })?;
    Ok(found)
}

#[test]
fn damage_is_told_from_other_errors_and_names_the_path() {
    for (part, how) in EVERY_HARM {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store");
        filled(&path);
        harm(&path, part, how);
        match opened_and_read(&path) {
            Err(StateError::Damaged(text)) => {
                assert!(text.contains(path.to_str().expect("text")), "{part:?} {how:?}: {text}");
                // Nobody who opens it again begins with half of it.
                let again = opened_and_read(&path);
                assert!(matches!(again, Err(StateError::Damaged(_))), "{part:?} {how:?}: {again:?}");
            }
            // A crash may leave the end of a manifest out: then it is the store of a while ago.
            Ok(found) if part == Part::Manifest => assert_eq!(found, [], "{how:?}"),
            other => panic!("{part:?} {how:?}: {other:?}"),
        }
        std::fs::remove_dir_all(&path).expect("removed");
        assert_eq!(opened_and_read(&path).expect("begun anew"), []);
    }
}

#[test]
fn a_store_that_is_in_use_or_cannot_be_reached_is_not_called_damaged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    filled(&path);
    let open = RocksStore::open(&path, &RocksMemory::default()).expect("opened");
    assert!(matches!(opened_and_read(&path), Err(StateError::Locked(_))));
    drop(open);
    assert_eq!(opened_and_read(&path).expect("whole").len(), 1000);
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let error = opened_and_read(&file.join("store")).expect_err("not below a file");
    assert!(
        matches!(error, StateError::Store(_)) && error.to_string().contains(file.to_str().expect("text")),
        "{error}"
    );
}
