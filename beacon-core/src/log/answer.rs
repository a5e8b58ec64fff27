//! How a log answers an append: its caller's code runs in a thread of the log, and may panic.
//!
//! Invariant: what a caller does with its answer is its own matter
//! (`tests/log_contract/records.rs: an_answer_that_panics_holds_up_no_other`).

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Answers, whatever comes of it.
pub(super) fn answer<T>(done: impl FnOnce(T), result: T) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("the answer of an append panicked");
    }
}
