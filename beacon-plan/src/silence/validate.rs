//! Whether a silence may exist at all: the judgement of Alertmanager's API, in its words.

use beacon_proto::v1::{Silence, matcher::Type};

use crate::label::NameRules;
use crate::matcher::{Matcher, WireError};

/// A silence is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It has no matchers.
    #[error("invalid silence: at least one matcher required")]
    NoMatchers,
    /// A label name is not allowed.
    #[error("invalid silence: invalid label matcher {index}: invalid label name {name:?}: {rule}")]
    Name {
        /// Which matcher, from 0.
        index: usize,
        /// The name.
        name: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// A matcher cannot be used.
    #[error("invalid silence: invalid label matcher {index}: {source}")]
    Matcher {
        /// Which matcher, from 0.
        index: usize,
        /// Why.
        source: WireError,
    },
    /// It would mute everything.
    #[error("invalid silence: at least one matcher must not match the empty string; name what is to be silenced")]
    MatchesEverything,
    /// It ends before it starts, or at once.
    #[error("invalid silence: start time must be before end time")]
    EndsBeforeStart,
    /// It is over already.
    #[error("invalid silence: end time can't be in the past")]
    EndsInThePast,
}

/// Judges a silence that a user wants to set at `now_ms`.
///
/// # Errors
/// The first thing wrong with it; the message is meant for the user.
pub fn validate(silence: &Silence, rules: NameRules, now_ms: i64) -> Result<(), SilenceError> {
    if silence.matchers.is_empty() {
        return Err(SilenceError::NoMatchers);
    }
    let mut everything = true;
    for (index, matcher) in silence.matchers.iter().enumerate() {
        if !rules.allow(&matcher.name) {
            return Err(SilenceError::Name { index, name: matcher.name.clone(), rule: rules.describe() });
        }
        let compiled = Matcher::try_from(matcher).map_err(|source| SilenceError::Matcher { index, source })?;
        // A negative matcher that fits the empty text excludes something, so it counts as a choice.
        everything &= matches!(matcher.r#type(), Type::Equal | Type::Regexp) && compiled.matches_value("");
    }
    if everything {
        return Err(SilenceError::MatchesEverything);
    }
    if silence.ends_at_ms <= silence.starts_at_ms {
        return Err(SilenceError::EndsBeforeStart);
    }
    if silence.ends_at_ms < now_ms {
        return Err(SilenceError::EndsInThePast);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::Op;

    fn silence(matchers: &[(&str, Op, &str)], starts_at_ms: i64, ends_at_ms: i64) -> Silence {
        let wire = |(name, op, value): &(&str, Op, &str)| {
            let op = match op {
                Op::Equal => Type::Equal,
                Op::NotEqual => Type::NotEqual,
                Op::Regex => Type::Regexp,
                Op::NotRegex => Type::NotRegexp,
            };
            beacon_proto::v1::Matcher { r#type: op.into(), name: (*name).into(), pattern: (*value).into() }
        };
        Silence { matchers: matchers.iter().map(wire).collect(), starts_at_ms, ends_at_ms, ..Silence::default() }
    }

    #[test]
    fn silences_are_judged_as_by_alertmanager() {
        let good = [("a", Op::Equal, "b")];
        for (case, verdict) in [
            (silence(&good, 0, 10), Ok(())),
            (silence(&good, -100, 5), Ok(())),
            (silence(&[("a", Op::Equal, ""), ("b", Op::Equal, "c")], 0, 10), Ok(())),
            (silence(&[("a", Op::NotEqual, "x")], 0, 10), Ok(())),
            (silence(&[("größe", Op::Regex, ".+")], 0, 10), Ok(())),
            (silence(&[], 0, 10), Err("at least one matcher required")),
            (silence(&[("a", Op::Equal, ""), ("b", Op::Regex, ".*")], 0, 10), Err("must not match the empty string")),
            (
                silence(&[("a", Op::Equal, "b"), ("", Op::Equal, "b")], 0, 10),
                Err("invalid label matcher 1: invalid label name \"\""),
            ),
            (silence(&[("a", Op::Regex, "(")], 0, 10), Err("invalid label matcher 0: `(` is not a regular expression")),
            (silence(&good, 10, 10), Err("start time must be before end time")),
            (silence(&good, 11, 10), Err("start time must be before end time")),
            (silence(&good, 0, 4), Err("end time can't be in the past")),
        ] {
            match (validate(&case, NameRules::Utf8, 5), verdict) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, want) => panic!("{case:?}: {got:?}, expected {want:?}"),
            }
        }
        assert!(validate(&silence(&[("größe", Op::Equal, "x")], 0, 10), NameRules::Classic, 0).is_err());
    }
}
