//! Reads that see this gateway's own writes: they wait for them, boundedly, and say whether they came.

use std::future::Future;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use beacon_core::view::WaitError;

use crate::app::App;
use crate::error::ApiError;
use crate::link::Pictures;

/// How new what is read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Everything that was there at start, and everything this gateway wrote, is in it.
    Current,
    /// The wait is over and some of that is not in it: the pipeline, or the view, is behind.
    Behind,
}

/// Says `behind` with an answer that does not have all that this gateway wrote or that was there at its start.
const FRESHNESS: HeaderName = HeaderName::from_static("beacon-freshness");

impl Freshness {
    /// Has the answer say so when something is missing in it.
    pub fn mark(self, mut answer: Response) -> Response {
        if self == Self::Behind {
            answer.headers_mut().insert(FRESHNESS, HeaderValue::from_static("behind"));
        }
        answer
    }
}

/// The views, with the silences as new as the wait allows.
///
/// # Errors
/// 503 when the views are not there, or not kept up to date any more.
pub async fn silences(app: &App) -> Result<(Arc<Pictures>, Freshness), ApiError> {
    let pictures = app.link.pictures(app.config.read_wait).await?;
    let freshness = wait(app, silences_current(app, &pictures)).await?;
    Ok((pictures, freshness))
}

/// The views, with alerts and silences as new as the wait allows.
///
/// # Errors
/// 503 when the views are not there, or not kept up to date any more.
pub async fn alerts(app: &App) -> Result<(Arc<Pictures>, Freshness), ApiError> {
    let pictures = app.link.pictures(app.config.read_wait).await?;
    let current = async {
        silences_current(app, &pictures).await?;
        pictures.alerts.caught_up().await?;
        app.own_writes.alerts.reflected_in(&pictures.alerts_reflected).await
    };
    let freshness = wait(app, current).await?;
    // What the waits look at may have been reached before the view failed.
    match pictures.alerts.ended() {
        Some(reason) => Err(ApiError::unavailable(reason)),
        None => Ok((pictures, freshness)),
    }
}

async fn silences_current(app: &App, pictures: &Pictures) -> Result<(), WaitError> {
    pictures.silences.caught_up().await?;
    app.own_writes.silences.reflected_in(pictures.silences.progress()).await?;
    match pictures.silences.ended() {
        Some(reason) => Err(WaitError::Ended(reason)),
        None => Ok(()),
    }
}

async fn wait(app: &App, current: impl Future<Output = Result<(), WaitError>>) -> Result<Freshness, ApiError> {
    match tokio::time::timeout(app.config.read_wait, current).await {
        Ok(Ok(())) => Ok(Freshness::Current),
        Ok(Err(error)) => Err(ApiError::unavailable(error.to_string())),
        Err(_) => {
            tracing::debug!("a read does not wait any longer for the newest writes");
            Ok(Freshness::Behind)
        }
    }
}
