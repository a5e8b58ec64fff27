//! `POST /api/v2/alerts`: read, decide, append, answer when durable.

mod event;
mod intake;
mod posted;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use beacon_core::log::Record;

use crate::app::App;
use crate::body;
use crate::error::ApiError;
use crate::time;
use intake::{Circumstances, Intake};

/// Answers 200 only after every valid alert of the request is durable in the log. Invalid ones are named in a 400 while
/// the valid ones beside them are taken, as Alertmanager does.
///
/// # Errors
/// 400 and 422 for what is wrong with the request, 413 for its size, 415 for its type; 503 when the log does not take
/// it: nothing is promised then, and the client is to send the whole again.
pub async fn post_alerts(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let body = body::json(&headers, body, app.config.max_body_bytes)?;
    let (records, problems) = {
        let Intake { events, problems, firing, resolved } = intake::decide(
            posted::read(&body)?,
            Circumstances {
                tenant: &app.config.tenant,
                now_ms: time::now_ms(),
                resolve_timeout_ms: i64::try_from(app.plan.in_force().resolve_timeout().as_millis())
                    .unwrap_or(i64::MAX),
            },
        )?;
        app.metrics.received(firing, resolved, problems.len() as u64);
        let topic = &app.names.alerts;
        let record = |event: event::Event<'_>| Record::new(Arc::clone(topic), event.key(), event.encode());
        (events.into_iter().map(record).collect::<Vec<_>>(), problems)
    };
    drop(body);
    if !records.is_empty() {
        append(&app, records).await?;
    }
    if problems.is_empty() { Ok(StatusCode::OK) } else { Err(ApiError::bad_request(problems.join("; "))) }
}

async fn append(app: &App, records: Vec<Record>) -> Result<(), ApiError> {
    let writer = app.link.writer(app.config.read_wait).await?;
    let begun = Instant::now();
    match writer.append(records).await {
        Ok(positions) => {
            app.metrics.appended(begun.elapsed());
            app.own_writes.alerts.remember(&positions);
            Ok(())
        }
        Err(error) => {
            app.metrics.append_failed(error.kind());
            tracing::warn!(%error, "alerts were not accepted; the client is told to try again");
            Err(ApiError::append_failed(&error))
        }
    }
}
