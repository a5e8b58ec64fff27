//! Health, readiness, reload and metrics: what machines ask.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beacon_core::metrics::Dialect;

use crate::app::App;
use crate::error::ApiError;
use crate::reload::{ReloadError, Reloader};
use crate::{alerts, silences, time};

/// 200 as soon as HTTP answers.
pub async fn healthy() -> &'static str {
    "OK"
}

/// 200 once appends are possible and the plan in force is known, which may be another than that of the file; until then 503 with
/// the reason, at once.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.link.writer(std::time::Duration::ZERO).await {
        Ok(_) if app.plan.is_known() => "OK".into_response(),
        Ok(_) => ApiError::unavailable("the plan in force is not known yet: the topic of plans is being read")
            .into_response(),
        Err(error) => error.into_response(),
    }
}

/// Reads the plan again. 500 with the reason when it is bad, 503 when it could not be published, 409 when it was replaced by a
/// newer one and not changed since; the old one stays.
pub async fn reload(State(app): State<Arc<App>>) -> Response {
    match Reloader::new(app).reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error @ ReloadError::Refused(_)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
        Err(error @ ReloadError::Unpublished(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
        Err(error @ ReloadError::Replaced(_)) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}

/// All metrics, as OpenMetrics for those who ask for it and in Prometheus's older format for all others. Counts alerts and silences
/// anew each time.
pub async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let dialect = Dialect::for_accept(accept);
    let more = match &app.config.more_metrics {
        Some(more) => more(dialect).await,
        None => String::new(),
    };
    let counting = tokio::task::spawn_blocking(move || {
        let counts = count(&app, time::now_ms());
        app.metrics.render(&counts)
    });
    match counting.await {
        Ok(text) => {
            // The end of the format stands once, after all families.
            let text = dialect.rewrite(&text) + &more + dialect.end();
            ([(header::CONTENT_TYPE, HeaderValue::from_static(dialect.content_type()))], text).into_response()
        }
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("counting failed: {panic}\n")).into_response(),
    }
}

fn count(app: &App, now_ms: i64) -> crate::metrics::Counts {
    let plan_in_force = app.plan.own_is_in_force();
    let Some(pictures) = app.link.pictures_now() else {
        return crate::metrics::Counts { plan_in_force, ..crate::metrics::Counts::default() };
    };
    let silences = silences::Muting::of(&pictures.silences, &app.config.tenant, now_ms);
    let (alerts_active, alerts_suppressed) = alerts::count(&pictures.alerts, &app.config.tenant, &silences, now_ms);
    let [silences_active, silences_pending, silences_expired] =
        silences::count(&pictures.silences, &app.config.tenant, now_ms);
    crate::metrics::Counts {
        plan_in_force,
        alerts_active,
        alerts_suppressed,
        silences_active,
        silences_pending,
        silences_expired,
        alerts_lag: app.own_writes.alerts.lag(&pictures.alerts_reflected),
        silences_lag: app.own_writes.silences.lag(pictures.silences.progress()),
        broken_records: pictures.alerts.broken_records()
            + pictures.silences.broken_records()
            + pictures.plans.broken_records(),
    }
}
