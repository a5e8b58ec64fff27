//! What a request's body must be before anybody reads it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};

use crate::error::ApiError;

/// The body, when it came as JSON.
///
/// # Errors
/// 415 with Alertmanager's words for another content type, or none; 413 when larger than `limit_bytes`; 400 when it
/// could not be received.
pub fn json(headers: &HeaderMap, body: Result<Bytes, BytesRejection>, limit_bytes: usize) -> Result<Bytes, ApiError> {
    check_type(headers)?;
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(limit_bytes),
        _ => ApiError::Coded(StatusCode::BAD_REQUEST, 400, rejection.body_text()),
    })
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = match given.split(';').next().map(str::trim) {
        None | Some("") => "application/octet-stream",
        Some(media_type) => media_type,
    };
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::Coded(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        415,
        format!("unsupported media type {media_type:?}, only [application/json] are allowed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken_whatever_its_parameters() {
        let check = |given: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::CONTENT_TYPE, given.parse().expect("a header"));
            }
            check_type(&headers).map_err(|error| error.status().as_u16())
        };
        assert_eq!(check(Some("application/json")), Ok(()));
        assert_eq!(check(Some("Application/JSON; charset=utf-8")), Ok(()));
        assert_eq!(check(Some("text/plain")), Err(415));
        assert_eq!(check(None), Err(415));
    }
}
