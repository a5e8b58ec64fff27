//! A plan written back as an `alertmanager.yml` without its secrets.
//!
//! It is made from the meaning, not from the text, so that neither a comment nor a forgotten key can carry a secret, and
//! two files that mean the same are the same here. What a mail inherits from `global` is written out in it.
//!
//! Invariant: reading it back (as redacted) and writing it again gives the same text.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::duration;
use crate::read::{Global, Spec};
use crate::receiver::{Body, Channel, Email, HttpAuth, HttpClient, Receiver, SmtpTls, Webhook};
use crate::route::{GroupBySpec, RouteSpec};
use crate::secret::Secret;

/// Stands for a webhook's URL where amtool reads it: 0.25 insists on a URL.
const STATUS_URL: &str = "http://secret.invalid/<secret>";

/// Whom it is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// For Beacon: everything.
    All,
    /// For Alertmanager's clients: only what they understand.
    Alertmanager,
}

pub(crate) fn write(spec: &Spec, keys: Keys) -> String {
    let root = Root {
        global: global(&spec.global),
        route: route(&spec.route),
        receivers: spec.receivers.iter().map(|it| receiver(it, &spec.global, keys)).collect(),
        templates: [],
    };
    serde_saphyr::to_string(&root).expect("plain structs of texts, numbers and lists can always be written")
}

#[derive(Serialize)]
struct Root<'a> {
    global: GlobalYaml<'a>,
    route: RouteYaml<'a>,
    receivers: Vec<ReceiverYaml<'a>>,
    templates: [&'a str; 0],
}

#[derive(Serialize)]
struct GlobalYaml<'a> {
    resolve_timeout: String,
    http_config: HttpYaml<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_from: Option<&'a str>,
    smtp_hello: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_smarthost: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    smtp_auth_username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_auth_password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_auth_secret: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    smtp_auth_identity: &'a str,
    smtp_require_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_tls_config: Option<TlsYaml<'a>>,
}

fn global(global: &Global) -> GlobalYaml<'_> {
    GlobalYaml {
        resolve_timeout: duration::print(global.resolve_timeout),
        http_config: http(&global.http),
        smtp_from: global.smtp_from.as_deref(),
        smtp_hello: &global.smtp_hello,
        smtp_smarthost: global.smtp_smarthost.as_ref().map(ToString::to_string),
        smtp_auth_username: &global.smtp_auth_username,
        smtp_auth_password: shown(&global.smtp_auth_password),
        smtp_auth_secret: shown(&global.smtp_auth_secret),
        smtp_auth_identity: &global.smtp_auth_identity,
        smtp_require_tls: global.smtp_require_tls,
        smtp_tls_config: tls(&global.smtp_tls, &SmtpTls::default()),
    }
}

/// `<secret>` if there is one.
fn shown(secret: &Secret) -> Option<String> {
    (!secret.is_empty()).then(|| secret.to_string())
}

#[derive(Serialize)]
struct HttpYaml<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BasicYaml<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationYaml<'a>>,
    follow_redirects: bool,
}

#[derive(Serialize)]
struct BasicYaml<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Serialize)]
struct AuthorizationYaml<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
}

/// Always written out: whether it is what would be inherited cannot be told once secrets are gone.
fn http(http: &HttpClient) -> HttpYaml<'_> {
    let mut yaml = HttpYaml { basic_auth: None, authorization: None, follow_redirects: http.follow_redirects };
    match &http.auth {
        None => {}
        Some(HttpAuth::Basic { username, password }) => {
            yaml.basic_auth = Some(BasicYaml { username, password: shown(password) });
        }
        Some(HttpAuth::Scheme { scheme, credentials }) => {
            yaml.authorization = Some(AuthorizationYaml { r#type: scheme, credentials: shown(credentials) });
        }
    }
    yaml
}

#[derive(Serialize)]
struct TlsYaml<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    insecure_skip_verify: bool,
}

/// Left out only if it is what would be inherited.
fn tls<'a>(tls: &'a SmtpTls, inherited: &SmtpTls) -> Option<TlsYaml<'a>> {
    let yaml = TlsYaml { server_name: tls.server_name.as_deref(), insecure_skip_verify: tls.insecure_skip_verify };
    (tls != inherited).then_some(yaml)
}

