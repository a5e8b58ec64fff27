//! Times as people and Alertmanager's clients read them.

use jiff::Timestamp;

/// What Go prints for a time that is not set: Alertmanager's `endsAt` of a firing alert.
pub const UNSET: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 in UTC, with as many digits below the second as it takes (Go's `RFC3339Nano`).
///
/// `ms` are milliseconds since the epoch. What lies outside of the years -9999 to 9999 becomes the nearest moment inside.
pub fn rfc3339(ms: i64) -> String {
    timestamp(ms).to_string()
}

/// The same moment as a [`Timestamp`], clamped as [`rfc3339`] does.
pub fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_as_short_as_go_prints_them() {
        assert_eq!(rfc3339(1_767_323_045_678), "2026-01-02T03:04:05.678Z");
        assert_eq!(rfc3339(1_767_324_000_500), "2026-01-02T03:20:00.5Z");
        assert_eq!(rfc3339(1_767_323_100_000), "2026-01-02T03:05:00Z");
    }

    #[test]
    fn no_number_is_too_large_to_print() {
        assert!(rfc3339(i64::MAX).starts_with("9999-"));
        assert!(rfc3339(i64::MIN).starts_with("-00"));
    }
}
