//! A checkpoint sends what the one before has not.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::checkpoint::{Manifest, MemoryObjectStore};
use beacon_core::codec::Raw;
use beacon_core::log::{Record, TopicPartition};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::AppConfig;
use beacon_core::state::{Registry, StoreFile, Value};
use beacon_core::tools::checkpoints::{TaskCheckpoints, list};
use beacon_core::topology::{Topic, Topology, TopologyBuilder};

use super::rig::{Rig, wait_running};
use crate::support::kept::checkpoints;
use crate::support::large::{KEPT, kept_of};
use crate::support::watched::Watched;
use crate::support::{topic, wait_until};

/// Half a megabyte of state.
const KEYS: u64 = 128;
const CHANGED: u64 = 3;
const NUMBERS: &str = "grows-numbers";

/// Keeps some KiB of the last number of each key.
struct Keep {
    kept: Value<Raw>,
}

impl KeyedProcess for Keep {
    type Key = u64;
    type In = u64;
    type Out = ();
    type Timer = ();

    fn on_record(&self, number: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.kept.set(ctx, &Raw(kept_of(number)));
        Ok(())
    }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("grows");
    app.source("numbers", &Topic::<u64>::new(NUMBERS))
        .keyed("key", |number| number % KEYS)
        .process("keep", |state: &mut Registry| Keep { kept: state.value("kept") });
    app.build().expect("a valid topology")
}

/// One task, and what it has in object storage.
struct Grows {
    rig: Rig,
    storage: Arc<Watched>,
}

impl Grows {
    fn new() -> Self {
        Self { rig: Rig::new(), storage: Watched::over(&Arc::new(MemoryObjectStore::new()), |_| true) }
    }

    fn config(&self) -> AppConfig {
        let mut config = self.rig.on_disk(AppConfig::new(1));
        // What is in the log at once is one commit, and so one table: three more, and RocksDB would merge them to another.
        config.commit_interval = Duration::from_secs(60);
        config.topics = vec![topic(NUMBERS, 1)];
        // No file is safe from a clean-up for its youth: it is shared for being in the newest manifest, or not at all.
        let mut checkpoints = checkpoints(Arc::clone(&self.storage) as _);
        checkpoints.keep = 10;
        config.checkpoints = Some(checkpoints);
        config
    }

    fn append(&self, numbers: Range<u64>) {
        let record = |number: u64| Record::new(NUMBERS, (number % KEYS).to_be_bytes(), number.to_be_bytes());
        let appender = self.rig.log.appender().expect("an appender");
        appender.append_blocking(numbers.map(record).collect()).expect("appended");
    }

    /// The task's checkpoints as `beacon app checkpoints list` shows them.
    fn checkpoints(&self) -> TaskCheckpoints {
        let found = list(self.rig.log.as_ref(), self.storage.as_ref(), &topology()).expect("listed");
        found.into_iter().next().expect("there is one task")
    }

    /// Waits until the newest checkpoint is of the state after so many records.
    fn wait_checkpointed(&self, records: u64) -> TaskCheckpoints {
        let read = (TopicPartition::new(NUMBERS, 0), records);
        let covers = |manifest: &Manifest| manifest.sources.contains(&read);
        let mut found = None;
        wait_until("a checkpoint of all records", || {
            let checkpoints = self.checkpoints();
            let newest = checkpoints.chain.first().and_then(|link| link.manifest.as_ref());
            found = newest.is_some_and(covers).then_some(checkpoints);
            found.is_some()
        });
        found.expect("waited for")
    }
}

/// The files of the newest checkpoint by their objects.
fn newest(found: &TaskCheckpoints) -> BTreeMap<String, StoreFile> {
    let manifest = found.chain[0].manifest.as_ref().expect("it was read");
    manifest.files.iter().map(|file| (found.objects.file(file), file.clone())).collect()
}

fn is_table(file: &StoreFile) -> bool {
    file.name.ends_with(".sst")
}

#[test]
fn a_second_checkpoint_of_a_running_job_sends_only_what_is_new() {
    let grows = Grows::new();
    grows.rig.log.create_topics(&grows.config().topics).expect("made");
    grows.append(0..KEYS);
    let app = grows.rig.start(topology(), grows.config());
    wait_running(&app, 1);
    let first = newest(&grows.wait_checkpointed(KEYS));
    let sent = grows.storage.uploaded();
    assert!(first.keys().all(|object| sent.contains(object)), "{sent:?}");
    let state: u64 = first.values().filter(|file| is_table(file)).map(|file| file.size).sum();
    assert!(state >= KEYS * KEPT as u64, "all of the state is in its tables: {first:?}");

    grows.append(KEYS..KEYS + CHANGED);
    let found = grows.wait_checkpointed(KEYS + CHANGED);
    let sent = grows.storage.uploaded().split_off(sent.len());
    app.stop().expect("stopped in good order");
    let again: Vec<_> = sent.iter().filter(|object| first.contains_key(*object)).collect();
    assert!(again.is_empty(), "sent again: {again:?}");
    let new = newest(&found);
    assert!(sent.iter().any(|object| new.get(object).is_some_and(is_table)), "the new table is sent: {sent:?}");
    assert!(found.chain[0].shared_bytes >= state, "of {state} bytes {} are shared", found.chain[0].shared_bytes);
}
