//! Silences: when they hold, what they mute, and what happens when one is written over another.
//!
//! Pure decisions on `beacon_proto::v1::Silence`: every function takes the time, and whoever calls it writes the messages
//! that come out. Times are milliseconds since the epoch.
//!
//! A silence holds from its start (inclusive) to its end (exclusive). Alertmanager counts the end in; at the precision of
//! a millisecond that would leave a silence active for the moment after it was expired.

mod compiled;
mod update;
mod validate;

use beacon_proto::v1::Silence;

use crate::label::Labels;
use crate::matcher::{Matcher, WireError, all_match};

pub use compiled::CompiledSilences;
pub use update::{Expiry, SetError, Written, expire, set};
pub use validate::{SilenceError, validate};

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not begun.
    Pending,
    /// It mutes.
    Active,
    /// Over; kept for a while to be shown.
    Expired,
}

impl State {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

/// The state at `now_ms`. A silence that ends when it starts is never active.
pub fn state(silence: &Silence, now_ms: i64) -> State {
    if now_ms >= silence.ends_at_ms {
        State::Expired
    } else if now_ms < silence.starts_at_ms {
        State::Pending
    } else {
        State::Active
    }
}

/// A silence's matchers, compiled.
///
/// # Errors
/// When one of them cannot be used; a silence accepted by [`validate`] has none of these.
pub fn compile(silence: &Silence) -> Result<Vec<Matcher>, WireError> {
    silence.matchers.iter().map(Matcher::try_from).collect()
}

/// Whether compiled matchers of a silence fit these labels, whatever its state. Without matchers it fits nothing.
pub fn mutes(matchers: &[Matcher], labels: &Labels) -> bool {
    !matchers.is_empty() && all_match(matchers, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_holds_from_its_start_until_before_its_end() {
        let silence = Silence { starts_at_ms: 10, ends_at_ms: 20, ..Silence::default() };
        let states = [9, 10, 19, 20].map(|now| state(&silence, now));
        assert_eq!(states, [State::Pending, State::Active, State::Active, State::Expired]);
    }

    #[test]
    fn an_empty_silence_mutes_nothing() {
        assert!(!mutes(&[], &Labels::new()));
    }
}
