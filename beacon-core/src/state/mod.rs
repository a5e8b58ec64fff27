//! Keyed state of one task: typed handles over pending writes over a store of committed bytes.
//!
//! A step reads through its pending writes; the store holds committed state only, and hears of many commits in one write.
//! What it deliberately does not do: it knows no log and no commit, and never decides when to write.
//!
//! Invariant: after [`TaskState::drop_pending`] the state is byte for byte what it was after the last
//! [`TaskState::apply`] (`src/state/task_state_tests.rs: pending_and_unstored_writes_and_cache_behave_like_a_map`).

mod checksum;
pub mod division;
mod expiry;
#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "without stores on disk nobody asks"))]
mod file_sums;
mod keyed;
#[doc(hidden)]
pub mod layout;
mod list;
mod map;
mod memory;
mod order;
mod registry;
#[cfg(feature = "rocksdb")]
pub mod rocks;
#[cfg(feature = "rocksdb")]
mod rocks_snapshot;
mod scope;
mod shared;
mod slot;
mod slots;
mod snapshot;
mod store;
mod table;
mod task_state;
mod value;

pub use checksum::{Checksum, Summing};
pub(crate) use expiry::replay as replay_expiry;
pub use expiry::{Expiries, Ttl};
pub(crate) use file_sums::FileSums;
#[cfg(all(test, feature = "rocksdb"))]
pub(crate) use file_sums::rot;
pub use list::{ListIter, ListState};
pub use map::{MapIter, MapState};
pub use memory::{MemoryIntake, MemoryStore};
pub use registry::{Expiring, Registry, StoreKind, StoreSpec};
pub(crate) use scope::sealed;
pub use scope::{KeyedScope, SharedScope, SharedScopeMut};
pub use shared::{SharedMap, SharedValue};
pub use snapshot::{Arrival, Intake, Snapshot, StoreFile};
pub(crate) use store::file_error;
pub use store::{Change, Entry, StateError, Store};
pub use task_state::{Entries, TaskState};
pub use value::Value;
