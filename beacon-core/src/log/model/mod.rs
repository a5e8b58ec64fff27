//! The rules of a log without its storage: who owns what, which commit is refused, what a reader sees next.
//!
//! The embedded log, and every other log that is made here rather than reached over a network, asks these types what
//! shall happen and then does it. Nothing here does I/O, reads a clock or starts a thread: time comes in as a
//! [`Duration`](std::time::Duration) since a moment the caller chose. What it deliberately does not know: records. It
//! counts offsets and leaves the bytes to the storage.
//!
//! Invariants, checked by the tests beside each file:
//!
//! * a partition has at most one owner in a group at any time, and becomes somebody else's only after its owner polled
//!   again, left, was fenced, or stayed silent for its session time-out while others waited;
//! * no commit is let through for a session that was fenced, or for a partition that is not its own;
//! * a session in the middle of a commit is neither fenced nor expelled before that commit has ended.

mod assignment;
mod coordinator;
mod cursor;
mod group;
mod member;
mod range;
mod transaction;

#[cfg(test)]
mod coordinator_tests;

pub use assignment::{Subscriber, range_assignment};
pub use coordinator::{Coordinator, Join, Joining, MemberId, News, Turn};
pub use cursor::{Cursor, Step};
pub use member::{Fencing, Refusal};
pub use range::{FirstRead, Trim, first_read, reserve, trim};
pub use transaction::{Misuse, Transaction};
