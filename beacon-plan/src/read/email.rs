//! One of `email_configs`, with what it inherits from `global`.

use std::collections::BTreeMap;

use super::{At, Fields, Global, unsupported};
use crate::receiver::{Body, Email, HostPort, SmtpTls};
use crate::secret::Secret;

/// Alertmanager's defaults may be written out: they mean what they mean when left out.
const DEFAULT_HTML: &str = r#"template"email.default.html"."#;
const DEFAULT_SUBJECT: &str = r#"template"email.default.subject"."#;

const OR_DEFAULT: &str = "write a fixed text, or remove it for the default";

/// The mail and whether it wants resolved alerts.
pub(super) fn read(at: &At<'_>, global: &Global) -> Option<(Email, bool)> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::EMAIL);
    let to = literal(&fields, "to");
    if to.is_none() && fields.get("to").is_none_or(|at| at.is_empty()) {
        at.missing("a mail needs `to`, the address it goes to");
    }
    let from = literal(&fields, "from").or_else(|| global.smtp_from.clone());
    if from.is_none() && fields.get("from").is_none_or(|at| at.is_empty()) {
        at.missing("a mail needs a sender: set `from` here or `smtp_from` in `global`");
    }
    let written = fields.get("smarthost").filter(|at| !at.is_empty());
    let smarthost = match &written {
        Some(at) => host_port(at),
        None => global.smtp_smarthost.clone(),
    };
    if smarthost.is_none() && written.is_none() {
        at.missing("a mail needs a server: set `smarthost` here or `smtp_smarthost` in `global`, as host:port");
    }
    let text = |key, inherited: &String| fields.text(key).unwrap_or_else(|| inherited.clone());
    let secret = |key, inherited: &Secret| fields.secret(key).unwrap_or_else(|| inherited.clone());
    // Everything is read, also when an address is missing, so that every mistake is found.
    let email = Email {
        to: to.clone().unwrap_or_default(),
        from: from.clone().unwrap_or_default(),
        smarthost: smarthost.clone().unwrap_or(HostPort { host: String::new(), port: 25 }),
        hello: text("hello", &global.smtp_hello),
        auth_username: text("auth_username", &global.smtp_auth_username),
        auth_password: secret("auth_password", &global.smtp_auth_password),
        auth_identity: text("auth_identity", &global.smtp_auth_identity),
        auth_secret: secret("auth_secret", &global.smtp_auth_secret),
        require_tls: fields.boolean("require_tls", global.smtp_require_tls),
        tls: fields.get("tls_config").map_or_else(|| global.smtp_tls.clone(), |at| tls(&at).unwrap_or_default()),
        headers: fields.get("headers").map(|at| headers(&at)).unwrap_or_default(),
        html: body(&fields, "html", Body::Default),
        text: body(&fields, "text", Body::Absent),
    };
    let send_resolved = fields.boolean("send_resolved", false);
    fields.finish();
    (to.is_some() && from.is_some() && smarthost.is_some()).then_some((email, send_resolved))
}

/// A text that Alertmanager would expand as a template: taken only without one.
pub(super) fn literal(fields: &Fields<'_>, key: &'static str) -> Option<String> {
    let at = fields.get(key)?;
    let text = at.text().filter(|text| !text.is_empty())?;
    (!refuse_template(&at, text, "write a fixed text")).then(|| text.to_owned())
}

/// Whether the text is a template, which is reported with the way out.
fn refuse_template(at: &At<'_>, text: &str, way_out: &str) -> bool {
    let template = text.contains("{{");
    if template {
        at.not_supported(format!("templates (`{{{{ … }}}}`) of your own are not supported yet; {way_out}"));
    }
    template
}

/// Whether `text` is `{{ … }}` around `call`, white space aside.
fn calls(text: &str, call: &str) -> bool {
    let inner = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.split_whitespace().collect::<String>() == call)
}

fn body(fields: &Fields<'_>, key: &'static str, default: Body) -> Body {
    let Some(at) = fields.get(key) else { return default };
    match at.text() {
        None => default,
        Some("") => Body::Absent,
        Some(text) if key == "html" && calls(text, DEFAULT_HTML) => Body::Default,
        Some(text) if refuse_template(&at, text, OR_DEFAULT) => default,
        Some(text) => Body::Literal(text.to_owned()),
    }
}

fn headers(at: &At<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (entry, at) in at.entries().unwrap_or_default() {
        let name = canonical(&entry.key);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            at.invalid(format!("{:?} is not the name of a mail header; write for example Reply-To", entry.key));
            continue;
        }
        let Some(value) = at.text() else { continue };
        if name == "Subject" && calls(value, DEFAULT_SUBJECT) || refuse_template(&at, value, OR_DEFAULT) {
            continue;
        }
        if value.contains(['\r', '\n']) {
            at.invalid("a mail header cannot have a line break in it");
        } else if headers.insert(name.clone(), value.to_owned()).is_some() {
            at.invalid(format!("the header {name} is set twice, as upper and lower case make no difference; keep one"));
        }
    }
    headers
}

/// `reply-to` as `Reply-To`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let canonical = name.chars().map(|c| {
        let c = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        c
    });
    canonical.collect()
}

pub(super) fn tls(at: &At<'_>) -> Option<SmtpTls> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::TLS);
    let tls = SmtpTls {
        insecure_skip_verify: fields.boolean("insecure_skip_verify", false),
        server_name: fields.text("server_name"),
    };
    fields.finish();
    Some(tls)
}

/// `host:port`, IPv6 in brackets.
pub(super) fn host_port(at: &At<'_>) -> Option<HostPort> {
    let text = at.text()?;
    let wrong = |why: &str| {
        at.invalid(format!("`{text}` {why}; write host:port, for example mail.example.org:587 or [::1]:25"));
        None
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once("]:") {
            Some(parts) => parts,
            None => return wrong("has no port after the address in brackets"),
        },
        None => match text.rsplit_once(':') {
            Some(parts) => parts,
            None => return wrong("has no port"),
        },
    };
    if !text.starts_with('[') && host.contains(':') {
        return wrong("has too many colons");
    }
    if host.contains(['[', ']']) || host.contains(char::is_whitespace) {
        return wrong("is not an address");
    }
    let number = match port {
        "smtp" => Some(25),
        "submission" => Some(587),
        "submissions" | "smtps" => Some(465),
        number => number.parse().ok().filter(|port: &u16| *port != 0),
    };
    match number {
        Some(port) => Some(HostPort { host: host.to_owned(), port }),
        None => wrong("has no port from 1 to 65535"),
    }
}
