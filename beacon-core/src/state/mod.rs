//! Keyed state of one task: typed handles over an overlay over a store of committed bytes.
//!
//! A step reads through the overlay and writes into it; the store holds committed state only and changes in one write
//! per commit. What it deliberately does not do: it knows no log and no commit, and never decides when to write.
//!
//! Invariant: after [`TaskState::drop_pending`] the state is byte for byte what it was after the last
//! [`TaskState::apply`].

mod handle;
pub mod layout;
mod memory;
mod overlay;
#[cfg(feature = "rocksdb")]
pub mod rocks;
mod store;
mod task_state;

pub use handle::{KeyedScope, MapState, Registry, SharedMap, SharedScope, SharedScopeMut, SharedValue, Value};
pub use memory::MemoryStore;
pub use overlay::Change;
pub use store::{StateError, Store};
pub use task_state::{Entries, TaskState};
