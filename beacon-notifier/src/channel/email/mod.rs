//! Mail, by SMTP to the plan's smarthost.
//!
//! One connection per mail: pages are rare, and a connection that was kept may be dead just when it is needed.
//! The same notification always gives the same bytes, with a `Message-ID` made of its id, so that a mail that was sent
//! twice (see [`Attempt::Retry`]) is shown once by mail programs that look at it.
//!
//! Not here: CRAM-MD5, templates, client certificates; a plan that needs them is refused.

mod address;
mod handover;
mod headers;
mod message;
mod session;

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use beacon_plan::receiver::Email;
use beacon_proto::v1::Notification;

use self::{message::Composer, session::Server};
use super::{ChannelError, trust::Trust};
use crate::{attempt::Attempt, decide::smtp, redact::Redactor};

/// The limit for one attempt. Longer than a webhook's: mail servers answer late on purpose, to annoy spammers, and to stop
/// waiting for the answer to a mail's last line is to send it twice (RFC 5321 §4.5.3.2.6 would wait for ten minutes).
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// One mail address list of one receiver.
pub struct EmailChannel {
    composer: Composer,
    server: Server,
    redactor: Redactor,
}

impl EmailChannel {
    /// Builds it. `external_url` is linked in the mail and has no slash at its end.
    ///
    /// # Errors
    ///
    /// For addresses and headers that are none, and for ways to log in that are not supported.
    pub fn new(email: &Email, external_url: Arc<str>, trust: &Trust) -> Result<Self, ChannelError> {
        Ok(Self {
            composer: Composer::new(email, external_url)?,
            server: Server::new(email, trust)?,
            redactor: Redactor::new(secrets(&email.auth_username, &email.auth_identity, email.auth_password.expose())),
        })
    }

    /// Makes one attempt. It has no time-out of its own: the caller drops it when its time is over.
    ///
    /// Addresses that the server refuses for good are left out, as long as there are others; when it refuses one for now, nobody
    /// gets the mail yet. So nobody gets it twice by that.
    pub async fn send(&self, notification: &Notification) -> Attempt {
        let mail = match self.composer.compose(notification) {
            Ok(mail) => mail,
            Err(error) => {
                return Attempt::Dead { detail: format!("composing the mail: {error}") };
            }
        };
        match self.server.send(mail.envelope(), &mail.formatted()).await {
            Ok(said) => Attempt::Accepted { detail: smtp::accepted(&self.redactor.strike_out(&said)) },
            Err(error) => smtp::judge(error.failure, error.step, &self.redactor.strike_out(&error.said)),
        }
    }
}

/// The password as it is and as logging in sends it, which a server may quote: LOGIN's line and PLAIN's (RFC 4616).
fn secrets(user: &str, identity: &str, password: &str) -> Vec<String> {
    if password.is_empty() {
        return Vec::new();
    }
    let plain = BASE64_STANDARD.encode(format!("{identity}\0{user}\0{password}"));
    vec![password.to_owned(), BASE64_STANDARD.encode(password), plain]
}

impl fmt::Debug for EmailChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailChannel").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_login_loses_its_password_also_encoded() {
        // The first is RFC 4616's own example.
        for (identity, user, password, line) in
            [("", "tim", "tanstaaftanstaaf", "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"), ("", "beacon", "s3cret", "czNjcmV0")]
        {
            let redactor = Redactor::new(secrets(user, identity, password));
            assert_eq!(redactor.strike_out(&format!("5.5.4 bad: {line}")), "5.5.4 bad: <secret>");
            assert_eq!(redactor.strike_out(&format!("no {password}")), "no <secret>");
        }
        assert!(secrets("tim", "", "").is_empty());
    }
}
