//! What every `ObjectStore` does.

use std::io::{self, Read, Write};
use std::sync::Barrier;
use std::time::Duration;

use beacon_core::checkpoint::{ObjectErrorKind, ObjectStore, PutOutcome};

use crate::stores::On;

/// Makes a test of each claim for each storage: `folder::claim`, `s3::claim` and so on.
macro_rules! on_every_store {
    ($($claim:ident),+ $(,)?) => {
        mod folder { $(#[test] fn $claim() { crate::contract::$claim(crate::stores::On::Folder) })+ }
        mod s3 { $(#[test] fn $claim() { crate::contract::$claim(crate::stores::On::S3) })+ }
        mod swift { $(#[test] fn $claim() { crate::contract::$claim(crate::stores::On::Swift) })+ }
        mod azure { $(#[test] fn $claim() { crate::contract::$claim(crate::stores::On::Azure) })+ }
        mod google { $(#[test] fn $claim() { crate::contract::$claim(crate::stores::On::Google) })+ }
    };
}
pub(crate) use on_every_store;

/// Bytes that no compression and no repetition hides a mistake in.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn upload(store: &dyn ObjectStore, name: &str, bytes: &[u8]) {
    store.upload(name, &mut &bytes[..], bytes.len() as u64).unwrap_or_else(|error| panic!("{name}: {error}"));
}

pub fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    store.list(prefix).expect("listed").into_iter().map(|object| object.name).collect()
}

pub fn objects_are_read_back_as_they_were_written(on: On) {
    let stage = on.start();
    for size in [0, 1, 1000, 300_000, (8 << 20) - 1, 8 << 20] {
        let (name, bytes) = (format!("app/history=1/task-0/files/{size}"), noise(size, size as u64));
        upload(&*stage.store, &name, &bytes);
        let mut read = Vec::new();
        assert_eq!(stage.store.download(&name, &mut read).expect("read"), size as u64);
        assert!(read == bytes, "{name} differs");
        assert!(stage.store.get(&name).expect("read") == bytes);
    }
}

pub fn an_object_is_created_once(on: On) {
    let stage = on.start();
    assert_eq!(stage.store.put_if_absent("a/one", b"first").expect("put"), PutOutcome::Created);
    assert_eq!(stage.store.put_if_absent("a/one", b"second").expect("put"), PutOutcome::Exists);
    assert_eq!(stage.store.get("a/one").expect("read"), b"first");
    stage.store.delete("a/one").expect("deleted");
    assert_eq!(stage.store.put_if_absent("a/one", b"third").expect("put"), PutOutcome::Created);
    assert_eq!(stage.store.get("a/one").expect("read"), b"third");
}

/// Of a folder, where it is ours to do. S3 answers for its own, and Swift promises it to writers one after the other only.
pub fn of_many_that_create_at_once_one_does(on: On) {
    const WRITERS: u8 = 8;
    let stage = on.start();
    for round in 0..10 {
        let name = format!("a/contended-{round}");
        let start = Barrier::new(usize::from(WRITERS));
        let create = |writer: u8| {
            start.wait();
            (writer, stage.store.put_if_absent(&name, &[writer; 1000]).expect("put"))
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || create(writer))).collect();
            writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
        });
        let created: Vec<u8> =
            outcomes.iter().filter(|(_, outcome)| *outcome == PutOutcome::Created).map(|(writer, _)| *writer).collect();
        let [winner] = created[..] else { panic!("{name} was created by {created:?}") };
        assert_eq!(stage.store.get(&name).expect("read"), [winner; 1000], "{name} is whole and the winner's");
    }
}

pub fn an_upload_replaces(on: On) {
    let stage = on.start();
    upload(&*stage.store, "a/one", &noise(70_000, 1));
    upload(&*stage.store, "a/one", b"short");
    assert_eq!(stage.store.get("a/one").expect("read"), b"short");
    assert_eq!(stage.store.list("a/").expect("listed")[0].size, 5);
}

pub fn listings_are_whole_sorted_and_by_prefix(on: On) {
    let stage = on.start();
    assert_eq!(names(&*stage.store, "app/task-1/"), [""; 0], "nothing there is no error");
    for name in
        ["app/task-1/files/b", "app/task-1/files/a", "app/task-1/manifests/01", "app/task-10/files/c", "apple/x"]
    {
        upload(&*stage.store, name, name.as_bytes());
    }
    let listed = stage.store.list("app/task-1/").expect("listed");
    let found: Vec<_> = listed.iter().map(|object| (object.name.as_str(), object.size)).collect();
    assert_eq!(found, [("app/task-1/files/a", 18), ("app/task-1/files/b", 18), ("app/task-1/manifests/01", 23)]);
    assert_eq!(names(&*stage.store, "app/").len(), 4);
}

pub fn more_objects_than_a_page_holds_are_listed(on: On) {
    let stage = on.start();
    let wanted: Vec<_> = (0..1020).map(|number| format!("many/{number:05}")).collect();
    std::thread::scope(|scope| {
        for part in wanted.chunks(170) {
            let store = &stage.store;
            scope.spawn(move || part.iter().for_each(|name| upload(&**store, name, b"x")));
        }
    });
    assert!(names(&*stage.store, "many/") == wanted, "not all, or in another order");
}

pub fn what_is_missing_is_not_found_and_deleting_it_is_no_error(on: On) {
    let stage = on.start();
    let error = stage.store.get("a/nothing").expect_err("missing");
    assert_eq!(error.kind(), ObjectErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("a/nothing"), "{error}");
    stage.store.delete("a/nothing").expect("no error");
    upload(&*stage.store, "a/one", b"x");
    stage.store.delete("a/one").expect("deleted");
    stage.store.delete("a/one").expect("deleted again");
    assert_eq!(names(&*stage.store, "a/"), [""; 0]);
    assert_eq!(stage.store.get("a/one").expect_err("missing").kind(), ObjectErrorKind::NotFound);
}

pub fn a_large_object_is_streamed(on: On) {
    let stage = on.start();
    let bytes = noise(40 << 20, 7);
    upload(&*stage.store, "a/large", &bytes);
    let mut read = Vec::new();
    stage.store.download("a/large", &mut read).expect("read");
    assert!(read == bytes, "it differs");
    assert_eq!(stage.store.list("a/").expect("listed")[0].size, 40 << 20);
}

/// Fails, or ends, after a number of bytes.
struct Broken {
    left: usize,
    fails: bool,
}

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.fails {
            return Err(io::Error::other("the disk is broken"));
        }
        let read = buffer.len().min(self.left);
        buffer[..read].fill(7);
        self.left -= read;
        Ok(read)
    }
}

pub fn a_source_that_lies_about_its_size_leaves_nothing(on: On) {
    let stage = on.start();
    for size in [1000_usize, 20 << 20] {
        for (left, fails) in [(size / 2, true), (size / 2, false), (size + 1, false)] {
            let error = stage.store.upload("a/lie", &mut Broken { left, fails }, size as u64).expect_err("refused");
            assert_eq!(error.kind(), ObjectErrorKind::Local, "{size}, {left}, {fails}: {error}");
            assert!(error.to_string().contains("a/lie"), "{error}");
            assert_eq!(names(&*stage.store, "a/"), [""; 0], "{size}, {left}, {fails}");
        }
    }
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn a_sink_that_fails_is_told_apart(on: On) {
    let stage = on.start();
    upload(&*stage.store, "a/one", &noise(100_000, 3));
    let error = stage.store.download("a/one", &mut Full).expect_err("no room here");
    assert_eq!(error.kind(), ObjectErrorKind::Local, "{error}");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::StorageFull));
}

pub fn young_objects_are_young(on: On) {
    let stage = on.start();
    upload(&*stage.store, "a/one", b"x");
    let age = stage.store.list("a/").expect("listed")[0].age;
    assert!(age < Duration::from_secs(300), "{age:?}");
}
