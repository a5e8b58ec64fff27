//! Error answers in the three shapes that Alertmanager's API has.
//!
//! Its handlers answer with a JSON string; its generated layer (parsing, required fields, formats, routing) answers
//! `{"code", "message"}` with codes of its own; a few answers have no body. Clients see the difference, so we keep it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beacon_core::log::{LogError, LogErrorKind};
use serde::Serialize;

/// go-openapi's code for a value that is not of its format.
const INVALID_FORMAT: u16 = 601;
/// go-openapi's code for a field that must be there.
const REQUIRED: u16 = 602;
/// go-openapi's code for a list that is too short.
const TOO_FEW: u16 = 612;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// A JSON string: what a handler has to say.
    Said(StatusCode, String),
    /// `{"code", "message"}`: what the layer before the handlers has to say.
    Coded(StatusCode, u16, String),
    /// Only the status.
    Bare(StatusCode),
}

impl ApiError {
    /// 400: the request was understood and is refused.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::Said(StatusCode::BAD_REQUEST, message.into())
    }

    /// 400: the body is not JSON of the right shape. `what` is the operation's name of its body.
    pub fn unparsable(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::Coded(StatusCode::BAD_REQUEST, 400, format!("parsing {what} body from \"\" failed, because {reason}"))
    }

    /// 422: a field that must be there is not.
    pub fn required(field: &str) -> Self {
        Self::Coded(StatusCode::UNPROCESSABLE_ENTITY, REQUIRED, format!("{field} in body is required"))
    }

    /// 422: a list that must not be empty is.
    pub fn at_least_one(field: &str) -> Self {
        let message = format!("{field} in body should have at least 1 items");
        Self::Coded(StatusCode::UNPROCESSABLE_ENTITY, TOO_FEW, message)
    }

    /// 422: a value is not of its format. `place` is `body` or `path`.
    pub fn wrong_format(field: &str, place: &str, format: &str, value: &str) -> Self {
        let message = format!("{field} in {place} must be of type {format}: {value:?}");
        Self::Coded(StatusCode::UNPROCESSABLE_ENTITY, INVALID_FORMAT, message)
    }

    /// 413: the body is larger than this gateway takes.
    pub fn too_large(limit_bytes: usize) -> Self {
        let message = format!("the body is larger than {limit_bytes} bytes: send smaller batches");
        Self::Coded(StatusCode::PAYLOAD_TOO_LARGE, 413, message)
    }

    /// 503: the log cannot take or give anything now; the client should try again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Said(StatusCode::SERVICE_UNAVAILABLE, message.into())
    }

    /// What a failed append means to the client: a record that is too large stays so (413), all else may pass (503).
    pub fn append_failed(error: &LogError) -> Self {
        match error.kind() {
            LogErrorKind::TooLarge => Self::Said(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            _ => Self::unavailable(format!("not accepted, nothing is promised, try again: {error}")),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Said(status, _) | Self::Coded(status, ..) | Self::Bare(status) => *status,
        }
    }
}

#[derive(Serialize)]
struct CodedBody<'a> {
    code: u16,
    message: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = match &self {
            Self::Said(_, message) => json(message),
            Self::Coded(_, code, message) => json(&CodedBody { code: *code, message }),
            Self::Bare(_) => Response::default(),
        };
        *response.status_mut() = status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON answer, with the line end that Go's encoder writes.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Response {
    let mut body = serde_json::to_vec(value).expect("our answers have string keys and no failing parts");
    body.push(b'\n');
    json_bytes(body)
}

/// A JSON answer that is already written.
pub fn json_bytes(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_too_large_is_not_worth_a_retry_and_a_full_disk_is() {
        let status = |kind| ApiError::append_failed(&LogError::new(kind, "x")).status();
        assert_eq!(status(LogErrorKind::TooLarge), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(LogErrorKind::Full), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(LogErrorKind::Retriable), StatusCode::SERVICE_UNAVAILABLE);
    }
}
