//! The mail headers that a plan may set, checked once when the plan is taken.

use std::collections::BTreeMap;

use lettre::message::{
    Mailbox, Mailboxes,
    header::{HeaderName, HeaderValue},
};

use crate::{channel::ChannelError, render::plain};

/// Headers that a mail cannot work with when a plan sets them: they say how the mail is built or which one it is.
const BEACONS_OWN: [&str; 6] =
    ["Content-Transfer-Encoding", "Content-Type", "Date", "Message-Id", "Mime-Version", "Auto-Submitted"];

/// Headers of a mail that don't depend on the notification.
#[derive(Clone)]
pub struct Headers {
    /// `From` as it is shown; the sender in the envelope may be another one.
    pub from: Mailbox,
    /// `To` as it is shown; the recipients in the envelope may be others.
    pub to: Mailboxes,
    /// `Subject`, if the plan sets one.
    pub subject: Option<String>,
    /// The others.
    pub further: Vec<HeaderValue>,
}

impl Headers {
    /// Takes over `set`; `from` and `to` are shown unless it says otherwise.
    ///
    /// # Errors
    ///
    /// For names and values that no header can have, and for headers that are Beacon's own.
    pub fn new(set: &BTreeMap<String, String>, from: Mailbox, to: Mailboxes) -> Result<Self, ChannelError> {
        let mut headers = Self { from, to, subject: None, further: Vec::new() };
        for (name, value) in set {
            headers.set(name, value)?;
        }
        Ok(headers)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ChannelError> {
        let refuse = |reason: String| ChannelError::new("headers", format!("`{}`: {reason}", plain::one_line(name)));
        if BEACONS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(refuse("this header is written by Beacon and cannot be set".to_owned()));
        }
        if plain::one_line(value) != value {
            return Err(refuse("its value has a line break or another control character".to_owned()));
        }
        if name.eq_ignore_ascii_case("From") {
            self.from = value.parse().map_err(|error| refuse(format!("not an address: {error}")))?;
        } else if name.eq_ignore_ascii_case("To") {
            self.to = value.parse().map_err(|error| refuse(format!("not a list of addresses: {error}")))?;
        } else if name.eq_ignore_ascii_case("Subject") {
            self.subject = Some(value.to_owned());
        } else {
            let name = header_name(name).ok_or_else(|| refuse("not a header's name (RFC 5322 §2.2)".to_owned()))?;
            self.further.push(HeaderValue::new(name, value.to_owned()));
        }
        Ok(())
    }
}

/// Visible ASCII without a colon. lettre alone would take a line break.
fn header_name(name: &str) -> Option<HeaderName> {
    let visible = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if visible { HeaderName::new_from_ascii(name.to_owned()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Headers, ChannelError> {
        let from: Mailbox = "a@example.org".parse().unwrap();
        Headers::new(&[(name.to_owned(), value.to_owned())].into(), from.clone(), from.into())
    }

    #[test]
    fn shown_addresses_can_be_others_than_those_told() {
        let headers = with("From", "Pager <pager@example.org>").unwrap();
        assert_eq!(headers.from.to_string(), "Pager <pager@example.org>");
        assert_eq!(with("subject", "fixed").unwrap().subject.as_deref(), Some("fixed"));
    }

    #[test]
    fn what_would_break_a_mail_is_refused_by_name() {
        for (name, value) in [
            ("X-Team", "ops\r\nBcc: everyone@example.org"),
            ("X-Team\r\nBcc", "everyone@example.org"),
            ("X Team", "ops"),
            ("", "ops"),
            ("Message-ID", "<x@y>"),
            ("content-type", "text/html"),
            ("To", "nobody at all"),
        ] {
            let error = with(name, value).err().unwrap_or_else(|| panic!("{name}: {value} is taken"));
            assert_eq!(error.setting, "headers");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
