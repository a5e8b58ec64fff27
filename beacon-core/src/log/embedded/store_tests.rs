//! The database as it is opened and written.

use rocksdb::statistics::Ticker;

use super::*;

fn open(path: &Path) -> Store {
    let directory = Directory::claim(path).expect("nobody else has it");
    Store::open(directory, EmbeddedOptions::default()).expect("opened")
}

#[test]
fn a_log_keeps_its_id_and_one_made_anew_has_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let first = open(&path).id();
    assert!(first.is_some());
    assert_eq!(open(&path).id(), first);
    std::fs::remove_dir_all(&path).expect("it was there");
    assert_ne!(open(&path).id(), first);
}

#[test]
fn a_log_from_before_ids_opens_and_has_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let without_id = |db: &DB| db.delete(keys::LOG_ID).map_err(|error| store.error("writing", error));
    store.with(without_id).expect("deleted");
    drop(store);
    assert_eq!(open(directory.path()).id(), None, "its checkpoints and state are under its topics' old ids");
}

#[test]
fn each_write_is_on_the_disk_when_it_returns() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    // The same database, by a RocksDB that counts.
    let mut settings = database_settings(&store.options, &store.cache);
    settings.enable_statistics();
    let mut db = write(&store.db);
    *db = None;
    *db = Some(DB::open(&settings, store.directory.database()).expect("opened"));
    drop(db);
    for number in 0..5_u8 {
        let before = settings.get_ticker_count(Ticker::WalFileSynced);
        let mut batch = WriteBatch::default();
        batch.put([0xff, number], [number]);
        store.write(batch).expect("written");
        assert!(settings.get_ticker_count(Ticker::WalFileSynced) > before, "write {number}");
    }
}
