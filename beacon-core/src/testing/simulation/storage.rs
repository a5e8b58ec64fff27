//! Object storage of a simulated world.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::Fault;
use super::scheduler;
use super::world::{SharedWorld, enter};
use crate::checkpoint::{
    Manifest, MemoryObjectStore, Object, ObjectError, ObjectErrorKind, ObjectFault, ObjectStore, PutOutcome,
};
use crate::state::StoreFile;

/// The storage of one run: empty at first. Its objects grow old by the world's time, and its calls are slow or fail by the
/// world's seed.
pub(super) struct SimulatedStorage {
    world: SharedWorld,
    memory: MemoryObjectStore,
    /// Checkpoints that the application keeps of each task.
    keep: usize,
}

impl fmt::Debug for SimulatedStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedStorage").field(&self.memory).finish()
    }
}

impl SimulatedStorage {
    pub(super) fn of_one_run(world: &SharedWorld, keep: usize) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), memory: MemoryObjectStore::new(), keep })
    }

    /// All objects: name and bytes.
    pub(super) fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.memory.objects()
    }

    /// Does `work` when its time has come, spoilt as the seed says. A request that is on its way arrives though its sender
    /// be dead by then.
    fn call<T>(
        &self,
        what: &'static str,
        uses: Uses,
        work: impl FnOnce(&MemoryObjectStore) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let takes = self.takes(what);
        if !takes.is_zero() {
            scheduler::others_run_for(takes);
        }
        let fault = self.fault(what, uses);
        if let Some(fault) = fault {
            // For this call only: nobody else runs during it.
            self.memory.set_faults(move |_, _| Some(fault));
        }
        let result = work(&self.memory);
        self.memory.clear_faults();
        result
    }

    fn takes(&self, what: &'static str) -> Duration {
        let mut world = enter(&self.world);
        world.note(None, what, 0);
        if !world.draws(Fault::SlowStorage) {
            return Duration::ZERO;
        }
        let takes = world.random.between(Duration::from_millis(50), Duration::from_secs(8));
        world.strike(None, Fault::SlowStorage, what, takes.as_millis() as u64);
        takes
    }

    fn fault(&self, what: &'static str, uses: Uses) -> Option<ObjectFault> {
        let mut world = enter(&self.world);
        self.memory.set_time(world.now);
        let fail = ObjectFault::Fail(ObjectErrorKind::Retriable);
        let refusals = [
            (Fault::StorageAway, fail),
            (Fault::DeniedStorage, ObjectFault::Fail(ObjectErrorKind::Denied)),
            (Fault::FullStorage, ObjectFault::Fail(ObjectErrorKind::Full)),
        ];
        let now = world.now;
        let refuses = |fault: &Fault| {
            let meets_it = *fault != Fault::FullStorage || uses == Uses::Room;
            meets_it && world.storage_refuses_until.get(fault).is_some_and(|until| now < *until)
        };
        if let Some((fault, refusal)) = refusals.into_iter().find(|(fault, _)| refuses(fault)) {
            world.strike(None, fault, what, 0);
            return Some(refusal);
        }
        if !world.draws(Fault::FailedStorageCall) {
            return None;
        }
        world.strike(None, Fault::FailedStorageCall, what, 0);
        Some(world.random.pick(&[fail, ObjectFault::LoseAnswer, ObjectFault::Half]))
    }

    /// The bytes of a manifest as they arrive.
    fn as_it_arrives(&self, bytes: &[u8]) -> Vec<u8> {
        let mut arrived = bytes.to_vec();
        let mut world = enter(&self.world);
        if !arrived.is_empty() && world.draws(Fault::DamagedManifest) {
            let at = world.random.below(arrived.len() as u64);
            arrived[at as usize] ^= 1;
            world.strike(None, Fault::DamagedManifest, "a manifest is stored with a wrong byte", at);
        }
        arrived
    }

    /// The bytes of a file as they come, if only the newest checkpoint has it.
    fn damage_on_the_way(&self, name: &str, bytes: &mut [u8]) {
        let chosen = enter(&self.world).damaged_files.get(name).copied();
        let Some(chosen) = chosen.filter(|_| !bytes.is_empty() && self.only_the_newest_has(name)) else { return };
        let at = chosen % bytes.len() as u64;
        bytes[at as usize] ^= 1;
        enter(&self.world).strike(None, Fault::DamagedFile, "a file comes with a wrong byte", at);
    }

    /// Whether a file is in the newest valid checkpoint of its task and not in the one before, which is kept and can be
    /// restored from.
    fn only_the_newest_has(&self, file: &str) -> bool {
        let Some((task, _)) = file.split_once("/files/").filter(|_| self.keep > 1) else { return false };
        let sizes: BTreeMap<String, u64> = match self.memory.list(&format!("{task}/")) {
            Ok(objects) => objects.into_iter().map(|object| (object.name, object.size)).collect(),
            Err(_) => return false,
        };
        let manifests = format!("{task}/manifests/");
        let newest_first = sizes.keys().rev().filter(|name| name.starts_with(&manifests));
        let files = newest_first.filter_map(|name| {
            let manifest = Manifest::decode(&self.memory.get(name).ok()?).ok()?;
            let named = |file: StoreFile| (format!("{task}/files/{}-{}", file.checksum, file.size), file.size);
            let files: BTreeMap<_, _> = manifest.files.into_iter().map(named).collect();
            files.iter().all(|(name, size)| sizes.get(name) == Some(size)).then_some(files)
        });
        let files: Vec<_> = files.take(2).collect();
        matches!(&files[..], [newest, before] if newest.contains_key(file) && !before.contains_key(file))
    }
}

/// What a call needs of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uses {
    /// That it answers.
    Answers,
    /// Room for an object as well.
    Room,
}

impl ObjectStore for SimulatedStorage {
    fn describe(&self) -> String {
        "objects of a simulated storage".to_owned()
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        let mut bytes = Vec::new();
        let result = self.call("storage: download", Uses::Answers, |memory| memory.download(name, &mut bytes));
        if result.is_ok() {
            self.damage_on_the_way(name, &mut bytes);
        }
        sink.write_all(&bytes)
            .map_err(|error| ObjectError::new(ObjectErrorKind::Local, format!("{name}: {error}")).with_source(error))?;
        result
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        enter(&self.world).draw_damage(name);
        self.call("storage: upload", Uses::Room, |memory| memory.upload(name, source, size))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        let arrived = self.as_it_arrives(bytes);
        self.call("storage: create", Uses::Room, |memory| memory.put_if_absent(name, &arrived))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        self.call("storage: list", Uses::Answers, |memory| memory.list(prefix))
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.call("storage: delete", Uses::Answers, |memory| memory.delete(name))
    }
}
