//! What plain scalars mean in go-yaml v2 (YAML 1.1), where a boolean, a number or nothing is wanted.

/// Whether a plain scalar is null.
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The boolean that a plain scalar is.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// The whole number from 0 that a plain scalar is: decimal, `0x`, `0o` or `0` octal, `0b`, with `_` between digits.
pub fn unsigned(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text).replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    // A sign after the prefix is no number.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_go_s() {
        for (text, number) in [("0", 0), ("10", 10), ("1_000", 1000), ("0x1F", 31), ("010", 8), ("0b11", 3), ("+7", 7)]
        {
            assert_eq!(unsigned(text), Some(number), "{text}");
        }
        for text in ["", "-1", "1.5", "0x", "08", "ten", "0x-1", "18446744073709551616"] {
            assert_eq!(unsigned(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        assert_eq!(
            (boolean("on"), boolean("No"), boolean("1"), boolean("tRUE")),
            (Some(true), Some(false), None, None)
        );
    }
}
