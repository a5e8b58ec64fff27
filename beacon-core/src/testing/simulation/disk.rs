//! A disk of a simulated process: what was flushed, and what a crash may take.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fault;
use super::hands::Hands;
use super::world::{Incarnation, enter};
use crate::runtime::{TableMemory, TaskStores};
use crate::state::{Arrival, Change, Intake, MemoryIntake, MemoryStore, Snapshot, StateError, Store, StoreFile};
use crate::task::TaskId;

type OwnedChange = (Vec<u8>, Option<Vec<u8>>);

/// What one task's store has on the disk.
#[derive(Debug, Default)]
struct Directory {
    flushed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Writes since the last flush, oldest first, each atomic.
    unflushed: Vec<Vec<OwnedChange>>,
    opened_by: Option<Incarnation>,
    /// Files of a checkpoint that have arrived.
    arrived: Arc<MemoryIntake>,
}

impl Directory {
    /// The first `writes` unflushed ones are on the disk for good; the others stay unflushed.
    fn persist(&mut self, writes: usize) {
        for (key, value) in self.unflushed.drain(..writes).flatten() {
            match value {
                Some(value) => drop(self.flushed.insert(key, value)),
                None => drop(self.flushed.remove(&key)),
            }
        }
    }
}

/// The directories of all tasks a process has had.
#[derive(Debug, Default)]
pub(super) struct Disk {
    directories: BTreeMap<TaskId, Directory>,
}

impl Disk {
    /// Whoever had it open is gone; `keeps` says how many of so many unflushed writes are left.
    pub(super) fn crash(&mut self, keeps: &mut dyn FnMut(usize) -> usize) {
        for directory in self.directories.values_mut() {
            let kept = keeps(directory.unflushed.len());
            directory.persist(kept);
            directory.unflushed.clear();
            directory.opened_by = None;
        }
    }

    pub(super) fn clear(&mut self) {
        self.directories.clear();
    }
}

/// Opens stores on the disk of one incarnation.
pub(super) struct SimulatedStores {
    pub(super) hands: Hands,
}

impl TaskStores for SimulatedStores {
    fn open(&self, task: TaskId) -> Result<Box<dyn Store>, StateError> {
        if matches!(task, TaskId::Stateless(_)) {
            return Ok(Box::new(MemoryStore::default()));
        }
        let mut world = enter(&self.hands.world);
        let directory = world.disks[self.hands.disk].directories.entry(task).or_default();
        if directory.opened_by.is_some() {
            return Err(StateError::Locked(format!("simulated directory of task {task}")));
        }
        directory.opened_by = Some(self.hands.incarnation);
        directory.persist(directory.unflushed.len());
        let mut live = MemoryStore::default();
        live.write(&mut directory.flushed.iter().map(|(key, value)| Change::Put(key, value)))?;
        Ok(Box::new(SimulatedStore { hands: self.hands.clone(), task, live }))
    }

    fn wipe(&self, task: TaskId) -> Result<(), StateError> {
        enter(&self.hands.world).disks[self.hands.disk].directories.remove(&task);
        Ok(())
    }

    fn intake(&self, task: TaskId) -> Result<Arc<dyn Intake>, StateError> {
        let mut world = enter(&self.hands.world);
        let arrived = Arc::clone(&world.disks[self.hands.disk].directories.entry(task).or_default().arrived);
        Ok(Arc::new(SimulatedIntake { hands: self.hands.clone(), task, arrived }))
    }

    fn outlive_the_process(&self) -> bool {
        true
    }

    fn tables(&self) -> TableMemory {
        TableMemory::new(enter(&self.hands.world).table_bytes)
    }
}

/// Files of a checkpoint on their way to a simulated disk.
struct SimulatedIntake {
    hands: Hands,
    task: TaskId,
    arrived: Arc<MemoryIntake>,
}

impl Intake for SimulatedIntake {
    fn has(&self, file: &StoreFile) -> Result<bool, StateError> {
        self.arrived.has(file)
    }

    fn begin(&self, file: &StoreFile) -> Result<Box<dyn Arrival + '_>, StateError> {
        self.arrived.begin(file)
    }

    fn keep_only(&self, files: &[StoreFile]) -> Result<(), StateError> {
        self.arrived.keep_only(files)
    }

    fn settle(&self) -> Result<Box<dyn Store>, StateError> {
        self.hands.touch_disk("a checkpoint becomes the store")?;
        let store = MemoryStore::from_intake(&self.arrived)?;
        let mut flushed = BTreeMap::new();
        store.scan(&[], None, &mut |key, value| {
            flushed.insert(key.to_vec(), value.to_vec());
            true
        })?;
        {
            let mut world = enter(&self.hands.world);
            let directory = world.disks[self.hands.disk].directories.entry(self.task).or_default();
            if directory.opened_by.is_some() {
                return Err(StateError::Locked(format!("simulated directory of task {}", self.task)));
            }
            *directory = Directory { flushed, ..Directory::default() };
            world.checkpoint_restores += 1;
        }
        SimulatedStores { hands: self.hands.clone() }.open(self.task)
    }
}

/// A store whose writes are on the disk after a flush.
struct SimulatedStore {
    hands: Hands,
    task: TaskId,
    live: MemoryStore,
}

impl SimulatedStore {
    /// The directory, unless this process is gone.
    fn on_disk(&self, act: impl FnOnce(&mut Directory)) -> Result<(), StateError> {
        let mut world = enter(&self.hands.world);
        if !world.alive.contains(&self.hands.incarnation) {
            return Err(StateError::Store("the process of this store is gone".into()));
        }
        if let Some(directory) = world.disks[self.hands.disk].directories.get_mut(&self.task) {
            act(directory);
        }
        Ok(())
    }
}

impl Store for SimulatedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.live.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        self.live.scan(from, to, visitor)
    }

    fn write(&mut self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StateError> {
        self.hands.touch_disk("store write")?;
        if self.hands.strikes(Fault::FullDisk, "the disk is full") {
            return Err(StateError::Full("simulated disk".into()));
        }
        let mut written = Vec::new();
        let mut change_live = changes.inspect(|change| {
            written.push(match change {
                Change::Put(key, value) => (key.to_vec(), Some(value.to_vec())),
                Change::Delete(key) => (key.to_vec(), None),
            });
        });
        self.live.write(&mut change_live)?;
        self.on_disk(|directory| directory.unflushed.push(written))
    }

    fn flush(&mut self) -> Result<(), StateError> {
        self.hands.touch_disk("store flush")?;
        self.on_disk(|directory| directory.persist(directory.unflushed.len()))
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError> {
        self.flush()?;
        self.live.snapshot()
    }
}

impl Drop for SimulatedStore {
    fn drop(&mut self) {
        let mut world = enter(&self.hands.world);
        if let Some(directory) = world.disks[self.hands.disk].directories.get_mut(&self.task)
            && directory.opened_by == Some(self.hands.incarnation)
        {
            directory.opened_by = None;
        }
    }
}
