//! Composing the mail: pure, and the same bytes for the same notification.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use beacon_plan::receiver::{Body, Email};
use beacon_proto::v1::Notification;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use super::headers::Headers;
use crate::{
    channel::ChannelError,
    render::{html, subject, text},
};

/// The last second that a mail's date can say (end of the year 9999).
const LAST_SECOND: u64 = 253_402_300_799;

/// A boundary longer than 70 characters is not allowed (RFC 2046 §5.1.1).
const BOUNDARY_ID_CHARS: usize = 40;

/// Composes the mails of one integration.
pub struct Composer {
    headers: Headers,
    envelope: Envelope,
    /// Right half of message ids: the sender's domain.
    domain: String,
    html: Body,
    text: Body,
    external_url: Arc<str>,
}

impl Composer {
    /// Checks addresses and headers.
    ///
    /// # Errors
    ///
    /// Naming the key with an address or a header that is none.
    pub fn new(email: &Email, external_url: Arc<str>) -> Result<Self, ChannelError> {
        let from: Mailbox =
            email.from.parse().map_err(|error| ChannelError::new("from", format!("`{}`: {error}", email.from)))?;
        let to: Mailboxes =
            email.to.parse().map_err(|error| ChannelError::new("to", format!("`{}`: {error}", email.to)))?;
        let told: Vec<Address> = to.iter().map(|mailbox| mailbox.email.clone()).collect();
        let domain = from.email.domain().to_owned();
        let envelope = Envelope::new(Some(from.email.clone()), told)
            .map_err(|error| ChannelError::new("to", format!("`{}`: {error}", email.to)))?;
        Ok(Self {
            headers: Headers::new(&email.headers, from, to)?,
            envelope,
            domain,
            html: email.html.clone(),
            text: email.text.clone(),
            external_url,
        })
    }

    /// The mail for `notification`.
    ///
    /// # Errors
    ///
    /// When the parts don't make a mail, which [`Composer::new`] should have found out.
    pub fn compose(&self, notification: &Notification) -> Result<Message, lettre::error::Error> {
        let subject = self.headers.subject.clone().unwrap_or_else(|| subject::line(notification));
        let decided = Duration::from_millis(u64::try_from(notification.decided_at_ms).unwrap_or(0));
        let mut mail = Message::builder()
            .envelope(self.envelope.clone())
            .from(self.headers.from.clone())
            .mailbox(header::To::from(self.headers.to.clone()))
            .subject(subject)
            .date(UNIX_EPOCH + decided.min(Duration::from_secs(LAST_SECOND)))
            .message_id(Some(format!("<{}@{}>", notification.id, self.domain)))
            // No holiday answers, please (RFC 3834 §5).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for header in &self.headers.further {
            mail = mail.raw_header(header.clone());
        }
        mail.multipart(self.parts(notification))
    }

    /// Text first, HTML last: of several alternatives the last that can be shown is (RFC 2046 §5.1.4).
    fn parts(&self, notification: &Notification) -> MultiPart {
        let id: String = notification.id.chars().take(BOUNDARY_ID_CHARS).collect();
        // `=_` cannot stand in quoted-printable text (RFC 2045 §6.7), so no part can end early.
        let mut parts = MultiPart::alternative().boundary(format!("=_{id}")).build();
        if let Some(text) = self.text(notification) {
            parts = parts.singlepart(part(ContentType::TEXT_PLAIN, text));
        }
        if let Some(html) = self.html(notification) {
            parts = parts.singlepart(part(ContentType::TEXT_HTML, html));
        }
        parts
    }

    /// The plan's text part. A mail with Beacon's own HTML gets Beacon's own text beside it, even where the plan has none:
    /// the HTML looks the same, and who reads mail as text can read it too.
    fn text(&self, notification: &Notification) -> Option<String> {
        match (&self.text, &self.html) {
            (Body::Literal(text), _) => Some(text.clone()),
            (Body::Default, _) | (Body::Absent, Body::Default) => Some(text::body(notification, &self.external_url)),
            (Body::Absent, Body::Absent | Body::Literal(_)) => None,
        }
    }

    fn html(&self, notification: &Notification) -> Option<String> {
        match &self.html {
            Body::Literal(html) => Some(html.clone()),
            Body::Default => Some(html::document(notification, &self.external_url)),
            Body::Absent => None,
        }
    }
}

/// Quoted-printable whatever the text is: short lines, ASCII only, and see the boundary above.
fn part(kind: ContentType, text: String) -> SinglePart {
    SinglePart::builder().header(kind).header(ContentTransferEncoding::QuotedPrintable).body(text)
}

#[cfg(test)]
mod tests;
