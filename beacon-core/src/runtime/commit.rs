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

/// The longest interval whose commits get a head start. Beside a longer one a commit's own time is little, and not worth
/// another request for each partition.
const LONGEST_WITH_HEAD_START: Duration = Duration::from_millis(50);

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

/// How long until a commit that is waited for gets its head start, if it gets one.
///
/// Late enough for the coordinator to be done with the last commit, as above, and for most of the partitions that are
/// going to be written to be known; early enough for a commit after half an interval to gain by it.
pub(super) fn until_head_start(pending: Pending, config: &AppConfig) -> Option<Duration> {
    let interval = config.commit_interval;
    let age = pending.age.filter(|_| interval <= LONGEST_WITH_HEAD_START)?;
    Some((interval * 2 / 5).saturating_sub(age))
}

/// How long a thread may wait for input: not past the commit, not past the next timer, and not so long that it is deaf
/// to a stop.
pub(super) fn poll_wait(
    pending: Pending,
    next_timer: Option<Duration>,
    head_start: Option<Duration>,
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
    [Some(LONGEST), commit, next_timer, head_start].into_iter().flatten().min().unwrap_or(LONGEST)
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
        assert_eq!(poll_wait(after(10, 40), None, None, false, &patient), Duration::from_millis(60));
        assert_eq!(poll_wait(after(10, 90), None, None, false, &patient), Duration::from_millis(40));
        assert_eq!(poll_wait(pending(Some(10), 0, false), None, None, false, &patient), Duration::from_millis(90));
    }

    #[test]
    fn a_head_start_is_given_where_a_commit_takes_long_beside_its_interval() {
        let after = |interval_ms, age_ms| {
            let config = AppConfig { commit_interval: Duration::from_millis(interval_ms), ..AppConfig::new(1) };
            until_head_start(pending(age_ms, 0, false), &config)
        };
        assert_eq!(after(50, None), None, "there is nothing to send");
        assert_eq!(after(50, Some(5)), Some(Duration::from_millis(15)));
        assert_eq!(after(50, Some(21)), Some(Duration::ZERO));
        assert_eq!(after(5, Some(0)), Some(Duration::from_millis(2)), "before a commit after half an interval");
        assert_eq!(after(100, Some(60)), None);
        let patient =
            AppConfig { commit_when_idle: false, commit_interval: Duration::from_millis(50), ..AppConfig::new(1) };
        let wait = poll_wait(pending(Some(5), 0, false), None, after(50, Some(5)), false, &patient);
        assert_eq!(wait, Duration::from_millis(15));
    }

    #[test]
    fn never_sleeps_past_a_timer() {
        let config = AppConfig::new(1);
        let wait = poll_wait(pending(None, 0, true), Some(Duration::from_millis(7)), None, false, &config);
        assert_eq!(wait, Duration::from_millis(7));
    }
}
