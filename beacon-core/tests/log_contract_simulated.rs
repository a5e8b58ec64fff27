//! The simulated log keeps the contract of all logs. Its claims wait for real, so they give it the real time.

#[path = "log_contract/mod.rs"]
mod log_contract;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beacon_core::log::simulated::{Call, Fate, SimulatedLog, Surroundings};

use log_contract::{Subject, unique_prefix};

/// The machine's clock, and no faults.
struct Calm {
    started: Instant,
    marker_delay: Duration,
}

impl Surroundings for Calm {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
    }

    fn fate(&self, _: Call<'_>) -> Fate {
        Fate::Done
    }

    fn wait(&self, deadline: Duration) -> bool {
        std::thread::sleep(Duration::from_millis(1).min(deadline.saturating_sub(self.now())));
        self.now() < deadline
    }

    fn batch_records(&self) -> usize {
        500
    }

    fn marker_delay(&self) -> Duration {
        self.marker_delay
    }
}

log_contract::claims!(|_| Subject {
    log: Arc::new(SimulatedLog::new(Arc::new(Calm { started: Instant::now(), marker_delay: Duration::ZERO }))),
    prefix: unique_prefix(),
    patience: Duration::from_secs(20),
    quiet: Duration::from_millis(150),
    session_timeout: Duration::from_secs(2),
    keep: Box::new(()),
});
