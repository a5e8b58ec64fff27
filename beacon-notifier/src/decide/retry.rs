//! When a failed delivery is tried again, and when it is given up.
//!
//! Delays double from [`FIRST_DELAY`] up to [`MAX_DELAY`], each spread by a quarter to both sides. The spread comes from a
//! hash of the notification's id and the attempt: the same failure is always decided in the same way, also when the
//! journal is replayed after a crash, while the notifications that failed together come back one by one.
//!
//! | attempt that failed | 1 | 2 | 3 | 4 | 5 | 6 | from 7 on |
//! |---|---|---|---|---|---|---|---|
//! | next one after (s, ±25 %) | 1 | 2 | 4 | 8 | 16 | 32 | 60 |

use std::{fmt, time::Duration};

/// Delay after the first failure, before spreading. Short, because most failures are a restart or a lost connection;
/// not shorter, because a receiver that is starting gains nothing from being asked ten times a second.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Longest delay of our own, before spreading. Alertmanager gives up after a group interval (5 min by default), so a
/// receiver that comes back should hear of it within the minute.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

/// Longest `Retry-After` that is obeyed. A receiver may ask for more than that, but a page that is an hour late is lost.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Attempts made even when the notification has expired meanwhile. A notifier that was down for an hour finds
/// notifications that are all expired: each still gets about 15 s of trying, time for a receiver that restarts with it.
pub const MIN_ATTEMPTS: u32 = 5;

/// What to do after a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Try again at this moment (milliseconds since the epoch).
    At(i64),
    /// Don't try again.
    GiveUp(GiveUpReason),
}

/// Why no further attempt is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUpReason {
    /// The next attempt would come after the notification's end, and the least number of attempts was made.
    Expired {
        /// Attempts made.
        attempts: u32,
        /// The notification's end, milliseconds since the epoch.
        expires_at_ms: i64,
        /// When the next attempt would have been due, milliseconds since the epoch.
        next_at_ms: i64,
    },
}

impl fmt::Display for GiveUpReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Expired { attempts, expires_at_ms, next_at_ms } = self;
        let late_ms = next_at_ms.saturating_sub(*expires_at_ms);
        write!(f, "given up after {attempts} attempts: the next would come {late_ms} ms after the notification expired")
    }
}

/// Decides what follows attempt number `attempt` (from 1), which failed at `now_ms` in a way that may pass.
///
/// `expires_at_ms` is the notification's end; 0 (not set) counts as past. `retry_after` is what the other side asked for:
/// it makes the delay longer, never shorter, and at most [`MAX_RETRY_AFTER`]. `seed` is the notification's id. Times are
/// milliseconds since the epoch.
pub fn next_attempt(
    attempt: u32,
    now_ms: i64,
    expires_at_ms: i64,
    retry_after: Option<Duration>,
    seed: &str,
) -> RetryDecision {
    let asked_ms = retry_after.map_or(0, |after| milliseconds(after.min(MAX_RETRY_AFTER)));
    let next_at_ms = now_ms.saturating_add(delay_ms(attempt, seed).max(asked_ms));
    if attempt >= MIN_ATTEMPTS && next_at_ms > expires_at_ms {
        return RetryDecision::GiveUp(GiveUpReason::Expired { attempts: attempt, expires_at_ms, next_at_ms });
    }
    RetryDecision::At(next_at_ms)
}

