//! Making untrusted text safe for places that have lines: mail headers, mail text, a terminal, a log.
//!
//! Invariant: no result contains a control character, so nothing here can end a header, start a line or speak to a
//! terminal.

/// `text` on one line: each control character and each Unicode line separator becomes a space.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if breaks_line(c) { ' ' } else { c }).collect()
}

/// Lines of `text`, each as [`one_line`] leaves it. CRLF, CR and LF all end a line; at least one line.
pub fn lines(text: &str) -> impl Iterator<Item = String> {
    text.split('\n').map(|line| one_line(line.strip_suffix('\r').unwrap_or(line)))
}

/// At most `max` bytes of `text`, cut between characters; `…` says that something is missing (and is not counted).
pub fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_escape() {
        assert_eq!(one_line("a\r\nb\x1b[2Jc\u{85}d\u{2028}e"), "a  b [2Jc d e");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(shorten("aé", 2), "a…");
        assert_eq!(shorten("aé", 3), "aé");
    }

    #[test]
    fn all_line_ends_end_a_line() {
        assert_eq!(lines("a\r\nb\nc").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
