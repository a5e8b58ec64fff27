//! When to commit: pure.

use std::time::Duration;

use super::AppConfig;

/// What a thread knows when it asks whether to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// How long something has been waiting for the commit; `None`: nothing is.
    pub(super) age: Option<Duration>,
    /// Pending state bytes.
    pub(super) bytes: usize,
    /// The last poll found nothing more to read.
    pub(super) idle: bool,
}

/// Why to commit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitReason {
    Interval,
    Bytes,
    InputIdle,
}

pub(super) fn commit_due(pending: Pending, config: &AppConfig) -> Option<CommitReason> {
    let age = pending.age?;
    if pending.bytes >= config.commit_bytes {
        Some(CommitReason::Bytes)
    } else if age >= config.commit_interval {
        Some(CommitReason::Interval)
    } else if pending.idle && config.commit_when_idle {
        Some(CommitReason::InputIdle)
    } else {
        None
    }
}

/// How long a thread may wait for input: not past the commit, not past the next timer, and not so long that it is deaf
/// to a stop.
pub(super) fn poll_wait(
    pending: Pending,
    next_timer: Option<Duration>,
    restoring: bool,
    config: &AppConfig,
) -> Duration {
    const LONGEST: Duration = Duration::from_millis(200);
    if restoring {
        return Duration::ZERO;
    }
    let commit = pending
        .age
        .map(|age| if config.commit_when_idle { Duration::ZERO } else { config.commit_interval.saturating_sub(age) });
    [Some(LONGEST), commit, next_timer].into_iter().flatten().min().unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(age_ms: Option<u64>, bytes: usize, idle: bool) -> Pending {
        Pending { age: age_ms.map(Duration::from_millis), bytes, idle }
    }

    #[test]
    fn commits_for_the_first_reason_that_comes() {
        let config = AppConfig::new(1);
        assert_eq!(commit_due(pending(None, 99 << 20, true), &config), None);
        assert_eq!(commit_due(pending(Some(5), 0, false), &config), None);
        assert_eq!(commit_due(pending(Some(5), 0, true), &config), Some(CommitReason::InputIdle));
        assert_eq!(commit_due(pending(Some(100), 0, false), &config), Some(CommitReason::Interval));
        assert_eq!(commit_due(pending(Some(5), 16 << 20, false), &config), Some(CommitReason::Bytes));
    }

    #[test]
    fn never_sleeps_past_a_timer() {
        let config = AppConfig::new(1);
        let wait = poll_wait(pending(None, 0, true), Some(Duration::from_millis(7)), false, &config);
        assert_eq!(wait, Duration::from_millis(7));
    }
}
