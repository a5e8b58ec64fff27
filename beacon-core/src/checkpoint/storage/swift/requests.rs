//! Requests to Swift: with a token that is renewed when it is not taken any more, and tried again where that helps.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use url::{Position, Url};

use super::super::Patience;
use super::super::explain::{Attempt, shortened};
use super::super::trust::Distrust;
use super::login::{Login, Refused, Session};
use crate::checkpoint::{ObjectError, ObjectErrorKind};

/// What a request is about, for messages.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) attempt: Attempt,
    pub(super) name: &'a str,
}

/// A container that requests go to.
pub(super) struct Requests {
    /// How it is shown.
    pub(super) storage: String,
    pub(super) client: Client,
    pub(super) patience: Patience,
    login: Login,
    session: Mutex<Option<Arc<Session>>>,
}

impl Requests {
    pub(super) fn new(storage: String, client: Client, patience: Patience, login: Login) -> Self {
        Self { storage, client, patience, login, session: Mutex::default() }
    }

    pub(super) fn error(&self, about: About<'_>, kind: ObjectErrorKind, cause: &str) -> ObjectError {
        let way_out = match kind {
            ObjectErrorKind::Denied => "; the login (OS_… or ST_… variables) is missing, wrong, or has no rights here",
            ObjectErrorKind::Configuration => {
                "; is its name right? Beacon makes no containers: make it, then it is found"
            }
            ObjectErrorKind::Retriable => "; it may pass, and is tried again",
            ObjectErrorKind::Full => "; make room or raise the quota",
            _ => "",
        };
        let message = format!("{}/{}: {}: {cause}{way_out}", self.storage, about.name, about.attempt.failed());
        ObjectError::new(kind, message)
    }

    /// A request that can be made again: `request` makes it for an address of the account and a token.
    ///
    /// # Errors
    /// When no answer came in all tries, or the server was in trouble in the last one. Every other answer is handed back.
    pub(super) async fn send(
        &self,
        about: About<'_>,
        request: impl Fn(&Client, &Url) -> RequestBuilder,
    ) -> Result<Response, ObjectError> {
        let mut waits = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.patience.first_wait)
            .with_max_delay(self.patience.first_wait * 16)
            .with_max_times(self.patience.tries.saturating_sub(1))
            .build();
        let mut renewed = false;
        loop {
            let trouble = match self.once(about, &request).await {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && !renewed => {
                    renewed = true;
                    self.forget_session().await;
                    continue;
                }
                Ok(answer) if is_passing(answer.status()) => {
                    let status = answer.status();
                    let words = answer.text().await.unwrap_or_default();
                    self.error(about, ObjectErrorKind::Retriable, &format!("{status} {}", shortened(&words)))
                }
                Ok(answer) => return Ok(answer),
                Err(error) if error.kind() != ObjectErrorKind::Retriable => return Err(error),
                Err(error) => error,
            };
            let Some(wait) = waits.next() else { return Err(trouble) };
            tracing::debug!(storage = self.storage, error = %trouble, ?wait, "asking object storage again");
            sleep(wait).await;
        }
    }

    async fn once(
        &self,
        about: About<'_>,
        request: &impl Fn(&Client, &Url) -> RequestBuilder,
    ) -> Result<Response, ObjectError> {
        let session = self.session(about).await?;
        let request = request(&self.client, &session.storage).header("x-auth-token", &session.token);
        self.in_time(about, request.send()).await
    }

    /// The session there is, or a new one. One login at a time: whoever comes second finds the first one's.
    pub(super) async fn session(&self, about: About<'_>) -> Result<Arc<Session>, ObjectError> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let cause = |cause: &str| format!("no login by {:?}: {cause}", self.login);
        let answer = timeout(self.patience.answer, self.login.request(&self.client).send()).await;
        let answer = match answer {
            Ok(Ok(answer)) if is_passing(answer.status()) => {
                return Err(self.error(about, ObjectErrorKind::Retriable, &cause(answer.status().as_str())));
            }
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unanswered(about, error, cause)),
            Err(_) => return Err(self.error(about, ObjectErrorKind::Retriable, &cause(&self.late()))),
        };
        let new = self.login.session(answer).await.map_err(|refused| match refused {
            Refused::Login(status) => self.error(about, ObjectErrorKind::Denied, &cause(status.as_str())),
            Refused::Answer(words) => self.error(about, ObjectErrorKind::Fatal, &cause(&shortened(&words))),
        })?;
        Ok(Arc::clone(session.insert(Arc::new(new))))
    }

    pub(super) async fn forget_session(&self) {
        *self.session.lock().await = None;
    }

    /// An answer or the next piece of one, if it comes in time.
    pub(super) async fn in_time<T>(
        &self,
        about: About<'_>,
        answer: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, ObjectError> {
        match timeout(self.patience.answer, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unanswered(about, error, str::to_owned)),
            Err(_) => Err(self.error(about, ObjectErrorKind::Retriable, &self.late())),
        }
    }

    /// The error of a request without an answer; `cause` puts what happened into a sentence.
    fn unanswered(&self, about: About<'_>, error: reqwest::Error, cause: impl Fn(&str) -> String) -> ObjectError {
        let server = error.url().map(|url| url[Position::BeforeHost..Position::AfterPort].to_owned());
        match Distrust::find(server.as_deref(), &error) {
            Some(distrust) => {
                let cause = cause(&distrust.to_string());
                let message = format!("{}/{}: {}: {cause}", self.storage, about.name, about.attempt.failed());
                ObjectError::new(ObjectErrorKind::Configuration, message)
            }
            None => self.error(about, ObjectErrorKind::Retriable, &cause(&chain(error))),
        }
    }

    fn late(&self) -> String {
        format!("no answer in {:?}", self.patience.answer)
    }

    /// The error that an answer means which is no success.
    pub(super) async fn refusal(&self, about: About<'_>, answer: Response) -> ObjectError {
        let status = answer.status();
        let words = timeout(Duration::from_secs(10), answer.text()).await;
        let words = shortened(&words.ok().and_then(Result::ok).unwrap_or_default());
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ObjectErrorKind::Denied,
            StatusCode::NOT_FOUND if about.attempt == Attempt::Read => ObjectErrorKind::NotFound,
            StatusCode::NOT_FOUND => ObjectErrorKind::Configuration,
            StatusCode::INSUFFICIENT_STORAGE => ObjectErrorKind::Full,
            StatusCode::PAYLOAD_TOO_LARGE if words.contains("quota") => ObjectErrorKind::Full,
            // Other bytes arrived than were sent.
            StatusCode::UNPROCESSABLE_ENTITY => ObjectErrorKind::Retriable,
            status if is_passing(status) => ObjectErrorKind::Retriable,
            _ => ObjectErrorKind::Fatal,
        };
        self.error(about, kind, format!("{status} {words}").trim_end())
    }
}

/// Whether the same request may be answered otherwise later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504)
}

/// What went wrong, down to its cause; without the address.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
