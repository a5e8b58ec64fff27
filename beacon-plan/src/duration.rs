//! Durations as Prometheus writes them (`1h30m`, `500ms`), and as Go does where Alertmanager takes Go's form.
//!
//! Only non-negative durations exist here. The result is exact: sums that do not fit are an error, never wrapped.

use std::time::Duration;

/// Units of Prometheus in the only order in which they may stand, with their milliseconds. A day has 24 hours, a week 7
/// days, a year 365 days.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Go's units with their nanoseconds.
const GO_UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Longest duration: what a count of nanoseconds in 64 bits holds, as in Go (about 292 years).
const LONGEST_MS: u64 = (i64::MAX / 1_000_000) as u64;

/// A text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not in the form.
    #[error(
        "`{0}` is not a duration; write for example 30s, 5m or 1h30m (units y w d h m s ms, largest first, whole numbers)"
    )]
    Form(String),
    /// Not in Go's form.
    #[error("`{0}` is not a duration; write for example 10s, 1.5s or 1m30s (units h m s ms us ns)")]
    GoForm(String),
    /// In the form, but too long.
    #[error("`{0}` is longer than 292 years; write a shorter duration")]
    TooLong(String),
}

/// Reads Prometheus' form: `0`, or whole numbers with units, each unit at most once, largest first.
///
/// # Errors
/// When `text` is something else; the message shows the form.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let form = || DurationError::Form(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (mut rest, mut units, mut total) = (text, UNITS.as_slice(), 0u64);
    if rest.is_empty() {
        return Err(form());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_end = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |at| digits + at);
        let unit = &rest[digits..unit_end];
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(form)?;
        if digits == 0 {
            return Err(form());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| too_long())?;
        total = number.checked_mul(units[at].1).and_then(|ms| total.checked_add(ms)).ok_or_else(too_long)?;
        units = &units[at + 1..];
        rest = &rest[unit_end..];
    }
    if total > LONGEST_MS { Err(too_long()) } else { Ok(Duration::from_millis(total)) }
}

/// Reads Go's form (`time.ParseDuration`) for what cannot be negative: decimals allowed, units in any order.
///
/// # Errors
/// When `text` is something else, negative included; the message shows the form.
pub fn parse_go(text: &str) -> Result<Duration, DurationError> {
    let form = || DurationError::GoForm(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(form());
    }
    let mut total = 0u128;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit_end =
            rest[number_end..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| number_end + at);
        let scale = GO_UNITS.iter().find(|(name, _)| *name == &rest[number_end..unit_end]).ok_or_else(form)?.1;
        let (whole, fraction) = rest[..number_end].split_once('.').unwrap_or((&rest[..number_end], ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(form());
        }
        let number: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
        // Twelve digits are below a nanosecond for every unit; more change nothing.
        let kept = &fraction[..fraction.len().min(12)];
        let part: u128 = if kept.is_empty() { 0 } else { kept.parse().map_err(|_| form())? };
        let exponent = u32::try_from(kept.len()).map_err(|_| form())?;
        total += u128::from(number) * scale + part * scale / 10u128.pow(exponent);
        rest = &rest[unit_end..];
    }
    match u64::try_from(total) {
        Ok(nanos) if nanos <= i64::MAX as u64 => Ok(Duration::from_nanos(nanos)),
        _ => Err(too_long()),
    }
}

/// Prints Prometheus' form, down to milliseconds: what [`parse`] reads back.
pub fn print(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(LONGEST_MS);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, ms) in UNITS {
        if rest >= ms {
            text.push_str(&format!("{}{unit}", rest / ms));
            rest %= ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_form_is_read() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1m500ms", 60_500),
            ("2w", 2 * 7 * 86_400_000),
            ("1y1w1d1h1m1s1ms", 365 * 86_400_000 + 7 * 86_400_000 + 86_400_000 + 3_600_000 + 60_000 + 1_000 + 1),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for text in ["", "30", "1.5h", "-1s", "1m1h", "1m1m", "m", "5 m", "1h ", "1sec", "00"] {
            assert!(matches!(parse(text), Err(DurationError::Form(_))), "{text}: {:?}", parse(text));
        }
        for text in ["300y", "99999999999999999999s", "18446744073709551615ms"] {
            assert!(matches!(parse(text), Err(DurationError::TooLong(_))), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn go_form_is_read() {
        for (text, nanos) in [
            ("10s", 10_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0.25ms", 3_600_000_250_000),
            ("+3us", 3_000),
            ("3µs", 3_000),
            ("0", 0),
        ] {
            assert_eq!(parse_go(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "10", "-1s", "1.2.3s", "1d", ".s", "s"] {
            assert!(matches!(parse_go(text), Err(DurationError::GoForm(_))), "{text}: {:?}", parse_go(text));
        }
        assert!(matches!(parse_go("9999999h"), Err(DurationError::TooLong(_))));
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_back(ms in 0..LONGEST_MS) {
            let duration = Duration::from_millis(ms);
            proptest::prop_assert_eq!(parse(&print(duration)), Ok(duration));
        }
    }
}
