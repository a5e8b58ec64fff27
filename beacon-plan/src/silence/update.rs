//! What happens when a silence is set or expired: history is never rewritten.
//!
//! Source: the behaviour of `POST /api/v2/silences` and `DELETE /api/v2/silence/{id}` in Alertmanager.

use beacon_proto::v1::Silence;

use super::{SilenceError, State, state, validate};
use crate::label::NameRules;

/// What is to be written so that a silence is set.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// A new silence.
    Created(Silence),
    /// The same silence, changed only in what does not alter the past.
    Updated(Silence),
    /// The change would alter the past: the old silence ends now and a new one begins. Both are to be written, together.
    Replaced {
        /// The old one, ended.
        expired: Silence,
        /// The new one, with the new id.
        created: Silence,
    },
}

impl Written {
    /// The silence that holds from now on: its id is the answer to the user.
    pub fn current(&self) -> &Silence {
        match self {
            Self::Created(silence) | Self::Updated(silence) | Self::Replaced { created: silence, .. } => silence,
        }
    }
}

/// A silence cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// It names an id that does not exist.
    #[error("silence not found: {id}; leave the id out to create a new silence")]
    NotFound {
        /// The id.
        id: String,
    },
    /// It is refused.
    #[error(transparent)]
    Invalid(#[from] SilenceError),
}

/// Decides how `wanted` comes into being. `previous` is the stored silence with the id of `wanted`, if that has one;
/// `new_id` is used when a new silence has to be made. The times of update are set to `now_ms`; a new silence does not
/// begin in the past.
///
/// # Errors
/// When `wanted` is refused, or has an id and there is no such silence.
pub fn set(
    previous: Option<&Silence>,
    mut wanted: Silence,
    new_id: &str,
    rules: NameRules,
    now_ms: i64,
) -> Result<Written, SetError> {
    validate(&wanted, rules, now_ms)?;
    if !wanted.id.is_empty() && previous.is_none() {
        return Err(SetError::NotFound { id: wanted.id });
    }
    wanted.updated_at_ms = now_ms;
    if previous.is_some_and(|previous| keeps_history(previous, &wanted, now_ms)) {
        return Ok(Written::Updated(wanted));
    }
    wanted.id = new_id.to_owned();
    wanted.starts_at_ms = wanted.starts_at_ms.max(now_ms);
    Ok(match previous.map(|previous| expire(previous, now_ms)) {
        Some(Expiry::Write(expired)) => Written::Replaced { expired, created: wanted },
        Some(Expiry::AlreadyOver) | None => Written::Created(wanted),
    })
}

/// Whether writing `new` in place of `old` leaves untouched what was muted up to now.
fn keeps_history(old: &Silence, new: &Silence, now_ms: i64) -> bool {
    if old.matchers != new.matchers {
        return false;
    }
    match state(old, now_ms) {
        // Clients send the start back rounded, so seconds are compared.
        State::Active => {
            old.starts_at_ms.div_euclid(1000) == new.starts_at_ms.div_euclid(1000) && new.ends_at_ms >= now_ms
        }
        State::Pending => new.starts_at_ms >= now_ms,
        State::Expired => false,
    }
}

/// What is to be written so that a silence ends now.
#[derive(Clone, Debug, PartialEq)]
pub enum Expiry {
    /// This, in place of the old one.
    Write(Silence),
    /// Nothing: it has ended before.
    AlreadyOver,
}

/// Ends a silence at `now_ms`; one that has not begun never will.
pub fn expire(silence: &Silence, now_ms: i64) -> Expiry {
    let mut expired = silence.clone();
    match state(silence, now_ms) {
        State::Expired => return Expiry::AlreadyOver,
        State::Active => {}
        State::Pending => expired.starts_at_ms = now_ms,
    }
    expired.ends_at_ms = now_ms;
    expired.updated_at_ms = now_ms;
    Expiry::Write(expired)
}

