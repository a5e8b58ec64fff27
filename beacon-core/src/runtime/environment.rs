//! What the runtime asks of the world around it: the time, and to wait.
//!
//! Production runs on [`RealTime`]; a simulation hands in virtual time and decides by its seed what happens meanwhile.
//! Nothing else in the runtime may read a clock, sleep or start a thread. Work that has to leave the stream thread
//! belongs here too, as one more method, so that a simulation can schedule it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::ProcessingTime;

/// Time and waiting, as one stream thread sees them.
pub(crate) trait Environment: Send + Sync {
    /// Time since a moment of the environment's own choice. Never goes back.
    fn now(&self) -> Duration;

    /// The clock on the wall; may jump either way.
    fn wall_clock(&self) -> ProcessingTime;

    /// Returns about `duration` later. For waits in the middle of a call of the log only; all other waiting is handed
    /// out by [`super::thread::StreamThread::step`].
    fn wait(&self, duration: Duration);
}

/// The machine's clocks and the operating system's sleep.
pub(super) struct RealTime {
    started: Instant,
}

impl RealTime {
    pub(super) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Environment for RealTime {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_clock(&self) -> ProcessingTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ProcessingTime::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn wait(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
