//! The page at `/`: what this is and where to go.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;

use crate::app::App;

/// A plain page with links that work under the route prefix.
pub async fn page(State(app): State<Arc<App>>) -> Html<String> {
    let prefix = app.config.prefix();
    let state = match (app.link.writer_now(), app.link.pictures_now()) {
        (Some(_), Some(_)) => "It takes alerts.",
        (Some(_), None) => "It takes alerts; what it shows is still being read.",
        _ => "It is connecting to its log; alerts are refused (503) until then.",
    };
    Html(format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Beacon</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 45rem; margin: 3rem auto; padding: 0 1rem }}</style>
<h1>Beacon</h1>
<p>This is the gateway of Beacon {version}, which takes alerts as Alertmanager does and keeps them in a log. {state}</p>
<ul>
<li><a href="{prefix}/api/v2/alerts">Alerts</a>, <a href="{prefix}/api/v2/alerts/groups">groups</a>,
<a href="{prefix}/api/v2/silences">silences</a>, <a href="{prefix}/api/v2/receivers">receivers</a> (API version 2, JSON)</li>
<li><a href="{prefix}/api/v2/status">Status and plan</a></li>
<li><a href="{prefix}/metrics">Metrics</a></li>
</ul>
<p>Point Prometheus here with <code>alerting: alertmanagers:</code> in its configuration, and
<code>amtool --alertmanager.url</code> at this address.</p>
</html>
"#,
        version = env!("CARGO_PKG_VERSION"),
    ))
}
