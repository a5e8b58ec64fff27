//! The `Retry-After` header (RFC 9110 §10.2.3).

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};

/// How long to wait: the header's value is a number of seconds or an HTTP date. A date in the past is zero.
///
/// `None` for what is neither: the header is advice, and wrong advice is no reason to fail.
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 has is a long time all the same.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: &str) -> Option<Duration> {
        parse(value, "2026-01-02T03:04:05Z".parse().unwrap())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(at("120"), Some(Duration::from_secs(120)));
        assert_eq!(at(" 0 "), Some(Duration::ZERO));
        assert_eq!(at("Fri, 02 Jan 2026 03:05:05 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(at("Fri, 02 Jan 2026 03:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(at("99999999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn nonsense_is_no_advice() {
        assert_eq!(at("soon"), None);
        assert_eq!(at(""), None);
        assert_eq!(at("-5"), None);
    }
}
