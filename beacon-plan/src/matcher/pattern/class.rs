//! Sets of characters in a pattern: `[…]`, `\p{…}` and Go's ASCII `\d`, `\s`, `\w`.

use super::Rewriter;
use super::character::push_literal;

/// The names in `[:name:]`. What is not one of them the crate would take for a class within a class.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

impl Rewriter<'_> {
    pub(super) fn unicode_class(&mut self, letter: char) -> Result<String, String> {
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

    /// `[…]` after the bracket.
    pub(super) fn class(&mut self) -> Result<(), String> {
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
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(&name)) {
            return Err(format!(
                "there is no class [:{name}:]; there are for example [:alpha:], [:digit:] and [:space:]"
            ));
        }
        self.rest = ahead;
        self.out.push_str(&format!("[:{name}:]"));
        Ok(())
    }
}

/// Go's `\d`, `\s`, `\w`, which are ASCII, and their opposites; within a class without brackets of their own if possible.
pub(super) fn perl_class(letter: char, in_class: bool) -> String {
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
