//! Webhooks: the notification as JSON, by HTTP POST.
//!
//! Every request carries `Idempotency-Key` with the notification's id: a receiver that remembers it can tell a second
//! attempt from a second notification. Proxies from the environment are not used, as Alertmanager doesn't by default.
//!
//! Redirects: 307 and 308 are followed when `follow_redirects` says so (at most [`MAX_REDIRECTS`]), as they repeat the POST.
//! 301, 302 and 303 are not: the common way to follow them (and Alertmanager's) is a GET without the body, which a receiver
//! may well answer with 200 although it never saw an alert. They are reported instead. To another host, credentials don't
//! follow.

mod answer;

use std::{fmt, sync::Arc, time::Duration};

use beacon_plan::receiver::{HttpAuth, Webhook};
use beacon_proto::v1::Notification;
use jiff::Timestamp;
use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect,
};

use super::{ChannelError, trust::Trust};
use crate::{
    attempt::Attempt,
    decide::{http, retry_after},
    redact::Redactor,
    render::payload,
};

/// The header that carries the notification's id.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Most redirects in a row; Go's client, and so Alertmanager's, has the same bound.
pub const MAX_REDIRECTS: usize = 10;

const USER_AGENT: &str = concat!("Beacon/", env!("CARGO_PKG_VERSION"));

/// HTTP clients that all webhooks share: connections are kept per host.
#[derive(Clone, Debug)]
pub struct Clients {
    following: Client,
    standing: Client,
}

impl Clients {
    /// Clients that trust `trust`.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up on this machine; the reason is the library's.
    pub fn new(trust: &Trust) -> Result<Self, ChannelError> {
        let failed = |error: &dyn fmt::Display| ChannelError::new("http_config", format!("cannot set up TLS: {error}"));
        let tls = trust.http_client_config().map_err(|error| failed(&error))?;
        let client = |policy| {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(policy)
                .no_proxy()
                .user_agent(USER_AGENT)
                .build()
                .map_err(|error| failed(&error))
        };
        Ok(Self { following: client(follow_what_repeats_the_post())?, standing: client(redirect::Policy::none())? })
    }
}

fn follow_what_repeats_the_post() -> redirect::Policy {
    redirect::Policy::custom(|attempt| match attempt.status().as_u16() {
        307 | 308 if attempt.previous().len() <= MAX_REDIRECTS => attempt.follow(),
        _ => attempt.stop(),
    })
}

/// One webhook of one receiver.
pub struct WebhookChannel {
    client: Client,
    url: Url,
    /// Authorization, if any.
    headers: HeaderMap,
    timeout: Option<Duration>,
    external_url: Arc<str>,
    redactor: Redactor,
}

impl WebhookChannel {
    /// Builds it. `external_url` is shown in the payload and has no slash at its end.
    ///
    /// # Errors
    ///
    /// For an address that is none, and credentials that no header can carry.
    pub fn new(webhook: &Webhook, external_url: Arc<str>, clients: &Clients) -> Result<Self, ChannelError> {
        if webhook.url.is_redacted() {
            return Err(ChannelError::redacted("url"));
        }
        // The parser's error doesn't quote what it was given.
        let url: Url = webhook.url.expose().parse().map_err(|error| ChannelError::new("url", format!("{error}")))?;
        let mut secrets = Redactor::pieces_of(&url);
        let mut headers = HeaderMap::new();
        if let Some(auth) = &webhook.http.auth {
            let (value, secret) = authorization(auth)?;
            headers.insert(AUTHORIZATION, value);
            secrets.extend(secret);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = if webhook.http.follow_redirects { &clients.following } else { &clients.standing };
        Ok(Self {
            client: client.clone(),
            url,
            headers,
            // Alertmanager takes 0 for no limit.
            timeout: webhook.timeout.filter(|timeout| !timeout.is_zero()),
            external_url,
            redactor: Redactor::new(secrets),
        })
    }

    /// The plan's own limit for one attempt, if it sets one.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Makes one attempt. It has no time-out of its own: the caller drops it when its time is over.
    ///
    /// The notification's id must be fit for a header (see [`crate::dispatcher`], which checks it).
    pub async fn send(&self, notification: &Notification) -> Attempt {
        let Ok(key) = HeaderValue::from_str(&notification.id) else {
            return Attempt::Dead { detail: "the notification's id is not fit for a header".to_owned() };
        };
        let request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(IDEMPOTENCY_KEY, key)
            .body(payload::json(notification, &self.external_url));
        match request.send().await {
            Ok(response) => self.judge(response).await,
            Err(error) => answer::none(error, &self.redactor),
        }
    }

    async fn judge(&self, response: reqwest::Response) -> Attempt {
        let code = response.status().as_u16();
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after::parse(value, Timestamp::now()));
        let body = answer::start_of_body(response).await;
        http::judge(code, after, &self.redactor.strike_out(&body))
    }
}

impl fmt::Debug for WebhookChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookChannel").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The header and the secrets in it.
fn authorization(auth: &HttpAuth) -> Result<(HeaderValue, Vec<String>), ChannelError> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let (setting, secret, text, sent) = match auth {
        HttpAuth::Basic { username, password } => {
            let pair = BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
            ("basic_auth.password", password, format!("Basic {pair}"), pair)
        }
        HttpAuth::Scheme { scheme, credentials } => {
            let sent = credentials.expose().to_owned();
            ("authorization.credentials", credentials, format!("{scheme} {sent}"), sent)
        }
    };
    if secret.is_redacted() {
        return Err(ChannelError::redacted(setting));
    }
    let mut value = HeaderValue::from_str(text.trim_end())
        .map_err(|_| ChannelError::new(setting, "has a character that no HTTP header may carry (a line break?)"))?;
    value.set_sensitive(true);
    Ok((value, vec![secret.expose().to_owned(), sent]))
}
