//! Asking again while the answer is one that passes: a partition whose leader was just chosen, a coordinator that loads.
//!
//! It decides nothing: what passes is said by the caller, and every other answer is final at once.

use std::time::{Duration, Instant};

/// How long to wait before the same question is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until an answer does not pass any more, or for `timeout`; then the last answer stands.
///
/// `question` gets the time that is left, at least a millisecond.
pub(super) fn ask_while<T, E>(
    timeout: Duration,
    passes: impl Fn(&E) -> bool,
    mut question: impl FnMut(Duration) -> Result<T, E>,
) -> Result<T, E> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match question(left) {
            Err(error) if passes(&error) && Instant::now() + PAUSE < deadline => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_passing_answer_is_asked_again_and_another_is_final() {
        let mut answers = vec![Err("final"), Err("passes"), Err("passes")];
        let answer = ask_while(LONG, |error| *error == "passes", |_| answers.pop().unwrap_or(Ok(())));
        assert_eq!(answer, Err("final"));
        assert!(answers.is_empty());
    }

    #[test]
    fn a_found_answer_ends_the_asking() {
        let mut asked = 0;
        let answer = ask_while(
            LONG,
            |()| true,
            |left| {
                asked += 1;
                assert!(left <= LONG);
                if asked < 3 { Err(()) } else { Ok(asked) }
            },
        );
        assert_eq!(answer, Ok(3));
    }

    #[test]
    fn the_last_answer_stands_when_the_time_is_over() {
        let mut asked = 0;
        let answer: Result<(), u32> = ask_while(
            Duration::from_millis(100),
            |_| true,
            |_| {
                asked += 1;
                Err(asked)
            },
        );
        assert_eq!(answer, Err(asked));
        assert!(asked > 1);
    }
}
