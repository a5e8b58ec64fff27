//! What a failed SMTP conversation means for a mail.

use crate::{attempt::Attempt, render::plain};

/// Bytes of a server's reply that go into a detail.
pub const EXCERPT_BYTES: usize = 256;

/// How a conversation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server refused for now: a 4yz reply (RFC 5321 §4.2.1).
    Refused4(u16),
    /// The server refused for good: a 5yz reply.
    Refused5(u16),
    /// No connection, a broken one, no or an unreadable reply, or no TLS where it was offered: may be another in a minute.
    Connection,
    /// What the server offers and what the plan asks for don't fit: STARTTLS, a way to log in, SMTPUTF8.
    Mismatch,
}

impl Failure {
    /// Whether it makes a mail a dead letter, by [`judge`]: the same mail would always be answered so.
    pub fn is_final(self) -> bool {
        matches!(judge(self, "", ""), Attempt::Dead { .. })
    }
}

/// The detail of a mail that was taken, with what the server said to it: often the id under which it is queued.
pub fn accepted(said: &str) -> String {
    format!("SMTP {}", excerpt(said))
}

/// Judges a failure at `step` (a verb phrase: `logging in`); `said` is the reply or the error, free of secrets.
pub fn judge(failure: Failure, step: &str, said: &str) -> Attempt {
    let said = excerpt(said);
    match failure {
        Failure::Refused4(code) => Attempt::Retry { detail: format!("{step}: SMTP {code}: {said}"), after: None },
        // RFC 4954 §6: a login is asked for, too weak, wrong, or only for encrypted connections. A reload mends it (decision 0047).
        Failure::Refused5(code @ (530 | 534 | 535 | 538)) => Attempt::Retry {
            detail: format!("{step}: SMTP {code}, check the receiver's auth settings: {said}"),
            after: None,
        },
        Failure::Refused5(code) => Attempt::Dead { detail: format!("{step}: SMTP {code}: {said}") },
        Failure::Connection => Attempt::Retry { detail: format!("{step}: {said}"), after: None },
        Failure::Mismatch => Attempt::Dead { detail: format!("{step}: {said}") },
    }
}

fn excerpt(said: &str) -> String {
    plain::shorten(plain::one_line(said).trim(), EXCERPT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_replies_and_connections_are_tried_again() {
        assert!(matches!(judge(Failure::Refused4(451), "sending", "later"), Attempt::Retry { .. }));
        assert!(matches!(judge(Failure::Connection, "connecting", "refused"), Attempt::Retry { .. }));
        assert!(matches!(judge(Failure::Refused5(535), "logging in", "wrong password"), Attempt::Retry { .. }));
    }

    #[test]
    fn permanent_replies_are_dead_and_quoted() {
        let attempt = judge(Failure::Refused5(550), "sending", "no such\r\nuser");
        assert_eq!(attempt, Attempt::Dead { detail: "sending: SMTP 550: no such  user".to_owned() });
        assert!(matches!(judge(Failure::Mismatch, "securing", "no STARTTLS"), Attempt::Dead { .. }));
    }
}
