//! The requests that the stand-in answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::json;

use super::objects::{Objects, Session, Unmet};
use super::{BUCKET, SUBJECT};

const TOKEN: &str = "google-token-hush";

type Shared = State<Arc<Mutex<Objects>>>;
type Options = Query<HashMap<String, String>>;

pub(super) fn service(shared: Arc<Mutex<Objects>>) -> Router {
    let signed = Router::new()
        .route("/upload/storage/v1/b/{bucket}/o", post(upload))
        .route("/storage/v1/b/{bucket}/o", get(list))
        .route("/storage/v1/b/{bucket}/o/{object}", get(download).delete(delete))
        .route("/{bucket}/{object}", post(begin_or_complete_parts).put(put_part).delete(abort_parts))
        .layer(from_fn(with_token_and_bucket));
    Router::new()
        .route("/v1/token", post(token))
        // The address of a session is its login.
        .route("/session/{id}", put(continue_session).delete(end_session))
        .merge(signed)
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

fn lock(shared: &Mutex<Objects>) -> MutexGuard<'_, Objects> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure(status: StatusCode, reason: &str, message: &str) -> Response {
    let errors = json!([{ "domain": "global", "reason": reason, "message": message }]);
    (status, Json(json!({ "error": { "code": status.as_u16(), "message": message, "errors": errors } })))
        .into_response()
}

impl IntoResponse for Unmet {
    fn into_response(self) -> Response {
        let message = "At least one of the pre-conditions you specified did not hold.";
        failure(StatusCode::PRECONDITION_FAILED, "conditionNotMet", message)
    }
}

fn no_object() -> Response {
    failure(StatusCode::NOT_FOUND, "notFound", "No such object")
}

async fn token(body: String) -> Response {
    const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
    let subject = format!("subject_token={SUBJECT}");
    let says = |wanted: &str| body.split('&').any(|pair| pair == wanted);
    if says(EXCHANGE) && says(&subject) {
        let token = json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600 });
        return Json(token).into_response();
    }
    (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response()
}

async fn with_token_and_bucket(Path(path): Path<HashMap<String, String>>, request: Request, next: Next) -> Response {
    let login = request.headers().get("authorization").and_then(|login| login.to_str().ok());
    if login != Some(&format!("Bearer {TOKEN}")) {
        return failure(StatusCode::UNAUTHORIZED, "required", "Login Required");
    }
    if path.get("bucket").map(String::as_str) != Some(BUCKET) {
        return failure(StatusCode::NOT_FOUND, "notFound", "The specified bucket does not exist.");
    }
    next.run(request).await
}

/// `uploadType=media`: the object in one request; `resumable`: an address to send it to.
async fn upload(State(shared): Shared, Query(options): Options, headers: HeaderMap, body: Bytes) -> Response {
    let Some(name) = options.get("name") else { return failure(StatusCode::BAD_REQUEST, "required", "no name") };
    let generation = match options.get("ifGenerationMatch").map(|text| text.parse()) {
        None => None,
        Some(Ok(generation)) => Some(generation),
        Some(Err(_)) => return failure(StatusCode::BAD_REQUEST, "invalid", "ifGenerationMatch is no number"),
    };
    let mut objects = lock(&shared);
    objects.begun.push((name.clone(), generation));
    match options.get("uploadType").map(String::as_str) {
        Some("media") => match objects.put(name, body, generation) {
            Ok(described) => Json(described).into_response(),
            Err(unmet) => unmet.into_response(),
        },
        Some("resumable") => {
            if let Err(unmet) = objects.check(name, generation) {
                return unmet.into_response();
            }
            let id = objects.next().to_string();
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let location = format!("http://{host}/session/{id}");
            objects.sessions.insert(id, Session { name: name.clone(), generation, bytes: Vec::new() });
            (StatusCode::OK, [("location", location)]).into_response()
        }
        _ => failure(StatusCode::BAD_REQUEST, "invalid", "uploadType"),
    }
}

