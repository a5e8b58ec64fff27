//! `GET /api/v2/status` and `GET /api/v2/receivers`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::alerts::ReceiverName;
use crate::app::App;
use crate::error::json;
use crate::time::ApiTime;

#[derive(Serialize)]
struct Status<'a> {
    cluster: Cluster,
    config: Config<'a>,
    uptime: ApiTime,
    #[serde(rename = "versionInfo")]
    version_info: VersionInfo,
}

/// What Alertmanager says without its gossip: members share a log here, none knows of the others.
#[derive(Serialize)]
struct Cluster {
    peers: [(); 0],
    status: &'static str,
}

#[derive(Serialize)]
struct Config<'a> {
    original: &'a str,
}

/// Alertmanager's fields; what has no meaning here is empty, because clients expect all of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo {
    branch: &'static str,
    build_date: &'static str,
    build_user: &'static str,
    go_version: &'static str,
    revision: &'static str,
    version: &'static str,
}

/// Version, start time, and the plan in force without its secrets.
pub async fn get_status(State(app): State<Arc<App>>) -> Response {
    json(&Status {
        cluster: Cluster { peers: [], status: "disabled" },
        config: Config { original: app.plan.in_force().status_yaml() },
        uptime: ApiTime(app.started_at_ms),
        version_info: VersionInfo {
            branch: "",
            build_date: "",
            build_user: "",
            go_version: "",
            revision: "",
            version: env!("CARGO_PKG_VERSION"),
        },
    })
}

/// The names of all receivers of the plan, in its order.
pub async fn get_receivers(State(app): State<Arc<App>>) -> Response {
    let plan = app.plan.in_force();
    json(&plan.receivers().iter().map(|receiver| ReceiverName { name: &receiver.name }).collect::<Vec<_>>())
}
