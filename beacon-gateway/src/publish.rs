//! Puts the plan on the topic `plans`, without its secrets, when the newest there is another.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::Record;
use beacon_plan::Plan;
use beacon_proto::v1;
use prost::Message;
use tokio::sync::watch;

use crate::app::App;
use crate::error::ApiError;
use crate::time;

/// The id, and key, of the one plan of an installation.
pub const PLAN_ID: &str = "alertmanager.yml";
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to put on the topic, if anything: an unchanged plan is not a new message, so that a restart or a reload of the
/// same file tells nobody anything.
fn message_for(newest: Option<&v1::Plan>, plan: &Plan, now_ms: i64) -> Option<v1::Plan> {
    if newest.is_some_and(|newest| newest.version == plan.version()) {
        return None;
    }
    Some(v1::Plan {
        id: PLAN_ID.to_owned(),
        version: plan.version().to_owned(),
        alertmanager_yaml: plan.redacted_yaml().to_owned(),
        published_at_ms: now_ms,
    })
}

/// Publishes `plan` unless it is the newest already; returns when it is durable.
///
/// # Errors
/// 503 when the log is not there or does not take it.
pub async fn publish(app: &App, plan: &Plan) -> Result<(), ApiError> {
    let pictures = app.link.pictures(app.config.read_wait).await?;
    let all_read = tokio::time::timeout(app.config.append_timeout, pictures.plans.caught_up()).await;
    all_read
        .map_err(|_| ApiError::unavailable("the topic of plans is not read to its end yet"))?
        .map_err(|error| ApiError::unavailable(error.to_string()))?;
    let Some(message) = message_for(pictures.plans.get(PLAN_ID).as_deref(), plan, time::now_ms()) else {
        return Ok(());
    };
    let writer = app.link.writer(app.config.read_wait).await?;
    let record = Record::new(Arc::clone(&app.names.plans), PLAN_ID, message.encode_to_vec());
    let positions = writer.append(vec![record]).await.map_err(|error| {
        app.metrics.append_failed(error.kind());
        ApiError::append_failed(&error)
    })?;
    tracing::info!(version = plan.version(), "plan published");
    // So that the next comparison is with this one, however soon it comes.
    for position in positions {
        let seen = pictures.plans.progress().reached(position.partition, position.offset);
        if tokio::time::timeout(app.config.read_wait, seen).await.is_err() {
            tracing::warn!("the published plan is not seen yet");
        }
    }
    Ok(())
}

/// Publishes the plan in use as soon as the log can be written; tries until it works or the gateway closes.
pub async fn publish_at_start(app: Arc<App>, mut closed: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(error) = publish(&app, &app.plan.now()).await else { return };
        tracing::warn!(?error, retry_in_ms = pause.as_millis() as u64, "the plan is not published yet");
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
