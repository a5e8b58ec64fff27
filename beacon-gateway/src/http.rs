//! Which path and method leads to which handler, and what all of them have around them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, delete, get, post};

use crate::app::App;
use crate::error::ApiError;
use crate::{alerts, cors, groups, health, ingest, page, silences, status};

/// All routes, under the route prefix.
pub fn routes(app: Arc<App>) -> Router {
    let prefix = app.config.prefix();
    let limit = DefaultBodyLimit::max(app.config.max_body_bytes);
    let inner = Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(health::metrics))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .route("/-/reload", post(health::reload))
        .merge(api())
        .layer(limit);
    let routes = if prefix.is_empty() {
        inner
    } else {
        let home = format!("{prefix}/");
        let to_home = move || async move { Redirect::temporary(&home) };
        // `nest` leaves out the root with a slash at its end.
        Router::new().route("/", get(to_home)).route(&format!("{prefix}/"), get(page::page)).nest(&prefix, inner)
    };
    routes.fallback(not_found).layer(from_fn_with_state(Arc::clone(&app), measure)).with_state(app)
}

fn api() -> Router<Arc<App>> {
    let refuse = |routes: MethodRouter<Arc<App>>, allowed: &'static str| {
        routes.fallback(move |method: Method| async move { method_not_allowed(&method, allowed) })
    };
    Router::new()
        .route("/api/v2/alerts", refuse(get(alerts::get_alerts).post(ingest::post_alerts), "POST,GET"))
        .route("/api/v2/alerts/groups", refuse(get(groups::get_groups), "GET"))
        .route("/api/v2/receivers", refuse(get(status::get_receivers), "GET"))
        .route("/api/v2/status", refuse(get(status::get_status), "GET"))
        .route("/api/v2/silences", refuse(get(silences::get_silences).post(silences::post_silence), "POST,GET"))
        .route(
            "/api/v2/silence/{id}",
            refuse(delete(silences::delete_silence).get(silences::get_silence), "DELETE,GET"),
        )
        .layer(from_fn(cors::allow_all_origins))
}

fn method_not_allowed(method: &Method, allowed: &'static str) -> Response {
    let message = format!("method {method} is not allowed, but [{allowed}] are");
    let mut response = ApiError::Coded(StatusCode::METHOD_NOT_ALLOWED, 405, message).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    let under_prefix = path.strip_prefix(app.config.prefix().as_str()).unwrap_or(path);
    if under_prefix.starts_with("/api/v2/") {
        let message = format!("path {under_prefix} was not found");
        return ApiError::Coded(StatusCode::NOT_FOUND, 404, message).into_response();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// Routes by which requests are counted; everything else is `other`, so that no client can make up label values.
const HANDLERS: [&str; 11] = [
    "/",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "/api/v2/alerts",
    "/api/v2/alerts/groups",
    "/api/v2/receivers",
    "/api/v2/status",
    "/api/v2/silences",
    "/api/v2/silence/{id}",
];

fn handler_name(matched: Option<&str>, prefix: &str) -> &'static str {
    let path = matched.map_or("", |matched| matched.strip_prefix(prefix).unwrap_or(matched));
    HANDLERS.into_iter().find(|handler| *handler == path).unwrap_or("other")
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        _ => "other",
    }
}

async fn measure(State(app): State<Arc<App>>, matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let handler = handler_name(matched.as_ref().map(MatchedPath::as_str), &app.config.prefix());
    let method = method_name(request.method());
    let begun = Instant::now();
    let response = next.run(request).await;
    app.metrics.answered(handler, method, begun.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_never_by_what_clients_make_up() {
        assert_eq!(handler_name(Some("/api/v2/silence/{id}"), ""), "/api/v2/silence/{id}");
        assert_eq!(handler_name(Some("/am/api/v2/alerts"), "/am"), "/api/v2/alerts");
        assert_eq!(handler_name(Some("/am/"), "/am"), "/");
        assert_eq!(handler_name(None, "/am"), "other");
    }
}
