//! Regular expressions as Alertmanager understands them: Go's RE2 dialect, anchored at both ends.
//!
//! The `regex` crate descends from RE2 but its dialect differs in places where a matcher would silently mean something
//! else: `\d`, `\w`, `\s` and `\b` are ASCII in Go and Unicode there; inside `[…]` it knows nested classes, `&&`, `--` and
//! `~~` where Go has plain characters; `{` that begins no counted repetition is a character in Go. So the pattern is
//! rewritten first, and what only the crate knows is refused.
//!
//! Deliberately not here: Go's trick that `a)|(b` compiles because the anchors are pasted around it. It is refused.
//!
//! Source: <https://golang.org/s/re2syntax>.

mod character;
mod class;

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use character::push_literal;
use class::perl_class;

/// The largest count in `{n,m}` that Go takes.
const MAX_REPEAT: u32 = 1000;

/// A pattern is not a regular expression that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a regular expression (RE2 syntax): {reason}")]
pub struct PatternError {
    /// As written.
    pub pattern: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Compiles `pattern` so that it must match the whole text: `^(?:pattern)$`.
///
/// # Errors
/// When the pattern is malformed, uses what RE2 does not have (look-around, back-references), or is too large.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let error = |reason: String| PatternError { pattern: pattern.to_owned(), reason };
    let rewritten = rewrite(pattern).map_err(&error)?;
    // On its own first: a pattern that closes the anchoring group must not get out of it.
    regex_syntax_check(&rewritten).map_err(&error)?;
    Regex::new(&format!("^(?:{rewritten})$")).map_err(|e| error(explain(&e)))
}

fn regex_syntax_check(rewritten: &str) -> Result<(), String> {
    Regex::new(rewritten).map(|_| ()).map_err(|e| explain(&e))
}

/// The last line of the crate's message is the reason; those before draw the pattern, rewritten, which nobody wrote.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("compiled it takes more than {limit} bytes; use smaller repetitions or several matchers")
        }
        other => {
            let text = other.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}

fn rewrite(pattern: &str) -> Result<String, String> {
    let mut rewriter =
        Rewriter { rest: pattern.chars().peekable(), out: String::with_capacity(pattern.len()), last: Last::Nothing };
    while let Some(c) = rewriter.rest.next() {
        rewriter.step(c)?;
    }
    Ok(rewriter.out)
}

/// What stands before the current place: decides whether a repetition operator may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Item,
    Repetition,
}

struct Rewriter<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    last: Last,
}

impl Rewriter<'_> {
    fn step(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape()?,
            '[' => {
                self.class()?;
                self.last = Last::Item;
            }
            '(' => self.group()?,
            '*' | '+' | '?' => self.repetition(&c.to_string())?,
            '{' => match self.counted() {
                Some(counted) => {
                    let counted = counted?;
                    self.repetition(&counted)?;
                }
                None => self.literal('{'),
            },
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            '.' | '^' | '$' | ')' => {
                self.out.push(c);
                self.last = Last::Item;
            }
            c => self.literal(c),
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
        self.last = Last::Item;
    }

    fn repetition(&mut self, operator: &str) -> Result<(), String> {
        match self.last {
            Last::Nothing => {
                return Err(format!(
                    "`{operator}` has nothing before it to repeat; write \\{operator} for the character"
                ));
            }
            Last::Repetition => return Err(format!("`{operator}` repeats a repetition; put the inner one into (?:…)")),
            Last::Item => {}
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.last = Last::Repetition;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}` after the brace; `None` (and nothing consumed) if it is none of these.
    fn counted(&mut self) -> Option<Result<String, String>> {
        let mut ahead = self.rest.clone();
        let mut inner = String::new();
        loop {
            match ahead.next()? {
                '}' => break,
                c if c.is_ascii_digit() || c == ',' => inner.push(c),
                _ => return None,
            }
        }
        let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
        if least.is_empty() || most.contains(',') {
            return None;
        }
        self.rest = ahead;
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT);
        let bounds = (number(least), if most.is_empty() { Some(MAX_REPEAT) } else { number(most) });
        Some(match bounds {
            (Some(least), Some(most)) if least <= most => Ok(format!("{{{inner}}}")),
            _ => Err(format!("`{{{inner}}}` is not a repetition: at most {MAX_REPEAT}, and the smaller number first")),
        })
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        self.last = Last::Nothing;
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        match self.rest.peek() {
            Some('P') | Some('<') => self.named_group(),
            Some('=') | Some('!') => Err("RE2 has no look-ahead; use a second matcher, for example with !~".to_owned()),
            _ => self.flags(),
        }
    }

    fn named_group(&mut self) -> Result<(), String> {
        for c in self.rest.by_ref() {
            self.out.push(c);
            match c {
                '>' => return Ok(()),
                '=' | '!' => {
                    return Err("RE2 has no look-behind and no back-references; use a second matcher".to_owned());
                }
                _ => {}
            }
        }
        Err("the name of a group is not closed with `>`".to_owned())
    }

    fn flags(&mut self) -> Result<(), String> {
        for c in self.rest.by_ref() {
            self.out.push(c);
            match c {
                ':' => return Ok(()),
                ')' => return Ok(()),
                'i' | 'm' | 's' | 'U' | '-' => {}
                c => return Err(format!("RE2 has no flag `{c}`; it has i, m, s and U")),
            }
        }
        Err("a group `(?…` is not closed".to_owned())
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.rest.next().ok_or("it ends with a single \\; write \\\\ for the character")?;
        match c {
            'A' | 'z' => self.out.push_str(&format!("\\{c}")),
            'b' | 'B' => self.out.push_str(&format!("(?-u:\\{c})")),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.out.push_str(&perl_class(c, false)),
            'Q' => {
                self.quoted();
                return Ok(());
            }
            'p' | 'P' => {
                let class = self.unicode_class(c)?;
                self.out.push_str(&class);
            }
            c => {
                let c = self.escaped_char(c)?;
                push_literal(&mut self.out, c);
            }
        }
        self.last = Last::Item;
        Ok(())
    }

    /// After `\Q`: everything up to `\E` or the end stands for itself.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }
}

#[cfg(test)]
mod tests;
