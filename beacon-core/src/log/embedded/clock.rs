//! The only place where the embedded log reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the log was opened, and the time of day.
#[derive(Debug)]
pub(super) struct Clock {
    opened: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { opened: Instant::now() }
    }

    /// Monotonic time for the group model.
    pub(super) fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Milliseconds since the epoch, for records that come without a timestamp and for retention.
    pub(super) fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
