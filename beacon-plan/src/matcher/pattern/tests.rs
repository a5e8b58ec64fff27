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
