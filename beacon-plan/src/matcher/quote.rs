//! Go's quoted strings: matchers and group keys are written and read with them.
//!
//! Source: Go's `strconv.Quote` and `strconv.Unquote` for double-quoted strings.

use std::sync::OnceLock;

use regex::Regex;

/// Whether Go prints `c` as it is: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printed(c: char) -> bool {
    static HIDDEN: OnceLock<Regex> = OnceLock::new();
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let hidden = HIDDEN.get_or_init(|| Regex::new(r"^[\p{C}\p{Z}]").expect("the pattern is a constant that compiles"));
    !hidden.is_match(c.encode_utf8(&mut [0; 4]))
}

/// `text` in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            c if is_printed(c) => quoted.push(c),
            c if c < ' ' || c == '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// The text that a double-quoted Go string stands for. `None` if it is not one, or its bytes are not UTF-8.
pub fn unquote(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"').filter(|_| quoted.len() >= 2)?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\n' => return None,
            '\\' => unescape(&mut chars, &mut bytes)?,
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).ok()
}

fn unescape(chars: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let byte = match chars.next()? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        // Bytes, not characters: "\xc3\xbc" is ü.
        'x' => u8::try_from(number(chars, 0, 2, 16)?).ok()?,
        c @ '0'..='7' => u8::try_from(number(chars, c.to_digit(8)?, 2, 8)?).ok()?,
        c @ ('u' | 'U') => {
            let c = char::from_u32(number(chars, 0, if c == 'u' { 4 } else { 8 }, 16)?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

fn number(chars: &mut std::str::Chars<'_>, first: u32, digits: usize, radix: u32) -> Option<u32> {
    (0..digits).try_fold(first, |value, _| value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_go_s() {
        for (text, quoted) in [
            ("page", r#""page""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\t\n\x01\x7f", r#""\t\n\x01\x7f""#),
            ("ü🙂", r#""ü🙂""#),
            ("a\u{a0}b\u{200b}", r#""a\u00a0b\u200b""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ] {
            assert_eq!(quote(text), quoted);
            assert_eq!(unquote(quoted).as_deref(), Some(text));
        }
    }

    #[test]
    fn bytes_and_code_points_are_unquoted() {
        assert_eq!(unquote(r#""\xf0\x9f\x99\x82""#).as_deref(), Some("🙂"));
        assert_eq!(unquote(r#""\U0001f642\u00fc\101""#).as_deref(), Some("🙂üA"));
    }

    #[test]
    fn what_go_does_not_unquote_is_refused() {
        for bad in [
            r#"""#,
            r#""a"#,
            r#""a"b""#,
            r#""\w""#,
            r#""\xf0\x9f""#,
            "\"a\nb\"",
            r#""\400""#,
            r#""\ud800""#,
            r#""\u12""#,
            "a",
        ] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives_quoting(text in ".*") {
            proptest::prop_assert_eq!(unquote(&quote(&text)), Some(text));
        }
    }
}
