//! When to commit: pure.

use std::time::Duration;

use super::AppConfig;

/// What a thread knows when it asks whether to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// How long something has been waiting for the commit; `None`: nothing is.
    pub(super) age: Option<Duration>,
    /// How long ago the last commit began; `None`: there was none.
    pub(super) since_commit: Option<Duration>,
    /// Pending state bytes.
    pub(super) bytes: usize,
    /// The last poll found nothing more to read.
    pub(super) idle: bool,
    /// How long positions have been behind the ends that were reached, with no record in between.
    pub(super) trailing: Option<Duration>,
}

/// Ends of partitions that hold no record (Kafka's transaction markers) are committed after this long without another
/// commit: late enough to cost nothing, early enough that nobody takes them for lag.
const TRAILING_AFTER: Duration = Duration::from_secs(1);

/// Why to commit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitReason {
    Interval,
    Bytes,
    InputIdle,
    Trailing,
}

pub(super) fn commit_due(pending: Pending, config: &AppConfig) -> Option<CommitReason> {
    let Some(age) = pending.age else {
        return pending.trailing.filter(|age| *age >= TRAILING_AFTER).map(|_| CommitReason::Trailing);
    };
    if pending.bytes >= config.commit_bytes {
        Some(CommitReason::Bytes)
    } else if until_interval(age, pending.since_commit, config).is_zero() {
        Some(CommitReason::Interval)
    } else if pending.idle && config.commit_when_idle {
        Some(CommitReason::InputIdle)
    } else {
        None
    }
}

/// How long until the interval asks for a commit of what has waited for `age`.
///
/// The interval counts from commit to commit: records that come while one is made have waited in the log already, and
/// would else wait for the whole interval and another commit. Half of it is always left, because the coordinator answers
/// a transaction that begins right after another by "try again later".
fn until_interval(age: Duration, since_commit: Option<Duration>, config: &AppConfig) -> Duration {
    let interval = config.commit_interval;
    let by_age = interval.saturating_sub(age);
    match since_commit {
        Some(since) => by_age.min(interval.saturating_sub(since).max((interval / 2).saturating_sub(age))),
        None => by_age,
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
    let commit = pending.age.map(|age| match config.commit_when_idle {
        true => Duration::ZERO,
        false => until_interval(age, pending.since_commit, config),
    });
    [Some(LONGEST), commit, next_timer].into_iter().flatten().min().unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(age_ms: Option<u64>, bytes: usize, idle: bool) -> Pending {
        Pending { age: age_ms.map(Duration::from_millis), since_commit: None, bytes, idle, trailing: None }
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
    fn positions_without_records_are_committed_in_a_quiet_moment() {
        let config = AppConfig::new(1);
        let trailing = |age_ms, trailing_ms| Pending {
            trailing: Some(Duration::from_millis(trailing_ms)),
            ..pending(age_ms, 0, false)
        };
        assert_eq!(commit_due(trailing(None, 999), &config), None);
        assert_eq!(commit_due(trailing(None, 1000), &config), Some(CommitReason::Trailing));
        assert_eq!(commit_due(trailing(Some(5), 5000), &config), None, "it goes with the commit that is coming");
    }

    #[test]
    fn the_interval_counts_from_commit_to_commit_and_leaves_half_of_it() {
        let config = AppConfig::new(1);
        let after = |age_ms, since_ms| Pending {
            since_commit: Some(Duration::from_millis(since_ms)),
            ..pending(Some(age_ms), 0, false)
        };
        assert_eq!(commit_due(after(69, 99), &config), None);
        assert_eq!(commit_due(after(70, 100), &config), Some(CommitReason::Interval));
        assert_eq!(commit_due(after(49, 500), &config), None, "the last one took long");
        assert_eq!(commit_due(after(50, 500), &config), Some(CommitReason::Interval));
        let patient = AppConfig { commit_when_idle: false, ..config };
        assert_eq!(poll_wait(after(10, 40), None, false, &patient), Duration::from_millis(60));
        assert_eq!(poll_wait(after(10, 90), None, false, &patient), Duration::from_millis(40));
        assert_eq!(poll_wait(pending(Some(10), 0, false), None, false, &patient), Duration::from_millis(90));
    }

    #[test]
    fn never_sleeps_past_a_timer() {
        let config = AppConfig::new(1);
        let wait = poll_wait(pending(None, 0, true), Some(Duration::from_millis(7)), false, &config);
        assert_eq!(wait, Duration::from_millis(7));
    }
}
