//! Object storage of a simulated world.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::Fault;
use super::scheduler;
use super::world::{SharedWorld, enter};
use crate::checkpoint::{
    MemoryObjectStore, Object, ObjectError, ObjectErrorKind, ObjectFault, ObjectStore, PutOutcome,
};

/// The storage of one run: empty at first. Its objects grow old by the world's time, and its calls are slow or fail by the
/// world's seed.
pub(super) struct SimulatedStorage {
    world: SharedWorld,
    memory: MemoryObjectStore,
}

impl fmt::Debug for SimulatedStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedStorage").field(&self.memory).finish()
    }
}

impl SimulatedStorage {
    pub(super) fn of_one_run(world: &SharedWorld) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), memory: MemoryObjectStore::new() })
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
        work: impl FnOnce(&MemoryObjectStore) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let takes = self.takes(what);
        if !takes.is_zero() {
            scheduler::others_run_for(takes);
        }
        let fault = self.fault(what);
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

    fn fault(&self, what: &'static str) -> Option<ObjectFault> {
        let mut world = enter(&self.world);
        self.memory.set_time(world.now);
        let fail = ObjectFault::Fail(ObjectErrorKind::Retriable);
        if world.now < world.storage_away_until {
            return Some(fail);
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
}

impl ObjectStore for SimulatedStorage {
    fn describe(&self) -> String {
        "objects of a simulated storage".to_owned()
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        self.call("storage: download", |memory| memory.download(name, sink))
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        self.call("storage: upload", |memory| memory.upload(name, source, size))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        let arrived = self.as_it_arrives(bytes);
        self.call("storage: create", |memory| memory.put_if_absent(name, &arrived))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        self.call("storage: list", |memory| memory.list(prefix))
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.call("storage: delete", |memory| memory.delete(name))
    }
}
