//! Timers per key: set, moved, cancelled, fired in the order of their deadlines.
//!
//! Each timer is one entry by key (its deadline; in the changelog) and one entry in an index ordered by deadline
//! (derived, on this disk only). A bounded cache holds the earliest timers, so that asking for the next one reads
//! nothing while there is one, and a cursor remembers how far the index is known to be empty, across restarts too, so
//! that set-and-cancelled timers leave no trail of tombstones to scan
//! (`src/timer/queue_tests.rs: after_a_step_is_taken_back_and_after_a_restart_the_traces_of_old_timers_are_not_read_again`).
//!
//! Invariant: the cache holds exactly the entries of the index below its horizon
//! (`src/timer/queue_tests.rs: fires_like_a_sorted_map`).

#[doc(hidden)]
pub mod floors;
mod queue;
mod tag;

pub use queue::{Timer, TimerQueue};
pub use tag::TimerTag;
