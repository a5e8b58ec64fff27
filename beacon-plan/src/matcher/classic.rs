//! The classic form of matchers: `foo="bar"`, `{a=b, c!=d}`. Tolerant: values need no quotes, stray backslashes stay.
//!
//! Names are `[a-zA-Z_:][a-zA-Z0-9_:]*`. Source: the documentation of `ParseMatchers` in Alertmanager's `pkg/labels`.

use super::{Matcher, Op, PatternError};

/// A text is not in the classic form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassicError {
    /// No name, operator and value.
    #[error("bad matcher format: {0}")]
    Format(String),
    /// A quote inside a value.
    #[error("matcher value contains unescaped double quote: {0}")]
    Quote(String),
    /// The value is no regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Reads a list of matchers, with or without braces around it.
///
/// # Errors
/// At the first matcher that is not one.
pub fn parse(input: &str) -> Result<Vec<Matcher>, ClassicError> {
    let inner = input.strip_prefix('{').unwrap_or(input);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    split(inner).into_iter().map(parse_one).collect()
}

/// The parts between the commas that are not in quotes; an empty last part is none.
fn split(input: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in input.char_indices() {
        match c {
            ',' if !quoted => {
                parts.push(&input[start..at]);
                start = at + 1;
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            '\\' => {
                escaped = !escaped;
                continue;
            }
            _ => {}
        }
        // A comma in quotes does not end an escape, as in the original.
        if c != ',' {
            escaped = false;
        }
    }
    let last = &input[start..];
    if !last.trim().is_empty() {
        parts.push(last.trim());
    }
    parts
}

/// Go's `\s`.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

/// Reads one matcher.
///
/// # Errors
/// When it is not one.
pub fn parse_one(input: &str) -> Result<Matcher, ClassicError> {
    let format = || ClassicError::Format(input.to_owned());
    let text = input.trim_matches(is_space);
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).ok_or_else(format)?;
    let name = &text[..end];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format());
    }
    let rest = text[end..].trim_start_matches(is_space);
    let (op, raw) = [("=~", Op::Regex), ("=", Op::Equal), ("!=", Op::NotEqual), ("!~", Op::NotRegex)]
        .into_iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|raw| (op, raw)))
        .ok_or_else(format)?;
    Ok(Matcher::new(name, op, value(raw.trim_start_matches(is_space))?)?)
}

fn value(raw: &str) -> Result<String, ClassicError> {
    let stray = || ClassicError::Quote(raw.to_owned());
    let inner = raw.strip_prefix('"');
    let text = inner.unwrap_or(raw);
    let (mut value, mut open) = (String::with_capacity(text.len()), inner.is_some());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\', Some(next)) => {
                chars.next();
                match next {
                    'n' => value.push('\n'),
                    '"' | '\\' => value.push(next),
                    next => value.extend(['\\', next]),
                }
            }
            ('"', next) => {
                if !open || next.is_some() {
                    return Err(stray());
                }
                open = false;
            }
            (c, _) => value.push(c),
        }
    }
    if open { Err(stray()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> Vec<(String, String, String)> {
        let matchers = parse(input).unwrap_or_else(|e| panic!("{input}: {e}"));
        matchers.iter().map(|m| (m.name().into(), m.op().to_string(), m.value().into())).collect()
    }

    fn want(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
        list.iter().map(|(n, o, v)| ((*n).into(), (*o).into(), (*v).into())).collect()
    }

    #[test]
    fn classic_matchers_are_read() {
        for (input, matchers) in [
            ("", want(&[])),
            ("{}", want(&[])),
            ("foo=bar", want(&[("foo", "=", "bar")])),
            ("{foo=bar", want(&[("foo", "=", "bar")])),
            ("foo=bar}", want(&[("foo", "=", "bar")])),
            ("{foo=\"bar\", dings != \"bums\", }", want(&[("foo", "=", "bar"), ("dings", "!=", "bums")])),
            ("foo=bar,dings!=bums", want(&[("foo", "=", "bar"), ("dings", "!=", "bums")])),
            ("statuscode=~\"5..\"", want(&[("statuscode", "=~", "5..")])),
            ("tricky=~~~", want(&[("tricky", "=~", "~~")])),
            ("trickier==\\=\\=\\\"", want(&[("trickier", "=", "=\\=\\=\"")])),
            ("a=", want(&[("a", "=", "")])),
            ("a=\"\"", want(&[("a", "=", "")])),
            ("a = b c ", want(&[("a", "=", "b c")])),
            ("a:b=\"x,y\"", want(&[("a:b", "=", "x,y")])),
            ("a=\"{}\",b=x", want(&[("a", "=", "{}"), ("b", "=", "x")])),
            ("quote=\"She said: \\\"Hi, ladies!\\\"\"", want(&[("quote", "=", "She said: \"Hi, ladies!\"")])),
            ("a=\"b\\n\\t\\\\\"", want(&[("a", "=", "b\n\\t\\")])),
            ("a=b\\", want(&[("a", "=", "b\\")])),
        ] {
            assert_eq!(read(input), matchers, "{input}");
        }
    }

    #[test]
    fn what_is_not_classic_is_refused() {
        for input in [
            "foo",
            ",",
            "foo=bar,,",
            "1a=b",
            "=b",
            "größe=1",
            "\"foo\"=bar",
            "foo bar=x",
            "foo~x",
            "foo!x",
            "foo=\"bar",
            "foo=b\"ar",
            "foo=\"b\"ar\"",
            "foo=bar\"",
            "foo=~(",
        ] {
            assert!(parse(input).is_err(), "{input}: {:?}", parse(input));
        }
    }
}
