//! Waiting for a condition, never for luck.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it answers `Ok`; panics after `timeout` with `what` was awaited and the last
/// answer that was not.
///
/// The probe is asked at least once, and once more after the time is over, so a slow probe is not cut short.
#[track_caller]
pub fn wait_until<T, E: Display>(what: &str, timeout: Duration, probe: impl FnMut() -> Result<T, E>) -> T {
    try_until(what, timeout, probe).unwrap_or_else(|message| panic!("{message}"))
}

/// As [`wait_until`], with the message as an error.
///
/// # Errors
/// The condition did not come true in time; the text says what was awaited, how long, and what was seen last.
pub fn try_until<T, E: Display>(
    what: &str,
    timeout: Duration,
    mut probe: impl FnMut() -> Result<T, E>,
) -> Result<T, String> {
    let started = Instant::now();
    loop {
        let over = started.elapsed() >= timeout;
        match probe() {
            Ok(found) => return Ok(found),
            Err(seen) if over => {
                return Err(format!("waited {:.1} s for {what}; seen last: {seen}", started.elapsed().as_secs_f64()));
            }
            Err(_) => sleep(PAUSE),
        }
    }
}

/// Checks a claim that must hold for the whole of `duration`; panics at the first moment that it does not.
#[track_caller]
pub fn holds_for<E: Display>(what: &str, duration: Duration, mut probe: impl FnMut() -> Result<(), E>) {
    let started = Instant::now();
    loop {
        let over = started.elapsed() >= duration;
        if let Err(seen) = probe() {
            panic!("{what}: broken after {:.1} s: {seen}", started.elapsed().as_secs_f64());
        }
        if over {
            return;
        }
        sleep(PAUSE);
    }
}

/// `Ok` when `found` is `wanted`, else an error text with both: for probes that count.
///
/// # Errors
/// The two differ.
pub fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{found:?}, wanted {wanted:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_wait_says_what_was_awaited_and_what_was_seen() {
        let mut asked = 0;
        let failed = try_until("the third page", Duration::from_millis(50), || -> Result<(), String> {
            asked += 1;
            Err("two pages".to_owned())
        });
        let message = failed.expect_err("the condition never holds");
        assert!(message.contains("for the third page; seen last: two pages"), "{message}");
        assert!(asked >= 2, "asked only {asked} times");
    }

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut left = 3;
        let found = wait_until("zero", Duration::from_secs(5), || {
            left -= 1;
            same(left, 0).map(|()| "done")
        });
        assert_eq!(found, "done");
    }

    #[test]
    #[should_panic(expected = "no page: broken after")]
    fn a_claim_that_breaks_is_reported_at_once() {
        holds_for("no page", Duration::from_secs(60), || same(1, 0));
    }
}
