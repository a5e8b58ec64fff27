//! Silences over HTTP: list, look up, create, change, expire. They are records of the topic `silences`.

mod listed;
mod muting;
mod posted;
mod row;
mod sweep;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use beacon_core::log::Record;
use beacon_core::view::View;
use beacon_plan::label::NameRules;
use beacon_plan::matcher::Op;
use beacon_plan::silence::{self, Expiry, SetError, SilenceError, State as SilenceState, Written};
use beacon_proto::{key, v1};
use prost::Message;
use serde::Serialize;

pub use muting::Muting;
pub use row::SilenceRow;
pub use sweep::sweep;

use crate::app::App;
use crate::error::{ApiError, json};
use crate::link::Pictures;
use crate::reads::{self, Freshness};
use crate::{body, query, time};
use listed::GettableSilence;

const UNREAD: &str = "the silences are still being read, try again";

/// All silences that pass the filters, the ones in force first.
///
/// # Errors
/// 400 for a filter that is none, 503 while the log is away.
pub async fn get_silences(
    State(app): State<Arc<App>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let filters = query::filters(&pairs)?;
    let (pictures, freshness) = reads::silences(&app).await?;
    let now_ms = time::now_ms();
    let mut rows = all(&pictures.silences, &app.config.tenant);
    rows.retain(|row| listed::passes(row, &filters));
    listed::sort(&mut rows, now_ms);
    Ok(freshness.mark(json(&rows.iter().map(|row| GettableSilence::new(row, now_ms)).collect::<Vec<_>>())))
}

/// One silence.
///
/// # Errors
/// 422 for an id that is no UUID, 404 when there is no such silence, 503 while the log is away.
pub async fn get_silence(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = checked_id(&id)?;
    let (pictures, freshness) = reads::silences(&app).await?;
    match find(&app, &pictures, &id) {
        Some(row) => Ok(freshness.mark(json(&GettableSilence::new(&row, time::now_ms())))),
        None if freshness == Freshness::Current => Err(ApiError::Bare(StatusCode::NOT_FOUND)),
        None => Err(ApiError::unavailable(UNREAD)),
    }
}

fn all(silences: &View<String, SilenceRow>, tenant: &str) -> Vec<Arc<SilenceRow>> {
    let prefix = key::silence(tenant, "");
    silences.read(|table| table.prefix(&prefix).map(|(_, row)| Arc::clone(row)).collect())
}

/// How many are active, pending, expired.
pub fn count(silences: &View<String, SilenceRow>, tenant: &str, now_ms: i64) -> [u64; 3] {
    let mut counts = [0; 3];
    for row in all(silences, tenant) {
        counts[match row.state(now_ms) {
            SilenceState::Active => 0,
            SilenceState::Pending => 1,
            SilenceState::Expired => 2,
        }] += 1;
    }
    counts
}

fn find(app: &App, pictures: &Pictures, id: &str) -> Option<Arc<SilenceRow>> {
    pictures.silences.get(&key::silence(&app.config.tenant, id))
}

/// The answer to a silence that was taken.
#[derive(Serialize)]
struct Taken<'a> {
    #[serde(rename = "silenceID")]
    silence_id: &'a str,
}

/// Creates a silence, or changes one. What would alter the past of the old one ends it and makes a new one, with a new
/// id. Answers when it is durable.
///
/// # Errors
/// 400 for one that is refused, 404 when it names an id that does not exist, 422 for what is missing in it, 503 when
/// the log does not take it.
pub async fn post_silence(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body::json(&headers, body, app.config.max_body_bytes)?;
    let wanted = wanted(posted::read(&body)?, &app.config.tenant);
    let _turn = app.silence_writes.lock().await;
    let pictures = for_decision(&app).await?;
    let previous = if wanted.id.is_empty() { None } else { find(&app, &pictures, &wanted.id) };
    let previous = previous.as_deref().map(|row| &row.silence);
    let new_id = uuid::Uuid::new_v4().to_string();
    let written = silence::set(previous, wanted, &new_id, NameRules::Utf8, time::now_ms()).map_err(refused)?;
    let silences = match &written {
        Written::Created(one) | Written::Updated(one) => vec![one],
        Written::Replaced { expired, created } => vec![expired, created],
    };
    write(&app, &silences).await?;
    Ok(json(&Taken { silence_id: &written.current().id }))
}

