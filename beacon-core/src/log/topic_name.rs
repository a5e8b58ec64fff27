//! What a topic may be called: Kafka's rule (`org.apache.kafka.common.internals.Topic`), on every log, so that a job that runs on
//! one runs on all.
//!
//! What it deliberately does not know: names that Kafka takes one by one and not together, which differ in `.` and `_` only.

use super::{LogError, LogErrorKind};

/// The most characters that a topic's name has.
pub(crate) const LONGEST: usize = 249;

/// Refuses what cannot be the name of a topic: it has 1 to 249 of the characters `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and is
/// neither `.` nor `..`.
///
/// # Errors
/// [`LogErrorKind::Configuration`], with the name and the rule.
pub fn check_topic_name(name: &str) -> Result<(), LogError> {
    if is_legal(name, LONGEST) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be a topic's name, which {}", allowed(LONGEST));
    Err(LogError::new(LogErrorKind::Configuration, message))
}

/// Whether a name of `most` characters at most can be a topic's.
pub(crate) fn is_legal(name: &str, most: usize) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=most).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

/// The rule in words, to be put behind "which".
pub(crate) fn allowed(most: usize) -> String {
    format!("has 1 to {most} of the characters a-z, A-Z, 0-9, '.', '_' and '-', and is neither \".\" nor \"..\"")
}

/// What to say of a topic that is not there: that nobody can create it, or `otherwise`.
pub(crate) fn missing(name: &str, otherwise: impl FnOnce() -> String) -> LogError {
    check_topic_name(name).err().unwrap_or_else(|| LogError::new(LogErrorKind::UnknownTopic, otherwise()))
}
