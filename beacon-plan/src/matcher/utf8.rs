//! The UTF-8 form of matchers: any text may be a name, quoted or not; what is not understood is refused.
//!
//! Unquoted names and values are all characters but white space and `{}!=~,\"'` and the backquote. Quoted ones are
//! double-quoted Go strings. Source: <https://prometheus.io/docs/alerting/latest/configuration/#utf-8-matchers>.

use super::{Matcher, Op, PatternError, quote};

/// A text is not in the UTF-8 form. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Utf8Error {
    /// Something else was expected here.
    #[error("at character {column}: expected {expected}, found {found}")]
    Unexpected {
        /// Where.
        column: usize,
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A quoted text is not a Go string.
    #[error(
        "at character {column}: {text} is not a double-quoted string; write \\\\ for a backslash and \\\" for a quote"
    )]
    Quoted {
        /// Where.
        column: usize,
        /// With its quotes.
        text: String,
    },
    /// The value is no regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Whether `c` cannot stand in an unquoted name or value.
pub fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Op(Op),
    /// A name or a value, quotes removed.
    Text(String),
    /// A character that begins nothing.
    Stray(char),
    End,
}

/// Reads a list of matchers, with or without (balanced) braces around it.
///
/// # Errors
/// At the first place that is not understood.
pub fn parse(input: &str) -> Result<Vec<Matcher>, Utf8Error> {
    let mut tokens = Tokens { rest: input, column: 1, peeked: None };
    let mut matchers = Vec::new();
    let braced = tokens.accept(&Token::Open)?;
    let end = if braced { Token::Close } else { Token::End };
    while tokens.peek()? != &end {
        matchers.push(tokens.matcher(if braced { "a label name or `}`" } else { "a label name" })?);
        if tokens.peek()? != &end && !tokens.accept(&Token::Comma)? {
            return Err(tokens.unexpected(if braced { "a comma or `}`" } else { "a comma or the end" }));
        }
    }
    tokens.accept(&Token::Close)?;
    if tokens.peek()? == &Token::End { Ok(matchers) } else { Err(tokens.unexpected("the end")) }
}

struct Tokens<'i> {
    rest: &'i str,
    /// Of the next character.
    column: usize,
    /// The next token with its column and text.
    peeked: Option<(Token, usize, &'i str)>,
}

impl<'i> Tokens<'i> {
    fn matcher(&mut self, expected: &'static str) -> Result<Matcher, Utf8Error> {
        let name = self.text(expected)?;
        let op = match *self.peek()? {
            Token::Op(op) => op,
            _ => return Err(self.unexpected("one of = != =~ !~")),
        };
        self.peeked = None;
        let value = self.text("a label value")?;
        Ok(Matcher::new(name, op, value)?)
    }

    fn text(&mut self, expected: &'static str) -> Result<String, Utf8Error> {
        self.peek()?;
        match self.peeked.take() {
            Some((Token::Text(text), ..)) => Ok(text),
            other => {
                self.peeked = other;
                Err(self.unexpected(expected))
            }
        }
    }

    fn accept(&mut self, token: &Token) -> Result<bool, Utf8Error> {
        let found = self.peek()? == token;
        if found && *token != Token::End {
            self.peeked = None;
        }
        Ok(found)
    }

    fn unexpected(&self, expected: &'static str) -> Utf8Error {
        let (column, found) = match &self.peeked {
            None | Some((Token::End, ..)) => (self.column, "the end".to_owned()),
            Some((_, column, text)) => (*column, format!("`{text}`")),
        };
        Utf8Error::Unexpected { column, expected, found }
    }

    fn peek(&mut self) -> Result<&Token, Utf8Error> {
        if self.peeked.is_none() {
            let trimmed = self.rest.trim_start();
            self.column += self.rest[..self.rest.len() - trimmed.len()].chars().count();
            self.rest = trimmed;
            let (token, length) = self.scan()?;
            let (text, rest) = self.rest.split_at(length);
            self.peeked = Some((token, self.column, text));
            self.column += text.chars().count();
            self.rest = rest;
        }
        Ok(&self.peeked.as_ref().expect("filled just above").0)
    }

