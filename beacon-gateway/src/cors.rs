//! Cross-origin access as Alertmanager's API allows it: from every page, for simple requests and JSON posts.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers preflights, and lets every origin read the answers of the API.
pub async fn allow_all_origins(request: Request, next: Next) -> Response {
    let from_a_page = request.headers().contains_key(header::ORIGIN);
    let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD).cloned();
    let mut response = match wanted {
        Some(wanted) if from_a_page && request.method() == Method::OPTIONS => preflight(&wanted),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if from_a_page {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response
}

fn preflight(wanted: &HeaderValue) -> Response {
    let simple = [Method::GET, Method::POST, Method::HEAD].iter().any(|method| method.as_str() == wanted);
    if !simple {
        return ().into_response();
    }
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, wanted.clone()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type")),
    ];
    allowed.into_response()
}
