//! Links that a page carries.

/// Where the alerts of `receiver` are shown: `EXTERNAL/#/alerts?receiver=NAME`, the address Alertmanager's default
/// templates print. `external_url` has no slash at its end; `None` when it is empty: such a link would lead nowhere.
pub fn alerts_of(external_url: &str, receiver: &str) -> Option<String> {
    (!external_url.is_empty()).then(|| format!("{external_url}/#/alerts?receiver={}", query_escape(receiver)))
}

/// True for addresses that a mail client may be offered as a link: absolute `http` and `https` ones.
///
/// An alert's generator URL is untrusted; `javascript:` and its like are shown as text, never as a link.
pub fn may_be_clicked(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

/// Percent-encoding of one query value, space as `+` (Go's `url.QueryEscape`).
fn query_escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_names_are_escaped_as_go_does() {
        let link = alerts_of("http://a", "ops team/ö&");
        assert_eq!(link.as_deref(), Some("http://a/#/alerts?receiver=ops+team%2F%C3%B6%26"));
        assert_eq!(alerts_of("", "ops"), None);
    }

    #[test]
    fn scripts_are_not_links() {
        assert!(may_be_clicked("https://prom.example.org/graph"));
        assert!(may_be_clicked("HTTP://prom"));
        assert!(!may_be_clicked("javascript:alert(1)//http://"));
        assert!(!may_be_clicked("javascript://%0aalert(1)"));
        assert!(!may_be_clicked(""));
    }
}
