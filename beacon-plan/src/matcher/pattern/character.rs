//! Single characters in a pattern: read from an escape, written so that they mean nothing else.

use super::Rewriter;

impl Rewriter<'_> {
    /// A single character written as an escape, the backslash and `c` being consumed.
    pub(super) fn escaped_char(&mut self, c: char) -> Result<char, String> {
        Ok(match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hexadecimal()?,
            '0' => self.octal(0),
            '1'..='7' => match self.rest.peek() {
                Some('0'..='7') => self.octal(c.to_digit(8).expect("matched as an octal digit")),
                _ => return Err(format!("RE2 has no back-references such as \\{c}; use a second matcher")),
            },
            c if c.is_ascii_punctuation() || c == ' ' => c,
            c => return Err(format!("RE2 has no escape `\\{c}`; write \\\\{c} for a backslash and `{c}`")),
        })
    }

    fn octal(&mut self, first: u32) -> char {
        let mut value = first;
        for _ in 0..2 {
            if let Some(digit) = self.rest.next_if(|c| ('0'..='7').contains(c)) {
                value = value * 8 + digit.to_digit(8).expect("matched as an octal digit");
            }
        }
        char::from_u32(value).expect("at most 0o777, which is a character")
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let bad = || "\\x needs two hexadecimal digits or a code point in braces, for example \\x{1F642}".to_owned();
        let digits: String = if self.rest.next_if_eq(&'{').is_some() {
            self.rest.by_ref().take_while(|c| *c != '}').collect()
        } else {
            self.rest.by_ref().take(2).collect::<String>()
        };
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or_else(bad)
    }
}

/// `c` as itself, wherever in a pattern.
pub(super) fn push_literal(out: &mut String, c: char) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        out.push_str(&format!("\\x{:02X}", u32::from(c)));
    } else {
        out.push(c);
    }
}