    /// The next token and its length in bytes.
    fn scan(&self) -> Result<(Token, usize), Utf8Error> {
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else { return Ok((Token::End, 0)) };
        let second = chars.next();
        Ok(match (first, second) {
            ('{', _) => (Token::Open, 1),
            ('}', _) => (Token::Close, 1),
            (',', _) => (Token::Comma, 1),
            ('=', Some('~')) => (Token::Op(Op::Regex), 2),
            ('=', _) => (Token::Op(Op::Equal), 1),
            ('!', Some('=')) => (Token::Op(Op::NotEqual), 2),
            ('!', Some('~')) => (Token::Op(Op::NotRegex), 2),
            ('"', _) => self.quoted()?,
            (c, _) if is_reserved(c) => (Token::Stray(c), c.len_utf8()),
            _ => {
                let length = self.rest.find(is_reserved).unwrap_or(self.rest.len());
                (Token::Text(self.rest[..length].to_owned()), length)
            }
        })
    }

    fn quoted(&self) -> Result<(Token, usize), Utf8Error> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find_map(|(at, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes.then_some(at + 1)
        });
        let text = &self.rest[..end.unwrap_or(self.rest.len())];
        match end.and_then(|_| quote::unquote(text)) {
            Some(unquoted) => Ok((Token::Text(unquoted), text.len())),
            None => Err(Utf8Error::Quoted { column: self.column, text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> String {
        let matchers = parse(input).unwrap_or_else(|e| panic!("{input}: {e}"));
        let one = |m: &Matcher| format!("[{}|{}|{}]", m.name(), m.op(), m.value());
        matchers.iter().map(one).collect()
    }

    #[test]
    fn utf8_matchers_are_read() {
        for (input, matchers) in [
            ("", ""),
            ("{}", ""),
            (" { } ", ""),
            ("{foo=bar}", "[foo|=|bar]"),
            ("{foo=bar,}", "[foo|=|bar]"),
            ("foo=bar,", "[foo|=|bar]"),
            ("foo!=bar", "[foo|!=|bar]"),
            ("foo=~[a-z]+", "[foo|=~|[a-z]+]"),
            ("{foo!~[a-z]+}", "[foo|!~|[a-z]+]"),
            ("{foo=🙂bar}", "[foo|=|🙂bar]"),
            ("größe=1", "[größe|=|1]"),
            ("1a=b", "[1a|=|b]"),
            ("\"foo bar\"=\"b\\\"a\\\\r\\t\"", "[foo bar|=|b\"a\\r\t]"),
            ("{\"foo\"=\"\\xf0\\x9f\\x99\\x82\"}", "[foo|=|🙂]"),
            ("{foo=\"bar\",bar!=\"b,az}\"}", "[foo|=|bar][bar|!=|b,az}]"),
            ("foo = bar , bar\u{a0}!= baz", "[foo|=|bar][bar|!=|baz]"),
            ("foo=\"\"", "[foo|=|]"),
            ("\"\"=x", "[|=|x]"),
        ] {
            assert_eq!(read(input), matchers, "{input}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_at_its_place() {
        for (input, message) in [
            (",", "at character 1: expected a label name, found `,`"),
            ("{,}", "at character 2: expected a label name or `}`, found `,`"),
            ("{", "at character 2: expected a label name or `}`, found the end"),
            ("}", "at character 1: expected a label name, found `}`"),
            ("foo=bar}", "at character 8: expected a comma or the end, found `}`"),
            ("{foo=bar", "at character 9: expected a comma or `}`, found the end"),
            ("{foo=bar}}", "at character 10: expected the end, found `}`"),
            ("{foo=:\"bar\"}", "at character 7: expected a comma or `}`, found `\"bar\"`"),
            ("{foo=bar\\n}", "at character 9: expected a comma or `}`, found `\\`"),
            ("foo", "at character 4: expected one of = != =~ !~, found the end"),
            ("foo=", "at character 5: expected a label value, found the end"),
            ("foo!bar", "at character 4: expected one of = != =~ !~, found `!`"),
            ("foo bar=x", "at character 5: expected one of = != =~ !~, found `bar`"),
            ("a=b,,", "at character 5: expected a label name, found `,`"),
            ("ü=b'", "at character 4: expected a comma or the end, found `'`"),
        ] {
            assert_eq!(parse(input).expect_err(input).to_string(), message, "{input}");
        }
        for input in ["{foo=\"bar\\w\"}", "\"hello", "\"hello\\\"", "{\"foo\"=\"\\xf0\\x9f\"}"] {
            assert!(matches!(parse(input), Err(Utf8Error::Quoted { .. })), "{input}");
        }
        assert!(matches!(parse("a=~\"(\""), Err(Utf8Error::Pattern(_))));
    }
}
