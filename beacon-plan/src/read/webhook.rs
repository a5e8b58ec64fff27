//! One of `webhook_configs`.

use url::Url;

use super::{At, Global, http, unsupported};
use crate::duration;
use crate::receiver::Webhook;
use crate::secret::Secret;

/// The webhook and whether it wants resolved alerts.
pub(super) fn read(at: &At<'_>, global: &Global) -> Option<(Webhook, bool)> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::WEBHOOK);
    let url = match fields.get("url") {
        Some(at) => url(&at),
        None => {
            at.missing("a webhook needs `url`, for example http://127.0.0.1:8080/alerts");
            None
        }
    };
    let webhook = Webhook {
        url: url.unwrap_or_default(),
        max_alerts: fields.get("max_alerts").and_then(|at| at.unsigned()).unwrap_or(0),
        timeout: fields.get("timeout").and_then(|at| timeout(&at)).filter(|timeout| !timeout.is_zero()),
        http: match fields.get("http_config") {
            Some(at) => http::read(&at).unwrap_or_default(),
            None => global.http.clone(),
        },
    };
    let send_resolved = fields.boolean("send_resolved", true);
    fields.finish();
    Some((webhook, send_resolved))
}

/// A URL that can be posted to. Messages do not show it.
fn url(at: &At<'_>) -> Option<Secret> {
    let secret = at.secret()?;
    if secret.is_redacted() {
        return Some(secret);
    }
    if secret.expose().contains("{{") {
        at.not_supported("templates in `url` are not supported yet; write the URL out");
        return None;
    }
    let (scheme, rest) = secret.expose().split_once(':').unwrap_or(("", secret.expose()));
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        at.invalid("this is not a URL of http or https; write for example http://127.0.0.1:8080/alerts");
        return None;
    }
    // A lenient reading would take the first part of the path for the host.
    let has_host = rest.strip_prefix("//").is_some_and(|rest| !rest.starts_with(['/', '?', '#']) && !rest.is_empty());
    if !has_host {
        at.invalid("this URL has no host; write for example http://127.0.0.1:8080/alerts");
        return None;
    }
    match Url::parse(secret.expose()) {
        Ok(_) => Some(secret),
        Err(error) => {
            at.invalid(format!("this is not a URL: {error}; write for example http://127.0.0.1:8080/alerts"));
            None
        }
    }
}

/// Go's form, as this key is a plain Go duration in Alertmanager; bare numbers, which are nanoseconds there, are refused.
fn timeout(at: &At<'_>) -> Option<std::time::Duration> {
    duration::parse_go(at.text()?).map_err(|error| at.invalid(error.to_string())).ok()
}
