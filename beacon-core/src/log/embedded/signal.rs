//! Wakes one waiting session or reader, without polling and without losing a wake-up between check and wait.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A flag that one thread waits for and any thread raises.
#[derive(Debug, Default)]
pub(super) struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Wakes the waiter, now or when it waits next.
    pub(super) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits until raised, at most `timeout`, and lowers the flag. Whoever calls it looks again at what it waits for.
    pub(super) fn wait(&self, timeout: Duration) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut raised, _) =
            self.changed.wait_timeout_while(raised, timeout, |raised| !*raised).unwrap_or_else(PoisonError::into_inner);
        *raised = false;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_signal_raised_before_the_wait_is_not_lost() {
        let signal = Signal::default();
        signal.raise();
        let started = Instant::now();
        signal.wait(Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
