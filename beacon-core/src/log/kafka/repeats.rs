//! Which messages of a client are said again: an outage is told many times a second, and fills a log with one line.

use std::time::{Duration, Instant};

/// How long the same message is not said again.
const SILENCE: Duration = Duration::from_secs(30);

/// How many messages are known at a time.
const MOST: usize = 32;

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    said: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    text: String,
    at: Instant,
    left_out: u64,
}

impl Repeats {
    /// Whether to say this now, and how many times it was not said since the last time. `None`: not now.
    pub(super) fn note(&mut self, text: &str, now: Instant) -> Option<u64> {
        let is_fresh = |said: &Said| now.saturating_duration_since(said.at) < SILENCE;
        if let Some(said) = self.said.iter_mut().find(|said| said.text == text) {
            if is_fresh(said) {
                said.left_out += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.left_out));
        }
        if self.said.len() == MOST {
            self.said.retain(is_fresh);
        }
        if self.said.len() == MOST {
            self.said.remove(0);
        }
        self.said.push(Said { text: text.to_owned(), at: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_said_at_once_and_then_twice_a_minute() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        let said: Vec<_> =
            (0..3100).filter_map(|tenth| repeats.note("down", start + Duration::from_millis(20 * tenth))).collect();
        assert_eq!(said, [0, 1499, 1499]);
    }

    #[test]
    fn messages_in_turn_are_each_said_once() {
        let now = Instant::now();
        let mut repeats = Repeats::default();
        let mut said = 0;
        for _ in 0..100 {
            said +=
                usize::from(repeats.note("down", now).is_some()) + usize::from(repeats.note("refused", now).is_some());
        }
        assert_eq!(said, 2);
    }

    #[test]
    fn however_many_there_are_few_are_remembered() {
        let now = Instant::now();
        let mut repeats = Repeats::default();
        for number in 0..1000 {
            assert_eq!(repeats.note(&format!("message {number}"), now), Some(0));
        }
        assert_eq!(repeats.said.len(), MOST);
    }
}
