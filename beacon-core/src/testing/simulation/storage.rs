//! Object storage of a simulated world.

use std::sync::Arc;

use super::Fault;
use super::world::{SharedWorld, enter};
use crate::checkpoint::{MemoryObjectStore, ObjectErrorKind, ObjectFault, ObjectStore};

/// An empty storage whose objects grow old by the world's time, and whose calls fail by its seed.
pub(super) fn of_one_run(world: &SharedWorld) -> Arc<dyn ObjectStore> {
    let world = Arc::clone(world);
    Arc::new_cyclic(|store: &std::sync::Weak<MemoryObjectStore>| {
        let (store, memory) = (store.clone(), MemoryObjectStore::new());
        memory.set_faults(move |_, _| {
            let mut world = enter(&world);
            if let Some(store) = store.upgrade() {
                store.set_time(world.now);
            }
            if !world.draws(Fault::FailedCall) {
                return None;
            }
            world.strike(None, Fault::FailedCall, "a call of object storage", 0);
            let fail = ObjectFault::Fail(ObjectErrorKind::Retriable);
            Some(world.random.pick(&[fail, ObjectFault::LoseAnswer, ObjectFault::Half]))
        });
        memory
    })
}
