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

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

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
        while let Some(c) = self.rest.next() {
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

    fn unicode_class(&mut self, letter: char) -> Result<String, String> {
        let first = self.rest.next().ok_or("\\p needs the name of a class, for example \\p{Greek}")?;
        if first != '{' {
            return Ok(format!("\\{letter}{first}"));
        }
        let name: String = self.rest.by_ref().take_while(|c| *c != '}').collect();
        let (negated, name) = name.strip_prefix('^').map_or((false, name.as_str()), |name| (true, name));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(
                "\\p{…} needs the name of a general category or a script, for example \\p{Lu} or \\p{Greek}".to_owned()
            );
        }
        let negated = negated != (letter == 'P');
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// A single character written as an escape, the backslash and `c` being consumed.
    fn escaped_char(&mut self, c: char) -> Result<char, String> {
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

    /// `[…]` after the bracket.
    fn class(&mut self) -> Result<(), String> {
        let open = "a class `[` is not closed with `]`";
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or(open)?;
            match c {
                ']' if !first => break,
                '[' if self.rest.peek() == Some(&':') => self.posix_class()?,
                '\\' if matches!(self.rest.peek(), Some('d' | 'D' | 's' | 'S' | 'w' | 'W')) => {
                    let letter = self.rest.next().ok_or(open)?;
                    self.out.push_str(&perl_class(letter, true));
                }
                '\\' if matches!(self.rest.peek(), Some('p' | 'P')) => {
                    let letter = self.rest.next().ok_or(open)?;
                    let class = self.unicode_class(letter)?;
                    self.out.push_str(&class);
                }
                c => self.range(c)?,
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn class_char(&mut self, c: char) -> Result<char, String> {
        if c != '\\' {
            return Ok(c);
        }
        let c = self.rest.next().ok_or("a class `[` is not closed with `]`")?;
        self.escaped_char(c)
    }

    fn range(&mut self, c: char) -> Result<(), String> {
        let low = self.class_char(c)?;
        push_literal(&mut self.out, low);
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
            return Ok(());
        }
        self.rest.next();
        let next = self.rest.next().ok_or("a class `[` is not closed with `]`")?;
        let high = self.class_char(next)?;
        if high < low {
            return Err(format!("the range {low}-{high} in a class goes backwards"));
        }
        self.out.push('-');
        push_literal(&mut self.out, high);
        Ok(())
    }

    fn posix_class(&mut self) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        ahead.next();
        let name: String = ahead.by_ref().take_while(|c| *c != ':').collect();
        if ahead.next() != Some(']') {
            // Not a class after all: `[` is a character.
            return self.range('[');
        }
        self.rest = ahead;
        self.out.push_str(&format!("[:{name}:]"));
        Ok(())
    }
}

/// Go's `\d`, `\s`, `\w`, which are ASCII, and their opposites; within a class without brackets of their own if possible.
fn perl_class(letter: char, in_class: bool) -> String {
    let members = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\x0C\\r\\x20",
        _ => "0-9A-Za-z_",
    };
    match (letter.is_ascii_uppercase(), in_class) {
        (true, _) => format!("[^{members}]"),
        (false, true) => members.to_owned(),
        (false, false) => format!("[{members}]"),
    }
}

/// `c` as itself, wherever in a pattern.
fn push_literal(out: &mut String, c: char) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        out.push_str(&format!("\\x{:02X}", u32::from(c)));
    } else {
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap_or_else(|e| panic!("{e}")).is_match(text)
    }

    #[test]
    fn patterns_are_anchored() {
        assert!(matches("a|b", "b") && !matches("a|b", "xb") && !matches("a|b", "ax"));
        assert!(matches("", "") && !matches("", "a"));
        assert!(!matches("a", "a\n"), "$ is the very end");
    }

    #[test]
    fn go_means_what_go_means() {
        for (pattern, yes, no) in [
            (r"\d+", "42", "٤٢"),
            (r"\w+", "a_1", "ü"),
            (r"\s", "\t", "\u{a0}"),
            (r"\D", "٤", "4"),
            (r"[\W]", "ü", "a"),
            (r"[^\W]", "a", "ü"),
            (r"[\d.-]+", "1.2-3", "a"),
            (r"[a&&b]+", "a&b", "c"),
            (r"[[a]+", "[a", "b"),
            (r"[a~~b]+", "~", "c"),
            (r"[+--]+", "+,-", "a"),
            (r"[]a]+", "]a", "b"),
            (r"[^]a]", "b", "]"),
            (r"[[:alpha:]_]+", "ab_", "1"),
            (r"[[:^digit:]]", "a", "1"),
            (r"a{", "a{", "a"),
            (r"a{,2}", "a{,2}", "aa"),
            (r"a{2,3}", "aaa", "a"),
            (r"a{2,}?b", "aaab", "ab"),
            (r"\Qa.b*\E+", "a.b**", "axb*"),
            (r"\<a\>", "<a>", "a"),
            (r"\x41\x{42}\103\0", "ABC\0", "ABC"),
            (r"(?i)page", "PaGe", "pag"),
            (r"(?s:a.b)", "a\nb", "ab"),
            (r"(?P<x>a)(?<y>b)", "ab", "a"),
            (r"\p{Greek}\pL\p{^Lu}", "αbc", "αbC"),
            (r"a\b-b", "a-b", "ab"),
            (r"a\Bb", "ab", "a-b"),
            (r"#a b", "#a b", "#ab"),
            (r"a\_b\-\/", "a_b-/", "a"),
            (r".*", "anything", "two\nlines"),
        ] {
            assert!(matches(pattern, yes), "{pattern} should match {yes:?}");
            assert!(!matches(pattern, no), "{pattern} should not match {no:?}");
        }
    }

    #[test]
    fn what_re2_does_not_have_is_refused_with_a_way_out() {
        for (pattern, part) in [
            ("a(", "unclosed group"),
            ("a)|(b", "unopened group"),
            ("a)", "unopened group"),
            ("[a", "not closed"),
            ("[b-a]", "backwards"),
            ("a**", "repeats a repetition"),
            ("a{2}{3}", "repeats a repetition"),
            ("*a", "nothing before it"),
            ("a|+", "nothing before it"),
            ("a{1001}", "at most 1000"),
            ("a{3,2}", "smaller number first"),
            ("(?=a)", "look-ahead"),
            ("(?<=a)", "look-behind"),
            (r"(a)\1", "back-references"),
            ("(?x)a", "no flag `x`"),
            (r"\y", "no escape"),
            ("a\\", "single \\"),
            (r"\p{Nonsense}", "not found"),
            (r"\xg1", "hexadecimal"),
            ("((a{1000}){1000}){1000}", "more than"),
        ] {
            let error = compile(pattern).err().unwrap_or_else(|| panic!("{pattern} was taken"));
            assert!(error.reason.contains(part), "{pattern}: {}", error.reason);
            assert_eq!(error.pattern, pattern);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[\[\](){}?*+\\|^$.:\-&~a-dPQEpxdwb0-9,<>=! ]{0,20}") {
            let _ = compile(&pattern);
        }

        #[test]
        fn an_escaped_text_matches_itself_only(text in "[^\u{0}]{0,12}", other in ".{0,3}") {
            let quoted: String = text.chars().flat_map(|c| {
                if c.is_ascii_punctuation() { vec!['\\', c] } else { vec![c] }
            }).collect();
            let regex = compile(&quoted).expect("every punctuation character is escaped");
            proptest::prop_assert!(regex.is_match(&text));
            proptest::prop_assert_eq!(regex.is_match(&other), other == text);
        }
    }
}
