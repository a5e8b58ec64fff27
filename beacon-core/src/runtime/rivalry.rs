//! Whether two live processes use one instance name: pure.
//!
//! Each of them fences the other whenever it joins, for ever, and neither gets anywhere. A process that was only frozen
//! is fenced once; so many fences in a short time have one cause, which a person has to remove.

use std::collections::VecDeque;
use std::time::Duration;

/// So many fences within [`WINDOW`] are a rival's work.
const FENCES: usize = 4;
const WINDOW: Duration = Duration::from_secs(60);
/// How often it is said.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long to wait before the next try, so that the other gets a little work done meanwhile.
const TRUCE: Duration = Duration::from_secs(1);

/// What a fence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fenced {
    /// Somebody took over; joining again will do.
    Once,
    /// Again and again: somebody else lives under the same name. Wait so long before joining.
    Again {
        /// Whether it is time to say so.
        say: bool,
        wait: Duration,
    },
}

/// The fences of one thread.
#[derive(Debug, Default)]
pub(super) struct Fences {
    at: VecDeque<Duration>,
    said_at: Option<Duration>,
}

impl Fences {
    /// Takes note of a fence; `now` on any clock that only goes forward.
    pub(super) fn note(&mut self, now: Duration) -> Fenced {
        self.at.push_back(now);
        while self.at.front().is_some_and(|at| now.saturating_sub(*at) > WINDOW) || self.at.len() > FENCES {
            self.at.pop_front();
        }
        if self.at.len() < FENCES {
            return Fenced::Once;
        }
        let say = self.said_at.is_none_or(|at| now.saturating_sub(at) >= SAY_EVERY);
        if say {
            self.said_at = Some(now);
        }
        Fenced::Again { say, wait: TRUCE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_now_and_then_is_nobodys_rival() {
        let mut fences = Fences::default();
        for minute in 0..20 {
            assert_eq!(fences.note(Duration::from_secs(30 * minute)), Fenced::Once);
        }
    }

    #[test]
    fn fences_in_a_row_are_a_rival_and_said_now_and_then() {
        let mut fences = Fences::default();
        let verdicts: Vec<_> = (0..25).map(|second| fences.note(Duration::from_secs(second))).collect();
        assert!(verdicts[..3].iter().all(|verdict| *verdict == Fenced::Once));
        assert!(verdicts[3..].iter().all(|verdict| matches!(verdict, Fenced::Again { .. })));
        let said = verdicts.iter().filter(|verdict| matches!(verdict, Fenced::Again { say: true, .. })).count();
        assert_eq!(said, 3, "at 3, 13 and 23 seconds");
    }
}
