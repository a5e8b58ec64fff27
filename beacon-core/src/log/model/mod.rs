//! The rules of a log without its storage: who owns what, which commit is refused, what a reader sees next.
//!
//! The embedded log, and every other log that is made here rather than reached over a network, asks these types what
//! shall happen and then does it. Nothing here does I/O, reads a clock or starts a thread: time comes in as a
//! [`Duration`](std::time::Duration) since a moment the caller chose. What it deliberately does not know: records. It
//! counts offsets and leaves the bytes to the storage.
//!
//! Invariants, each under a test:
//!
//! * a partition has at most one owner in a group at any time, however it changes hands, and becomes somebody else's only
//!   after its owner polled again, left, was fenced, or stayed silent for its session time-out (one by one: while others
//!   waited)
//!   (`src/log/model/coordinator_tests.rs: a_partition_moves_only_after_its_owner_polled_twice`,
//!   `src/log/model/coordinator_tests.rs: a_silent_member_is_expelled_only_while_others_wait_for_it`);
//! * no commit is let through for a session that was fenced
//!   (`src/log/model/coordinator_tests.rs: no_partition_can_be_committed_by_two_and_all_are_owned_in_the_end`), or for a
//!   partition that is not its own
//!   (`src/log/model/coordinator_tests.rs: a_partition_moves_only_after_its_owner_polled_twice`);
//! * a session in the middle of a commit is neither fenced nor expelled before that commit has ended
//!   (`src/log/model/coordinator_tests.rs: a_committing_member_is_neither_expelled_nor_fenced`).

mod all_at_once;
mod assignment;
mod coordinator;
mod cursor;
mod group;
mod member;
mod range;
mod transaction;

#[cfg(test)]
mod all_at_once_tests;
#[cfg(test)]
mod coordinator_tests;

pub use assignment::{Subscriber, range_assignment};
pub use coordinator::{Coordinator, Join, Joining, MemberId, News, Turn};
pub use cursor::{Cursor, Step};
pub use group::Rebalancing;
pub use member::{Fencing, Refusal};
pub use range::{FirstRead, Trim, first_read, reserve, trim};
pub use transaction::{Misuse, Transaction};