#[cfg(test)]
mod tests {
    use beacon_proto::v1;

    use super::*;

    const NOW: i64 = 100_000;

    fn silence(id: &str, value: &str, starts_at_ms: i64, ends_at_ms: i64) -> Silence {
        let matcher = v1::Matcher { r#type: 0, name: "a".into(), pattern: value.into() };
        Silence { id: id.into(), matchers: vec![matcher], starts_at_ms, ends_at_ms, ..Silence::default() }
    }

    fn decide(previous: Option<&Silence>, wanted: Silence) -> Written {
        set(previous, wanted, "new", NameRules::Utf8, NOW).expect("valid")
    }

    #[test]
    fn a_new_silence_gets_the_id_and_does_not_begin_in_the_past() {
        let Written::Created(created) = decide(None, silence("", "x", 0, NOW + 1)) else { panic!("created") };
        assert_eq!((created.id.as_str(), created.starts_at_ms, created.updated_at_ms), ("new", NOW, NOW));
        let future = decide(None, silence("", "x", NOW + 5, NOW + 9));
        assert_eq!(future.current().starts_at_ms, NOW + 5);
    }

    #[test]
    fn an_unknown_id_is_not_found() {
        let error = set(None, silence("gone", "x", 0, NOW + 1), "new", NameRules::Utf8, NOW);
        assert_eq!(error, Err(SetError::NotFound { id: "gone".into() }));
    }

    #[test]
    fn what_leaves_the_past_alone_is_updated_in_place() {
        let active = silence("1", "x", 50_700, NOW + 1000);
        let pending = silence("1", "x", NOW + 1000, NOW + 2000);
        for (previous, wanted) in [
            (&active, silence("1", "x", 50_700, NOW + 9000)),
            (&active, silence("1", "x", 50_000, NOW)),
            (&pending, silence("1", "x", NOW, NOW + 2000)),
            (&pending, silence("1", "x", NOW + 5000, NOW + 6000)),
        ] {
            let Written::Updated(updated) = decide(Some(previous), wanted.clone()) else { panic!("{wanted:?}") };
            assert_eq!(updated, Silence { updated_at_ms: NOW, ..wanted });
        }
    }

    #[test]
    fn what_would_alter_the_past_is_replaced() {
        let active = silence("1", "x", 50_000, NOW + 1000);
        let pending = silence("1", "x", NOW + 1000, NOW + 2000);
        for (previous, wanted) in [
            (&active, silence("1", "y", 50_000, NOW + 1000)),
            (&active, silence("1", "x", 49_999, NOW + 1000)),
            (&active, silence("1", "x", NOW + 10_000, NOW + 20_000)),
            (&pending, silence("1", "x", NOW - 1, NOW + 2000)),
        ] {
            let Written::Replaced { expired, created } = decide(Some(previous), wanted.clone()) else {
                panic!("{wanted:?}")
            };
            assert_eq!((expired.id.as_str(), state(&expired, NOW)), ("1", State::Expired));
            assert_eq!((created.id.as_str(), created.starts_at_ms), ("new", wanted.starts_at_ms.max(NOW)));
        }
    }

    #[test]
    fn an_expired_silence_is_left_as_it_is_and_a_new_one_made() {
        let over = silence("1", "x", 0, NOW);
        assert!(matches!(decide(Some(&over), silence("1", "x", 0, NOW + 1)), Written::Created(new) if new.id == "new"));
        assert_eq!(expire(&over, NOW), Expiry::AlreadyOver);
    }

    #[test]
    fn an_expired_pending_silence_never_begins() {
        let Expiry::Write(expired) = expire(&silence("1", "x", NOW + 5, NOW + 9), NOW) else { panic!("write") };
        assert_eq!((expired.starts_at_ms, expired.ends_at_ms, expired.updated_at_ms), (NOW, NOW, NOW));
        assert_eq!(state(&expired, NOW), State::Expired);
    }
}
