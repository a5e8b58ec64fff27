//! What is in the object storage after each piece of an upload.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::checkpoint::{MemoryObjectStore, ObjectStore};
use crate::log::simulated::{SimulatedLog, Surroundings};
use crate::state::{Change, MemoryStore, Store};

/// A log at rest, and nothing happens to it.
struct Calm;

impl Surroundings for Calm {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn wait(&self, _: Duration) -> bool {
        false
    }

    fn batch_records(&self) -> usize {
        1
    }
}

fn task() -> TaskObjects {
    TaskObjects { application: "app".into(), task: 0, history: None }
}

/// Of a store of several files.
fn upload(objects: &Arc<MemoryObjectStore>) -> Upload {
    let mut store = MemoryStore::default();
    let entries = [1, 2, 3].map(|number| ([number], [number; 5000]));
    store.write(&mut entries.iter().map(|(key, value)| Change::Put(key, value))).expect("memory");
    let parts = Parts {
        config: CheckpointConfig::new(Arc::clone(objects) as Arc<dyn ObjectStore>),
        log: Arc::new(SimulatedLog::new(Arc::new(Calm))),
        stats: Arc::new(Stats::default()),
        objects: task(),
        partitions: 1,
        changelog: (TopicPartition::new("app-changelog", 0), 7),
        sources: Vec::new(),
        states: Vec::new(),
        snapshot: store.snapshot().expect("memory"),
    };
    let permit = Permit::take(&Arc::new(AtomicUsize::new(0)), 1).expect("the only one");
    Upload::new(parts, Arc::new(UnderWay::default()), permit)
}

#[test]
fn a_manifest_is_put_after_all_its_files() {
    let objects = Arc::new(MemoryObjectStore::new());
    let mut upload = upload(&objects);
    let anywhere = OffsetRange { start: 0, end: Offset::MAX };
    let mut seen = Vec::new();
    while upload.step(Duration::ZERO).is_some() {
        let listing = Listing::new(&task(), objects.list(&task().prefix()).expect("no faults"));
        for offset in listing.newest_first() {
            let bytes = objects.get(&task().manifest(offset)).expect("listed");
            let judged = judge(&task(), 1, offset, Some(&bytes), &listing, anywhere);
            assert!(judged.is_ok(), "{judged:?} with {} files there", listing.files.len());
        }
        seen.push((listing.files.len(), listing.manifests.len()));
    }
    assert!(seen.contains(&(1, 0)), "file by file: {seen:?}");
    assert!(seen.last().is_some_and(|(files, manifests)| *files >= 3 && *manifests == 1), "{seen:?}");
}
