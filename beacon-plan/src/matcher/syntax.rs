//! Which of the two forms a text is read in: Alertmanager's rules for the time of transition.
//!
//! Both forms are tried. Where only the classic one understands, or both do and differ, the classic reading holds and a
//! [`Note`] says so: the file means today what it meant before, and its owner learns what to write.
//!
//! Source: the section on fallback mode in <https://prometheus.io/docs/alerting/latest/configuration/>.

use super::{Matcher, PatternError, classic, utf8};

/// A text is a matcher in neither form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Neither form understands it.
    #[error("{classic}; as UTF-8 matcher: {utf8}; write for example severity=\"page\" or team=~\"db|cache\"")]
    Neither {
        /// Why it is no classic matcher: what Alertmanager answers.
        classic: classic::ClassicError,
        /// Why it is no UTF-8 matcher.
        utf8: utf8::Utf8Error,
    },
    /// It is a matcher, but its value is no regular expression.
    #[error(transparent)]
    Pattern(PatternError),
    /// One matcher was wanted.
    #[error("unexpected open or close brace: {0}; write one matcher without braces")]
    Brace(String),
    /// One matcher was wanted, and none or several are there.
    #[error("expected 1 matcher, found {found}: {input}")]
    Count {
        /// As written.
        input: String,
        /// How many it has.
        found: usize,
    },
}

/// How a text was understood, where that may surprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Only the classic form understands it; a future Alertmanager will not.
    ClassicOnly {
        /// The same in a form that both understand.
        write_instead: String,
    },
    /// Both forms understand it, differently; the classic meaning holds.
    Ambiguous {
        /// The classic meaning in a form that both understand.
        write_instead: String,
    },
}

impl Note {
    /// What to write instead.
    pub fn write_instead(&self) -> &str {
        match self {
            Self::ClassicOnly { write_instead } | Self::Ambiguous { write_instead } => write_instead,
        }
    }
}

/// Reads any number of matchers: `a=b`, `{a="b", c!~"d"}`, none.
///
/// # Errors
/// When neither form understands `input`.
pub fn parse(input: &str) -> Result<(Vec<Matcher>, Option<Note>), ParseError> {
    decide(classic::parse(input), utf8::parse(input))
}

/// Reads exactly one matcher, without braces: a filter of the API, an argument of amtool.
///
/// # Errors
/// When neither form understands `input`, it has braces, or it is not one matcher.
pub fn parse_one(input: &str) -> Result<(Matcher, Option<Note>), ParseError> {
    if input.starts_with('{') || input.ends_with('}') {
        return Err(ParseError::Brace(input.to_owned()));
    }
    let utf8 = utf8::parse(input);
    let (mut matchers, note) = match utf8 {
        // Two matchers for the new form may still be one for the old: a=b,c.
        Ok(several) if several.len() != 1 => {
            let found = several.len();
            let count = || ParseError::Count { input: input.to_owned(), found };
            let one = classic::parse_one(input).map_err(|_| count())?;
            let write_instead = one.to_string();
            (vec![one], Some(Note::ClassicOnly { write_instead }))
        }
        utf8 => decide(classic::parse_one(input).map(|one| vec![one]), utf8)?,
    };
    Ok((matchers.swap_remove(0), note))
}