/// `content-range: bytes 0-99/100` with the last bytes, `bytes 0-99/*` with others, `bytes */100` to ask or for nothing.
async fn continue_session(State(shared): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut objects = lock(&shared);
    let Some(session) = objects.sessions.get_mut(&id) else { return no_object() };
    let range = headers.get("content-range").and_then(|range| range.to_str().ok()).unwrap_or_default();
    let Some((part, total)) = range.strip_prefix("bytes ").and_then(|range| range.split_once('/')) else {
        return failure(StatusCode::BAD_REQUEST, "invalid", "content-range");
    };
    if let Some((start, _)) = part.split_once('-') {
        let start: usize = start.parse().unwrap_or(usize::MAX);
        if start > session.bytes.len() {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "backendError", "a gap in the bytes");
        }
        session.bytes.truncate(start);
        session.bytes.extend_from_slice(&body);
    }
    if total.parse() == Ok(session.bytes.len()) {
        let (name, generation) = (session.name.clone(), session.generation);
        let bytes = std::mem::take(&mut session.bytes);
        objects.sessions.remove(&id);
        return match objects.put(&name, bytes.into(), generation) {
            Ok(described) => Json(described).into_response(),
            Err(unmet) => unmet.into_response(),
        };
    }
    match session.bytes.len() {
        0 => StatusCode::PERMANENT_REDIRECT.into_response(),
        length => (StatusCode::PERMANENT_REDIRECT, [("range", format!("bytes=0-{}", length - 1))]).into_response(),
    }
}

async fn end_session(State(shared): Shared, Path(id): Path<String>) -> Response {
    lock(&shared).sessions.remove(&id);
    StatusCode::from_u16(499).expect("a status").into_response()
}

async fn list(State(shared): Shared, Query(options): Options) -> Response {
    let prefix = options.get("prefix").map(String::as_str).unwrap_or_default();
    Json(lock(&shared).list(prefix, options.get("pageToken").map(String::as_str))).into_response()
}

async fn download(State(shared): Shared, Path((_, name)): Path<(String, String)>, Query(options): Options) -> Response {
    match lock(&shared).get(&name) {
        Some(bytes) if options.get("alt").is_some_and(|alt| alt == "media") => bytes.into_response(),
        Some(_) => failure(StatusCode::NOT_IMPLEMENTED, "notImplemented", "metadata alone"),
        None => no_object(),
    }
}

async fn delete(State(shared): Shared, Path((_, name)): Path<(String, String)>) -> Response {
    if lock(&shared).delete(&name) { StatusCode::NO_CONTENT.into_response() } else { no_object() }
}

/// The XML API: `?uploads` begins, `?uploadId=…` puts the parts together in their order.
async fn begin_or_complete_parts(
    State(shared): Shared,
    Path((_, name)): Path<(String, String)>,
    Query(options): Options,
    body: String,
) -> Response {
    let mut objects = lock(&shared);
    if options.contains_key("uploads") {
        objects.begun.push((name.clone(), None));
        let id = objects.next().to_string();
        let answer = format!(
            "<?xml version=\"1.0\"?><InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{name}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        objects.parts.insert(id, (name, Default::default()));
        return answer.into_response();
    }
    let Some((name, parts)) = options.get("uploadId").and_then(|id| objects.parts.remove(id)) else {
        return no_object();
    };
    if body.matches("<PartNumber>").count() != parts.len() {
        return failure(StatusCode::BAD_REQUEST, "invalid", "other parts are named than there are");
    }
    let bytes: Vec<u8> = parts.into_values().flatten().collect();
    match objects.put(&name, bytes.into(), None) {
        Ok(_) => "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>".into_response(),
        Err(unmet) => unmet.into_response(),
    }
}

async fn put_part(State(shared): Shared, Query(options): Options, body: Bytes) -> Response {
    let mut objects = lock(&shared);
    let number = options.get("partNumber").and_then(|number| number.parse().ok());
    let upload = options.get("uploadId").and_then(|id| objects.parts.get_mut(id));
    let (Some(number), Some((_, parts))) = (number, upload) else { return no_object() };
    parts.insert(number, body);
    (StatusCode::OK, [("etag", format!("\"part-{number}\""))]).into_response()
}

async fn abort_parts(State(shared): Shared, Query(options): Options) -> Response {
    if let Some(id) = options.get("uploadId") {
        lock(&shared).parts.remove(id);
    }
    StatusCode::NO_CONTENT.into_response()
}
