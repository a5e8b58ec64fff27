//! A task: everything an application does with one partition number.
//!
//! Operators, one state, one changelog partition. A task is fed records and the time, and hands out records to send;
//! it is told when they were committed or dropped. What it deliberately does not do: it never touches the log, a clock
//! or a thread, so tests, simulation and production run the same code.
//!
//! Invariant: between a commit and the next step, state equals the replay of the task's changelog, and positions are
//! the offsets committed with it.

mod changelog;
mod error;
mod positions;
#[allow(clippy::module_inception)]
mod task;

pub use changelog::{CHUNK_BYTES, ChangelogError, decode_chunk, encode_chunks};
pub use error::TaskError;
pub use positions::Positions;
pub use task::{Task, TaskId, TaskSettings};
