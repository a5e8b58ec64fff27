//! Times as Alertmanager's API reads and writes them: RFC 3339 text outside, milliseconds since the epoch inside.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

/// Go's zero time, 0001-01-01T00:00:00Z, which Go clients send for "not set" with any number of digits.
pub const GO_ZERO_MS: i64 = -62_135_596_800_000;

/// Reads a time of the API, milliseconds since the epoch. The empty string is the epoch, as go-openapi reads it; a time
/// without zone is UTC. Digits below the millisecond are dropped.
///
/// # Errors
/// The text is not a time; the message quotes it.
pub fn parse(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let parsed = text.parse::<Timestamp>().or_else(|error| {
        let without_zone = text.parse::<DateTime>().map_err(|_| error)?;
        Ok::<_, jiff::Error>(without_zone.to_zoned(TimeZone::UTC)?.timestamp())
    });
    match parsed {
        Ok(timestamp) => Ok(floor_ms(timestamp)),
        Err(error) => Err(format!("parsing time {text:?} as RFC 3339: {error}")),
    }
}

/// jiff truncates towards zero, which before 1970 is the later millisecond.
fn floor_ms(timestamp: Timestamp) -> i64 {
    let ms = timestamp.as_millisecond();
    if timestamp.subsec_nanosecond() % 1_000_000 < 0 { ms - 1 } else { ms }
}

/// Milliseconds since the epoch, printed as go-openapi prints a time: `2026-01-31T09:05:00.250Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiTime(pub i64);

impl fmt::Display for ApiTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Outside of the years a calendar knows, the nearest it knows: such a time can come from the log only.
        let timestamp =
            Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        write!(f, "{timestamp:.3}")
    }
}

impl Serialize for ApiTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The wall clock, milliseconds since the epoch. Handlers read it once per request and hand it on.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_openapi_reads_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", 1000),
            ("1970-01-01T02:00:00.123456789+02:00", 123),
            ("1970-01-01T00:00:02", 2000),
            ("1969-12-31T23:59:59.9995Z", -1),
            ("", 0),
            ("0001-01-01T00:00:00Z", GO_ZERO_MS),
            ("0001-01-01T00:00:00.000Z", GO_ZERO_MS),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert!(parse("foo").expect_err("no time").starts_with("parsing time \"foo\" as RFC 3339: "));
        assert!(parse("99999999-01-01T00:00:00Z").is_err());
    }

    #[test]
    fn times_are_written_with_milliseconds_and_whatever_number_comes() {
        assert_eq!(ApiTime(1_000_250).to_string(), "1970-01-01T00:16:40.250Z");
        assert_eq!(ApiTime(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert!(ApiTime(i64::MAX).to_string().starts_with("9999-12-3"));
        assert!(ApiTime(i64::MIN).to_string().starts_with("-009999-01-0"));
    }
}
