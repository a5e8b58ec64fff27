//! `GET /api/v2/alerts`: what is firing, filtered and printed as Alertmanager does.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use beacon_core::view::View;
use serde::Serialize;

use crate::app::App;
use crate::error::{ApiError, json_bytes};
use crate::query::{AlertQuery, pass};
use crate::reads;
use crate::row::{AlertRow, PairsOf};
use crate::silences::Muting;
use crate::time::{self, ApiTime};

/// An alert as the API prints it; the order of the fields is Alertmanager's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableAlert<'a> {
    annotations: PairsOf<'a>,
    ends_at: ApiTime,
    fingerprint: String,
    receivers: Vec<ReceiverName<'a>>,
    starts_at: ApiTime,
    status: AlertStatus<'a>,
    updated_at: ApiTime,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: PairsOf<'a>,
}

/// `{"name": …}`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReceiverName<'a> {
    /// As in the plan.
    pub name: &'a str,
}

/// What keeps an alert from being told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus<'a> {
    inhibited_by: Vec<&'a str>,
    muted_by: Vec<&'a str>,
    silenced_by: Vec<&'a str>,
    state: &'static str,
}

impl<'a> AlertStatus<'a> {
    /// Suppressed when anything suppresses it, else active. Plans with inhibition or mute times are refused for now, so
    /// silences are all there is.
    pub fn of(row: &AlertRow, muting: &'a Muting) -> Self {
        let silenced_by = muting.silences_of(row);
        let state = if silenced_by.is_empty() { "active" } else { "suppressed" };
        Self { inhibited_by: Vec::new(), muted_by: Vec::new(), silenced_by, state }
    }

    /// Whether a listing shows an alert of this status.
    pub fn is_wanted(&self, query: &AlertQuery) -> bool {
        (query.active || self.state != "active")
            && (query.silenced || self.silenced_by.is_empty())
            && (query.inhibited || self.inhibited_by.is_empty())
    }
}

impl<'a> GettableAlert<'a> {
    /// Prints `row` with the given receivers.
    pub fn new(row: &'a AlertRow, status: AlertStatus<'a>, receivers: impl Iterator<Item = &'a str>) -> Self {
        Self {
            annotations: row.annotations(),
            ends_at: ApiTime(row.ends_at_ms),
            fingerprint: format!("{:016x}", row.fingerprint),
            receivers: receivers.map(|name| ReceiverName { name }).collect(),
            starts_at: ApiTime(row.starts_at_ms),
            status,
            updated_at: ApiTime(row.updated_at_ms),
            generator_url: row.generator_url(),
            labels: row.labels(),
        }
    }
}

/// Alerts that have not ended, by fingerprint; none is `[]`.
///
/// # Errors
/// 400 for a filter that is none, 503 while the log is away.
pub async fn get_alerts(
    State(app): State<Arc<App>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    list(app, &pairs, |_, rows, query, muting| render(rows, query, muting)).await
}

/// Answers with what `render` makes of the alerts that have not ended, of the query, and of what mutes.
///
/// # Errors
/// 400 for a filter that is none, 503 while the log is away.
pub async fn list(
    app: Arc<App>,
    pairs: &[(String, String)],
    render: impl FnOnce(&App, &[Arc<AlertRow>], &AlertQuery, &Muting) -> Vec<u8> + Send + 'static,
) -> Result<Response, ApiError> {
    let query = AlertQuery::read(pairs)?;
    let (pictures, freshness) = reads::alerts(&app).await?;
    // A listing of a hundred thousand takes a while: not on a thread that takes alerts in.
    let listing = tokio::task::spawn_blocking(move || {
        let now_ms = time::now_ms();
        let muting = Muting::of(&pictures.silences, &app.config.tenant, now_ms);
        render(&app, &firing(&pictures.alerts, &app.config.tenant, now_ms), &query, &muting)
    });
    let listed = listing.await.map_err(|panic| ApiError::unavailable(format!("the listing failed: {panic}")))?;
    Ok(freshness.mark(json_bytes(listed)))
}

/// The alerts of a tenant that have not ended, by fingerprint.
pub fn firing(alerts: &View<String, AlertRow>, tenant: &str, now_ms: i64) -> Vec<Arc<AlertRow>> {
    let prefix = beacon_proto::key::alert(tenant, "");
    alerts.read(|table| {
        let rows = table.prefix(&prefix).map(|(_, row)| row);
        rows.filter(|row| row.is_firing(now_ms)).map(Arc::clone).collect()
    })
}

/// How many are active, how many suppressed.
pub fn count(alerts: &View<String, AlertRow>, tenant: &str, muting: &Muting, now_ms: i64) -> (u64, u64) {
    let firing = firing(alerts, tenant, now_ms);
    let suppressed = firing.iter().filter(|row| muting.mutes(row)).count();
    ((firing.len() - suppressed) as u64, suppressed as u64)
}

fn render(rows: &[Arc<AlertRow>], query: &AlertQuery, muting: &Muting) -> Vec<u8> {
    let mut body = vec![b'['];
    for row in rows {
        let labels = row.labels();
        if !query.wants_one_of(row.receivers()) || !pass(&query.matchers, |name| labels.get(name)) {
            continue;
        }
        let status = AlertStatus::of(row, muting);
        if !status.is_wanted(query) {
            continue;
        }
        if body.len() > 1 {
            body.push(b',');
        }
        serde_json::to_writer(&mut body, &GettableAlert::new(row, status, row.receivers()))
            .expect("string keys, and a Vec takes all bytes");
    }
    body.extend_from_slice(b"]\n");
    body
}
