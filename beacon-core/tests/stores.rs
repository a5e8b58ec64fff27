//! The store on disk and the one in memory are one map: get, scan, last.

use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::state::{Change, Entries, MemoryStore, Store};
use proptest::prelude::*;

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