/// Ends a silence now. One that has ended stays as it is, and that is a success. Answers when it is durable.
///
/// # Errors
/// 422 for an id that is no UUID, 404 when there is no such silence, 503 when the log does not take it.
pub async fn delete_silence(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let id = checked_id(&id)?;
    let _turn = app.silence_writes.lock().await;
    let pictures = for_decision(&app).await?;
    let row = find(&app, &pictures, &id).ok_or(ApiError::Bare(StatusCode::NOT_FOUND))?;
    if let Expiry::Write(expired) = silence::expire(&row.silence, time::now_ms()) {
        write(&app, &[&expired]).await?;
    }
    Ok(StatusCode::OK)
}

fn wanted(posted: posted::PostedSilence, tenant: &str) -> v1::Silence {
    let matcher = |matcher: posted::PostedMatcher| {
        let kind = match Op::from_flags(matcher.is_equal, matcher.is_regex) {
            Op::Equal => v1::matcher::Type::Equal,
            Op::NotEqual => v1::matcher::Type::NotEqual,
            Op::Regex => v1::matcher::Type::Regexp,
            Op::NotRegex => v1::matcher::Type::NotRegexp,
        };
        v1::Matcher { r#type: kind.into(), name: matcher.name, pattern: matcher.value }
    };
    v1::Silence {
        id: posted.id,
        tenant: tenant.to_owned(),
        matchers: posted.matchers.into_iter().map(matcher).collect(),
        starts_at_ms: posted.starts_at_ms,
        ends_at_ms: posted.ends_at_ms,
        updated_at_ms: 0, // set by the decision
        created_by: posted.created_by,
        comment: posted.comment,
    }
}

/// A refusal in Alertmanager's words: times are judged by its API, all else by its store of silences.
fn refused(error: SetError) -> ApiError {
    match error {
        SetError::NotFound { .. } => ApiError::Said(StatusCode::NOT_FOUND, "silence not found".to_owned()),
        SetError::Invalid(SilenceError::EndsBeforeStart) => {
            ApiError::bad_request("Failed to create silence: start time must be before end time")
        }
        SetError::Invalid(SilenceError::EndsInThePast) => {
            ApiError::bad_request("Failed to create silence: end time can't be in the past")
        }
        SetError::Invalid(error) => ApiError::bad_request(error.to_string()),
    }
}

/// The id in its one form, lower case with dashes.
fn checked_id(id: &str) -> Result<String, ApiError> {
    let parsed = uuid::Uuid::try_parse(id);
    parsed.map(|id| id.to_string()).map_err(|_| ApiError::wrong_format("silenceID", "path", "uuid", id))
}

/// Appends silences; the caller holds the turn.
async fn write(app: &App, silences: &[&v1::Silence]) -> Result<(), ApiError> {
    let record = |silence: &&v1::Silence| {
        let key = key::silence(&silence.tenant, &silence.id);
        Record::new(Arc::clone(&app.names.silences), key, silence.encode_to_vec())
    };
    let writer = app.link.writer(app.config.read_wait).await?;
    let positions = writer.append(silences.iter().map(record).collect()).await.map_err(|error| {
        app.metrics.append_failed(error.kind());
        ApiError::append_failed(&error)
    })?;
    app.own_writes.silences.remember(&positions);
    Ok(())
}

/// The views for a decision about a silence: never on old news.
async fn for_decision(app: &App) -> Result<Arc<Pictures>, ApiError> {
    match reads::silences(app).await? {
        (pictures, Freshness::Current) => Ok(pictures),
        (_, Freshness::Behind) => Err(ApiError::unavailable(UNREAD)),
    }
}
