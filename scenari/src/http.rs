//! A small blocking HTTP client for tests.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runtime;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The body read as JSON.
    ///
    /// # Panics
    /// When it is not what was expected; the message shows the body.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("unexpected answer ({error}): {self}"))
    }

    /// The answer itself when its status is `wanted`.
    ///
    /// # Errors
    /// The status is another one; the text shows status and body.
    pub fn expect_status(self, wanted: u16) -> Result<Self, String> {
        if self.status == wanted { Ok(self) } else { Err(format!("{self}, wanted {wanted}")) }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

/// GET; the request as a whole takes at most 10 s.
///
/// # Errors
/// No answer came (refused, reset, timed out).
pub fn get(url: &str) -> Result<Answer, String> {
    send(client().get(url))
}

/// GET with query parameters, escaped as needed.
///
/// # Errors
/// No answer came (refused, reset, timed out).
pub fn get_with(url: &str, query: &[(&str, &str)]) -> Result<Answer, String> {
    let mut url = reqwest::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
    url.query_pairs_mut().extend_pairs(query);
    send(client().get(url))
}

/// POST of a value as JSON.
///
/// # Errors
/// No answer came (refused, reset, timed out).
pub fn post(url: &str, body: &(impl Serialize + ?Sized)) -> Result<Answer, String> {
    send(client().post(url).json(body))
}

/// POST of bytes as they are, called JSON: for bodies that are not.
///
/// # Errors
/// No answer came (refused, reset, timed out).
pub fn post_raw(url: &str, body: &str) -> Result<Answer, String> {
    send(client().post(url).header("content-type", "application/json").body(body.to_owned()))
}

/// DELETE.
///
/// # Errors
/// No answer came (refused, reset, timed out).
pub fn delete(url: &str) -> Result<Answer, String> {
    send(client().delete(url))
}

fn send(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    runtime::block_on(async {
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok(Answer { status, body: response.text().await? })
    })
    .map_err(|error: reqwest::Error| format!("no answer: {}", with_causes(&error)))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // An error means that somebody in this process has installed one already, which will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            // A server under test is killed at any time; a kept connection to its ghost would fail the next request.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .expect("a client without special settings can be built")
    })
}
