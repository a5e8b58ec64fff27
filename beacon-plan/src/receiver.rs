//! Who is told, and how: receivers and their integrations, with everything that a channel needs to send.
//!
//! These types hold what the configuration *means*: defaults are filled in, `global` values are inherited, unset is
//! told apart from empty. They do not send; that is the notifier.
//!
//! Invariant: within one receiver the integrations stand in the order in which they are notified, and
//! ([`Kind`], index) is unique.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use beacon_proto::v1;

use crate::secret::Secret;

/// A named list of integrations; every one of them is told of every group routed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Unique within the plan.
    pub name: String,
    /// In order: webhooks, then mails, then terminals, each kind in the order of the file. May be empty: a receiver that
    /// swallows what is routed to it.
    pub integrations: Vec<Integration>,
}

/// One way of telling one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its address within the plan; stable as long as the order of the receiver's integrations of that kind is.
    pub target: Target,
    /// Whether it is told of resolved alerts. Default: webhook and terminal yes, email no.
    pub send_resolved: bool,
    /// What is needed to send.
    pub channel: Channel,
}

impl Integration {
    /// At most so many alerts are put into one message, 0 for no limit; the message tells how many were left out.
    pub fn max_alerts(&self) -> u64 {
        match &self.channel {
            Channel::Webhook(webhook) => webhook.max_alerts,
            Channel::Email(_) | Channel::Terminal => 0,
        }
    }
}

/// The address of one integration: what notifications and deliveries name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The receiver's name.
    pub receiver: String,
    /// Which channel.
    pub kind: Kind,
    /// 0-based among the receiver's integrations of that kind.
    pub index: u32,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}[{}]", self.receiver, self.kind, self.index)
    }
}

impl From<&Target> for v1::Target {
    fn from(target: &Target) -> Self {
        Self { receiver: target.receiver.clone(), integration: target.kind.as_str().to_owned(), index: target.index }
    }
}

impl TryFrom<&v1::Target> for Target {
    type Error = UnknownKind;

    fn try_from(target: &v1::Target) -> Result<Self, UnknownKind> {
        Ok(Self {
            receiver: target.receiver.clone(),
            kind: Kind::from_name(&target.integration).ok_or_else(|| UnknownKind(target.integration.clone()))?,
            index: target.index,
        })
    }
}

/// A message names a kind of integration that this version does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no integration `{0}`: this version knows webhook, email and terminal; a newer Beacon may have written it"
)]
pub struct UnknownKind(pub String);

/// The channels that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// JSON by HTTP POST.
    Webhook,
    /// A mail by SMTP.
    Email,
    /// Lines on the notifier's own terminal: Beacon's own, for trying it without any receiver.
    Terminal,
}

impl Kind {
    /// As it is written in messages, metrics and `*_configs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Terminal => "terminal",
        }
    }

    /// The inverse of [`Kind::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Webhook, Self::Email, Self::Terminal].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a channel needs to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// JSON by HTTP POST, payload version 4.
    Webhook(Webhook),
    /// A mail. Boxed: much larger than the others.
    Email(Box<Email>),
    /// Lines on the notifier's terminal.
    Terminal,
}

impl Channel {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Webhook(_) => Kind::Webhook,
            Self::Email(_) => Kind::Email,
            Self::Terminal => Kind::Terminal,
        }
    }
}

/// `webhook_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Checked: http or https, with a host. Secret, as it often has a token in its path.
    pub url: Secret,
    /// At most so many alerts in one message; 0: all.
    pub max_alerts: u64,
    /// For one attempt, from connecting to the last byte of the answer. `None`: only the notifier's own bound.
    pub timeout: Option<Duration>,
    /// How to make the request; from `global.http_config` where the webhook has none.
    pub http: HttpClient,
}

/// `http_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClient {
    /// How the request is authorized.
    pub auth: Option<HttpAuth>,
    /// Whether answers 3xx are followed. Default: yes.
    pub follow_redirects: bool,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self { auth: None, follow_redirects: true }
    }
}

/// The `Authorization` header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAuth {
    /// `basic_auth`.
    Basic {
        /// May be empty.
        username: String,
        /// May be empty.
        password: Secret,
    },
    /// `authorization` (and the older `bearer_token`): `<scheme> <credentials>`.
    Scheme {
        /// `Bearer` unless the configuration says otherwise.
        scheme: String,
        /// May be empty.
        credentials: Secret,
    },
}

/// `email_configs`, with what it inherits from `global.smtp_*` filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// Comma-separated addresses (RFC 5322 mailbox list), as written.
    pub to: String,
    /// The sender's address, as written.
    pub from: String,
    /// The SMTP server.
    pub smarthost: HostPort,
    /// What EHLO says. Default: `localhost`.
    pub hello: String,
    /// Empty: no authentication.
    pub auth_username: String,
    /// For PLAIN and LOGIN.
    pub auth_password: Secret,
    /// The identity of PLAIN; usually empty.
    pub auth_identity: String,
    /// For CRAM-MD5.
    pub auth_secret: Secret,
    /// Refuse to send over a connection without TLS. Default: yes.
    pub require_tls: bool,
    /// How TLS is made.
    pub tls: SmtpTls,
    /// Further headers, names in canonical form (`Reply-To`), literal values. `Subject`, `From` and `To` here replace the
    /// usual ones.
    pub headers: BTreeMap<String, String>,
    /// The HTML part.
    pub html: Body,
    /// The plain text part.
    pub text: Body,
}

/// `tls_config` of a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmtpTls {
    /// Accept any certificate. Default: no.
    pub insecure_skip_verify: bool,
    /// The name that the certificate must have. `None`: the smarthost's.
    pub server_name: Option<String>,
}

/// One part of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Beacon's own rendering, like Alertmanager's default template: the default for HTML.
    Default,
    /// The part is left out: the default for plain text.
    Absent,
    /// This text as it is.
    Literal(String),
}

/// `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without the brackets of IPv6. Empty: this machine.
    pub host: String,
    /// Never 0. The names `smtp`, `submission` and `submissions` are taken in the file and are 25, 587 and 465 here.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_crosses_the_wire_and_back() {
        let target = Target { receiver: "ops".into(), kind: Kind::Email, index: 2 };
        let wire = v1::Target::from(&target);
        assert_eq!(wire.integration, "email");
        assert_eq!(Target::try_from(&wire), Ok(target));
        for kind in [Kind::Webhook, Kind::Email, Kind::Terminal] {
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn an_unknown_integration_is_named() {
        let wire = v1::Target { receiver: "ops".into(), integration: "pigeon".into(), index: 0 };
        assert!(Target::try_from(&wire).expect_err("no pigeons").to_string().contains("`pigeon`"));
    }

    #[test]
    fn debug_output_of_a_receiver_has_no_secret() {
        let webhook = Webhook {
            url: Secret::new("https://hooks/T0PSECRET"),
            max_alerts: 0,
            timeout: None,
            http: HttpClient {
                auth: Some(HttpAuth::Basic { username: "me".into(), password: Secret::new("hunter2") }),
                follow_redirects: true,
            },
        };
        let shown = format!("{webhook:?}");
        assert!(!shown.contains("T0PSECRET") && !shown.contains("hunter2"), "{shown}");
    }
}