/// The delay after the failed attempt `attempt`, spread over 75 % to 125 % by `seed`.
fn delay_ms(attempt: u32, seed: &str) -> i64 {
    let doublings = attempt.saturating_sub(1).min(16);
    let whole = (milliseconds(FIRST_DELAY) << doublings).min(milliseconds(MAX_DELAY));
    let half = whole / 2;
    let share = i64::try_from(hash(seed, attempt) % 1_000).expect("a remainder below 1,000 fits");
    whole - half / 2 + half * share / 1_000
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// FNV-1a over the seed and the attempt, then the finalizer of SplitMix64: FNV alone barely moves the low bits when only
/// the last byte changes. Written out, because this must give the same number in every version.
fn hash(seed: &str, attempt: u32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed.bytes().chain(attempt.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_767_323_045_678;

    fn delay_of(decision: RetryDecision) -> i64 {
        match decision {
            RetryDecision::At(at) => at - NOW,
            RetryDecision::GiveUp(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn first_retry_comes_after_about_a_second() {
        let delay = delay_of(next_attempt(1, NOW, i64::MAX, None, "id"));
        assert!((750..=1_250).contains(&delay), "{delay}");
    }

    #[test]
    fn failures_of_one_moment_come_back_spread() {
        let delays: Vec<i64> =
            (0..1_000).map(|n| delay_of(next_attempt(1, NOW, i64::MAX, None, &format!("id-{n}")))).collect();
        // Each eighth of the half second gets its share: 125 expected.
        for eighth in 0..8 {
            let range = 750 + eighth * 500 / 8..750 + (eighth + 1) * 500 / 8;
            let count = delays.iter().filter(|delay| range.contains(*delay)).count();
            assert!((80..180).contains(&count), "{range:?}: {count}");
        }
    }

    #[test]
    fn receiver_down_for_twelve_seconds_hears_of_it_within_ten_more() {
        let mut now = 0;
        let attempts = (1..).map_while(|attempt| match next_attempt(attempt, now, 300_000, None, "id") {
            RetryDecision::At(at) => {
                now = at;
                Some(at)
            }
            RetryDecision::GiveUp(_) => None,
        });
        let first_after = attempts.into_iter().find(|at| *at >= 12_000).unwrap();
        assert!(first_after < 22_000, "{first_after}");
    }

    #[test]
    fn retry_after_is_obeyed_up_to_five_minutes() {
        let after = |seconds| delay_of(next_attempt(1, NOW, i64::MAX, Some(Duration::from_secs(seconds)), "id"));
        assert_eq!(after(30), 30_000);
        assert_eq!(after(86_400), 300_000);
        assert_eq!(after(0), delay_of(next_attempt(1, NOW, i64::MAX, None, "id")));
    }

    #[test]
    fn expired_notification_still_gets_its_least_attempts() {
        for attempt in 1..MIN_ATTEMPTS {
            assert!(matches!(next_attempt(attempt, NOW, NOW - 1, None, "id"), RetryDecision::At(_)), "{attempt}");
        }
        let RetryDecision::GiveUp(reason) = next_attempt(MIN_ATTEMPTS, NOW, NOW - 1, None, "id") else {
            panic!("expired and tried often enough")
        };
        assert!(reason.to_string().starts_with("given up after 5 attempts"), "{reason}");
    }

    #[test]
    fn live_notification_is_never_given_up() {
        assert!(matches!(next_attempt(u32::MAX, NOW, NOW + 100_000, None, "id"), RetryDecision::At(_)));
    }

    #[test]
    fn the_same_failure_is_always_decided_alike() {
        // Fixed numbers: a later version must decide a replayed journal in the same way.
        assert_eq!(next_attempt(1, NOW, i64::MAX, None, "3f1c9a52d07e4b88"), RetryDecision::At(NOW + 884));
        assert_eq!(next_attempt(2, NOW, i64::MAX, None, "3f1c9a52d07e4b88"), RetryDecision::At(NOW + 2333));
    }

    proptest! {
        #[test]
        fn delay_stays_in_its_bounds(attempt in any::<u32>(), seed in any::<String>(), asked in any::<Option<u64>>()) {
            let asked = asked.map(Duration::from_millis);
            let delay = delay_of(next_attempt(attempt, NOW, i64::MAX, asked, &seed));
            prop_assert!((750..=300_000).contains(&delay));
        }

        #[test]
        fn no_number_overflows(attempt in any::<u32>(), now in any::<i64>(), expires in any::<i64>()) {
            if let RetryDecision::GiveUp(reason) = next_attempt(attempt, now, expires, Some(Duration::MAX), "") {
                prop_assert!(!reason.to_string().is_empty());
            }
        }
    }
}
