//! `global`: what others inherit.

use std::time::Duration;

use super::{At, email, http, unsupported};
use crate::receiver::{HostPort, HttpClient, SmtpTls};
use crate::secret::Secret;

/// `global`, with Alertmanager's defaults.
#[derive(Clone, Debug)]
pub(crate) struct Global {
    pub resolve_timeout: Duration,
    pub http: HttpClient,
    pub smtp_from: Option<String>,
    pub smtp_smarthost: Option<HostPort>,
    pub smtp_hello: String,
    pub smtp_auth_username: String,
    pub smtp_auth_password: Secret,
    pub smtp_auth_identity: String,
    pub smtp_auth_secret: Secret,
    pub smtp_require_tls: bool,
    pub smtp_tls: SmtpTls,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            resolve_timeout: Duration::from_secs(5 * 60),
            http: HttpClient::default(),
            smtp_from: None,
            smtp_smarthost: None,
            smtp_hello: "localhost".to_owned(),
            smtp_auth_username: String::new(),
            smtp_auth_password: Secret::default(),
            smtp_auth_identity: String::new(),
            smtp_auth_secret: Secret::default(),
            smtp_require_tls: true,
            smtp_tls: SmtpTls::default(),
        }
    }
}

pub(super) fn read(at: &At<'_>) -> Option<Global> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::GLOBAL);
    let default = Global::default();
    let global = Global {
        resolve_timeout: fields.get("resolve_timeout").and_then(|at| at.duration()).unwrap_or(default.resolve_timeout),
        http: fields.get("http_config").and_then(|at| http::read(&at)).unwrap_or_default(),
        smtp_from: email::literal(&fields, "smtp_from"),
        smtp_smarthost: fields.get("smtp_smarthost").and_then(|at| email::host_port(&at)),
        smtp_hello: fields.text("smtp_hello").unwrap_or(default.smtp_hello),
        smtp_auth_username: fields.text("smtp_auth_username").unwrap_or_default(),
        smtp_auth_password: fields.secret("smtp_auth_password").unwrap_or_default(),
        smtp_auth_identity: fields.text("smtp_auth_identity").unwrap_or_default(),
        smtp_auth_secret: fields.secret("smtp_auth_secret").unwrap_or_default(),
        smtp_require_tls: fields.boolean("smtp_require_tls", true),
        smtp_tls: fields.get("smtp_tls_config").and_then(|at| email::tls(&at)).unwrap_or_default(),
    };
    fields.finish();
    Some(global)
}