#[derive(Serialize)]
struct RouteYaml<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    group_by: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<String>,
    r#continue: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteYaml<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_interval: Option<String>,
}

fn route(spec: &RouteSpec) -> RouteYaml<'_> {
    let printed = |duration: Option<Duration>| duration.map(duration::print);
    RouteYaml {
        receiver: spec.receiver.as_deref(),
        group_by: match &spec.group_by {
            None => Vec::new(),
            Some(GroupBySpec::All) => vec!["..."],
            Some(GroupBySpec::Labels(names)) => names.iter().map(String::as_str).collect(),
        },
        matchers: spec.matchers.iter().map(ToString::to_string).collect(),
        r#continue: spec.continues,
        routes: spec.routes.iter().map(route).collect(),
        group_wait: printed(spec.group_wait),
        group_interval: printed(spec.group_interval),
        repeat_interval: printed(spec.repeat_interval),
    }
}

#[derive(Serialize)]
struct ReceiverYaml<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    email_configs: Vec<EmailYaml<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhook_configs: Vec<WebhookYaml<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    terminal_configs: Vec<TerminalYaml>,
}

#[derive(Serialize)]
struct TerminalYaml {
    send_resolved: bool,
}

fn receiver<'a>(receiver: &'a Receiver, global: &Global, keys: Keys) -> ReceiverYaml<'a> {
    let mut yaml = ReceiverYaml {
        name: &receiver.name,
        email_configs: Vec::new(),
        webhook_configs: Vec::new(),
        terminal_configs: Vec::new(),
    };
    for integration in &receiver.integrations {
        let send_resolved = integration.send_resolved;
        match &integration.channel {
            Channel::Webhook(it) => yaml.webhook_configs.push(webhook(it, send_resolved, keys)),
            Channel::Email(it) => yaml.email_configs.push(email(it, send_resolved, global)),
            Channel::Terminal if keys == Keys::All => yaml.terminal_configs.push(TerminalYaml { send_resolved }),
            Channel::Terminal => {}
        }
    }
    yaml
}

#[derive(Serialize)]
struct WebhookYaml<'a> {
    send_resolved: bool,
    http_config: HttpYaml<'a>,
    url: String,
    max_alerts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
}

fn webhook(webhook: &Webhook, send_resolved: bool, keys: Keys) -> WebhookYaml<'_> {
    WebhookYaml {
        send_resolved,
        http_config: http(&webhook.http),
        url: if keys == Keys::All { webhook.url.to_string() } else { STATUS_URL.to_owned() },
        max_alerts: webhook.max_alerts,
        // Nanoseconds, so that nothing is lost.
        timeout: webhook.timeout.map(|timeout| format!("{}ns", timeout.as_nanos())),
    }
}

#[derive(Serialize)]
struct EmailYaml<'a> {
    send_resolved: bool,
    to: &'a str,
    from: &'a str,
    hello: &'a str,
    smarthost: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    auth_username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_secret: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    auth_identity: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    require_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<TlsYaml<'a>>,
}

fn email<'a>(email: &'a Email, send_resolved: bool, global: &Global) -> EmailYaml<'a> {
    EmailYaml {
        send_resolved,
        to: &email.to,
        from: &email.from,
        hello: &email.hello,
        smarthost: email.smarthost.to_string(),
        auth_username: &email.auth_username,
        auth_password: shown(&email.auth_password),
        auth_secret: shown(&email.auth_secret),
        auth_identity: &email.auth_identity,
        headers: &email.headers,
        html: body(&email.html, &Body::Default),
        text: body(&email.text, &Body::Absent),
        require_tls: email.require_tls,
        tls_config: tls(&email.tls, &global.smtp_tls),
    }
}

fn body<'a>(body: &'a Body, default: &Body) -> Option<&'a str> {
    match body {
        body if body == default => None,
        Body::Literal(text) => Some(text),
        // A text part has no default rendering, so only an absent HTML part comes here.
        Body::Absent | Body::Default => Some(""),
    }
}