fn decide(
    classic: Result<Vec<Matcher>, classic::ClassicError>,
    utf8: Result<Vec<Matcher>, utf8::Utf8Error>,
) -> Result<(Vec<Matcher>, Option<Note>), ParseError> {
    let printed = |matchers: &[Matcher]| matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match (classic, utf8) {
        (Err(classic::ClassicError::Pattern(error)), Err(_)) => Err(ParseError::Pattern(error)),
        (Err(classic), Err(utf8)) => Err(ParseError::Neither { classic, utf8 }),
        (Err(_), Ok(matchers)) => Ok((matchers, None)),
        (Ok(classic), Ok(utf8)) if classic == utf8 => Ok((classic, None)),
        (Ok(classic), Ok(_)) => {
            let note = Note::Ambiguous { write_instead: printed(&classic) };
            Ok((classic, Some(note)))
        }
        (Ok(classic), Err(_)) => {
            let note = Note::ClassicOnly { write_instead: printed(&classic) };
            Ok((classic, Some(note)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matcher::{Op, Printed};

    #[test]
    fn where_the_forms_agree_nothing_is_noted() {
        for input in ["", "foo=bar", "{foo=\"bar\",a!~\"b.*\"}", "a=\"x\\\\y\""] {
            assert_eq!(parse(input).expect(input).1, None, "{input}");
        }
    }

    #[test]
    fn the_classic_reading_holds_and_is_noted() {
        let (matchers, note) = parse("foo=bar baz").expect("classic");
        assert_eq!(matchers[0].value(), "bar baz");
        assert_eq!(note, Some(Note::ClassicOnly { write_instead: "foo=\"bar baz\"".into() }));

        // \t is a tab in a Go string, but a backslash and a t for the classic parser.
        let (matchers, note) = parse("foo=\"a\\tb\"").expect("both");
        assert_eq!(matchers[0].value(), "a\\tb");
        assert_eq!(note, Some(Note::Ambiguous { write_instead: "foo=\"a\\\\tb\"".into() }));
    }

    #[test]
    fn what_only_the_new_form_understands_is_taken() {
        let (matchers, note) = parse("\"foo bar\"=x").expect("utf-8");
        assert_eq!((matchers[0].name(), note), ("foo bar", None));
    }

    #[test]
    fn both_reasons_are_given_when_neither_understands() {
        let error = parse("foo").expect_err("no operator").to_string();
        assert!(error.starts_with("bad matcher format: foo; as UTF-8 matcher: at character 4"), "{error}");
        let error = parse("foo=~\"(\"").expect_err("no pattern").to_string();
        assert_eq!(error, "`(` is not a regular expression (RE2 syntax): unclosed group");
    }

    #[test]
    fn one_matcher_is_one() {
        assert_eq!(parse_one("a=b").expect("one").0, Matcher::new("a", Op::Equal, "b").expect("valid"));
        assert_eq!(parse_one("größe=b").expect("one").0.name(), "größe");
        assert!(matches!(parse_one("{a=b}"), Err(ParseError::Brace(_))));
        assert!(matches!(parse_one(""), Err(ParseError::Count { found: 0, .. })));
        assert!(matches!(parse_one("größe=b,c=d"), Err(ParseError::Count { found: 2, .. })));
        assert_eq!(parse_one("a=b,c=d").expect("classic").0.value(), "b,c=d");
    }

    fn matcher() -> impl Strategy<Value = Matcher> {
        let op = prop_oneof![Just(Op::Equal), Just(Op::NotEqual)];
        prop_oneof![
            ("[a-zA-Z_][a-zA-Z0-9_]{0,6}", op.clone(), ".{0,10}"),
            (".{1,8}", op, ".{0,10}"),
            (
                "[a-z]{1,4}",
                prop_oneof![Just(Op::Regex), Just(Op::NotRegex)],
                "([a-z\"\\n,{} ]|\\\\d|\\\\\\\\){0,8}".prop_map(|p| p.replace('{', "\\{"))
            ),
        ]
        .prop_map(|(name, op, value)| Matcher::new(name, op, value).expect("simple patterns are valid"))
    }

    proptest! {
        #[test]
        fn a_printed_matcher_is_read_back(matcher in matcher()) {
            let printed = matcher.to_string();
            let (read, _) = parse(&printed).unwrap_or_else(|e| panic!("{printed}: {e}"));
            prop_assert_eq!(read, vec![matcher]);
        }

        #[test]
        fn printed_lists_are_read_back(matchers in proptest::collection::vec(matcher(), 0..4)) {
            let printed = Printed(&matchers).to_string();
            let (read, _) = parse(&printed).unwrap_or_else(|e| panic!("{printed}: {e}"));
            prop_assert_eq!(read, matchers);
        }

        #[test]
        fn no_text_panics(input in "[a-c{}=!~,\"\\\\ üx0']{0,16}") {
            let _ = (parse(&input), parse_one(&input));
        }
    }
}
