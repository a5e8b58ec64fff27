//! Conditions on labels: `severity="page"`, `team=~"db|cache"`.
//!
//! A [`Matcher`] is compiled once and then matches without allocating. It knows one label only; an absent label matches
//! like an empty one. Parsing is in [`syntax`], which decides between the classic and the UTF-8 form.
//!
//! Invariant: a matcher with a regular expression always holds its compiled form.
//!
//! Source: Alertmanager's documentation of matchers, <https://prometheus.io/docs/alerting/latest/configuration/#matcher>.

use std::fmt;

use beacon_proto::v1;
use regex::Regex;

use crate::label::Labels;

pub mod classic;
pub mod pattern;
pub mod quote;
pub mod syntax;
pub mod utf8;

pub use pattern::PatternError;
pub use syntax::{Note, ParseError, parse, parse_one};

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored.
    Regex,
    /// `!~`, anchored.
    NotRegex,
}

impl Op {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    /// The operator of the API's two flags.
    pub fn from_flags(is_equal: bool, is_regex: bool) -> Self {
        match (is_equal, is_regex) {
            (true, false) => Self::Equal,
            (false, false) => Self::NotEqual,
            (true, true) => Self::Regex,
            (false, true) => Self::NotRegex,
        }
    }

    /// `=` or `=~`: the API's `isEqual`.
    pub fn is_equal(self) -> bool {
        matches!(self, Self::Equal | Self::Regex)
    }

    /// `=~` or `!~`: the API's `isRegex`.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::NotRegex)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One compiled condition. Equal and ordered by name, then value, then operator, as Alertmanager sorts them.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: Op,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Compiles a matcher. Names are not judged here.
    ///
    /// # Errors
    /// When `op` takes a regular expression and `value` is none.
    pub fn new(name: impl Into<String>, op: Op, value: impl Into<String>) -> Result<Self, PatternError> {
        let value = value.into();
        let regex = if op.is_regex() { Some(pattern::compile(&value)?) } else { None };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The value or the pattern, as written, without anchors.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value matches; pass the empty text for an absent label.
    pub fn matches_value(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        found == self.op.is_equal()
    }

    /// Whether this label set matches.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).map_or("", String::as_str))
    }

    fn sort_key(&self) -> (&str, &str, Op) {
        (&self.name, &self.value, self.op)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.sort_key() == other.sort_key()
    }
}

impl Eq for Matcher {}

impl PartialOrd for Matcher {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Matcher {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As Alertmanager prints it, and as the parser reads it back: the name is quoted only where the classic form could not
/// have it, because classic clients do not understand quoted names.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() || self.name.contains(utf8::is_reserved) {
            return write!(f, "{}{}{}", quote::quote(&self.name), self.op, quote::quote(&self.value));
        }
        write!(f, "{}{}\"", self.name, self.op)?;
        for c in self.value.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' => f.write_str("\\\"")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Whether every matcher matches. No matcher at all matches everything.
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// Prints matchers as one list: `{a="b",c!="d"}`, in the order given.
pub struct Printed<'a>(pub &'a [Matcher]);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, matcher) in self.0.iter().enumerate() {
            write!(f, "{}{matcher}", if at > 0 { "," } else { "" })?;
        }
        f.write_str("}")
    }
}

impl From<&Matcher> for v1::Matcher {
    fn from(matcher: &Matcher) -> Self {
        let kind = match matcher.op {
            Op::Equal => v1::matcher::Type::Equal,
            Op::NotEqual => v1::matcher::Type::NotEqual,
            Op::Regex => v1::matcher::Type::Regexp,
            Op::NotRegex => v1::matcher::Type::NotRegexp,
        };
        Self { r#type: kind.into(), name: matcher.name.clone(), pattern: matcher.value.clone() }
    }
}

/// A matcher in a message cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Written by a newer version, or damaged.
    #[error("the matcher on label `{name}` has the unknown type {number}; a newer Beacon may have written it")]
    UnknownType {
        /// The label's name.
        name: String,
        /// What the message says.
        number: i32,
    },
    /// Not a regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl TryFrom<&v1::Matcher> for Matcher {
    type Error = WireError;

    fn try_from(matcher: &v1::Matcher) -> Result<Self, WireError> {
        let op = match v1::matcher::Type::try_from(matcher.r#type) {
            Ok(v1::matcher::Type::Equal) => Op::Equal,
            Ok(v1::matcher::Type::NotEqual) => Op::NotEqual,
            Ok(v1::matcher::Type::Regexp) => Op::Regex,
            Ok(v1::matcher::Type::NotRegexp) => Op::NotRegex,
            Err(_) => {
                return Err(WireError::UnknownType { name: matcher.name.clone(), number: matcher.r#type });
            }
        };
        Ok(Self::new(&matcher.name, op, &matcher.pattern)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn an_absent_label_matches_like_an_empty_one() {
        for (op, value, absent, set) in [
            (Op::Equal, "", true, false),
            (Op::NotEqual, "", false, true),
            (Op::NotEqual, "a", true, false),
            (Op::Regex, "a?", true, true),
            (Op::Regex, "a+", false, true),
            (Op::NotRegex, ".+", true, false),
        ] {
            let matcher = Matcher::new("x", op, value).expect("valid");
            assert_eq!(matcher.matches(&Labels::new()), absent, "{matcher} on nothing");
            assert_eq!(matcher.matches(&labels(&[("x", "a")])), set, "{matcher} on a");
        }
    }

    #[test]
    fn printing_is_alertmanager_s() {
        for (name, value, printed) in [
            ("foo", "b\"a\\r\n", "foo=\"b\\\"a\\\\r\\n\""),
            ("foo bar", "b\ta", "\"foo bar\"=\"b\\ta\""),
            ("größe", "1\t", "größe=\"1\t\""),
            ("", "a", "\"\"=\"a\""),
        ] {
            assert_eq!(Matcher::new(name, Op::Equal, value).expect("valid").to_string(), printed);
        }
    }

    #[test]
    fn a_matcher_crosses_the_wire_and_back() {
        for op in [Op::Equal, Op::NotEqual, Op::Regex, Op::NotRegex] {
            let matcher = Matcher::new("a", op, "b.*").expect("valid");
            assert_eq!(Matcher::try_from(&v1::Matcher::from(&matcher)), Ok(matcher));
            assert_eq!(Op::from_flags(op.is_equal(), op.is_regex()), op);
        }
        let odd = v1::Matcher { r#type: 9, name: "a".into(), pattern: "b".into() };
        assert!(matches!(Matcher::try_from(&odd), Err(WireError::UnknownType { number: 9, .. })));
    }
}
