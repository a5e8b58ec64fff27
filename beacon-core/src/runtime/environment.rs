//! What the runtime asks of the world around it: the time, and to wait.
//!
//! Production runs on [`RealTime`]; a simulation hands in virtual time and decides by its seed what happens meanwhile.
//! Nothing else in the runtime may read a clock, sleep or start a thread. Work that has to leave the stream thread
//! belongs here too, as one more method, so that a simulation can schedule it.

#![expect(clippy::disallowed_methods, reason = "this is the edge that others are sent to")]

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

    /// Has work done beside the stream threads, step after step, until it says that it has ended. Its steps may block;
    /// nobody waits for them.
    ///
    /// # Errors
    /// When it cannot be started; it is dropped then.
    fn start(&self, name: String, work: Box<dyn Background>) -> std::io::Result<()>;
}

/// Work beside the stream threads, in steps that may block.
pub(crate) trait Background: Send {
    /// Does the next piece. How long to wait before the one after it; `None`: it has ended.
    fn step(&mut self, now: Duration) -> Option<Duration>;

    /// Whether nobody waits for it any more: its next step would only say that it has ended. Asked while it waits, so
    /// that it does not hold on to anything until its wait is over.
    fn is_given_up(&self) -> bool {
        false
    }
}

/// How often work that waits is asked whether it is given up.
const ASK_EVERY: Duration = Duration::from_millis(100);

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

    fn start(&self, name: String, mut work: Box<dyn Background>) -> std::io::Result<()> {
        let started = self.started;
        std::thread::Builder::new().name(name).spawn(move || {
            while let Some(wait) = work.step(started.elapsed()) {
                let until = started.elapsed() + wait;
                while started.elapsed() < until {
                    if work.is_given_up() {
                        return;
                    }
                    std::thread::sleep(ASK_EVERY.min(until.saturating_sub(started.elapsed())));
                }
            }
        })?;
        Ok(())
    }
}
