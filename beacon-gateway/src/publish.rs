//! Puts the plan on the topic `plans`, without its secrets, when the newest there is another and was not put there to
//! replace it.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::Record;
use beacon_core::view::WaitError;
use beacon_proto::v1;
use prost::Message;
use tokio::sync::watch;

use crate::app::App;
use crate::error::ApiError;
use crate::plan::OwnPlan;
use crate::time::{self, ApiTime};

/// The id, and key, of the one plan of an installation.
pub const PLAN_ID: &str = "alertmanager.yml";
/// How many versions back a plan is known to have been replaced.
const REMEMBERED: usize = 200;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a plan was not published.
#[derive(Debug)]
pub enum Unpublished {
    /// The log is not there or does not take it.
    Later(ApiError),
    /// It was replaced, and nobody has said since that it is wanted again; the text says how to.
    Replaced(String),
}

/// Who asks for a plan to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A process that has just read its file, which may have been lying there for long.
    ByStart,
    /// Somebody who has changed the file of a running process: whatever it says is news.
    ByChange,
}

/// What becomes of a plan.
#[derive(Debug, PartialEq)]
enum Decision {
    /// An unchanged plan is not a new message, so that a restart or a reload of the same file tells nobody anything.
    InForce,
    Publish(v1::Plan),
    Replaced(String),
}

/// Decides by the newest plan on the topic. What it replaced is old, unless the file was written since it was published:
/// then somebody went back to it on purpose.
fn decide(newest: Option<&v1::Plan>, own: &OwnPlan, asked: Asked, now_ms: i64) -> Decision {
    let version = own.plan.version();
    let mut replaced = Vec::new();
    if let Some(newest) = newest {
        if newest.version == version {
            return Decision::InForce;
        }
        let is_old = own.written_ms.is_none_or(|written_ms| written_ms <= newest.published_at_ms);
        if asked == Asked::ByStart && is_old && newest.replaced.iter().any(|replaced| replaced == version) {
            // Two clocks: of the gateway that published, and of whatever wrote the file.
            let written = match own.written_ms {
                Some(written_ms) => format!("written at {}", ApiTime(written_ms)),
                None => "written at a time that is not known".to_owned(),
            };
            return Decision::Replaced(format!(
                "the plan of {} (version {version}) was replaced by version {}, published at {}, and its file was not written \
                 since ({written}): give this process the current file; or, to go back to this one on purpose, touch it and reload",
                own.plan.name(),
                newest.version,
                ApiTime(newest.published_at_ms)
            ));
        }
        let before = newest.replaced.iter().filter(|before| *before != version && **before != newest.version);
        replaced = std::iter::once(&newest.version).chain(before).take(REMEMBERED).cloned().collect();
    }
    Decision::Publish(v1::Plan {
        id: PLAN_ID.to_owned(),
        version: version.to_owned(),
        alertmanager_yaml: own.plan.redacted_yaml().to_owned(),
        published_at_ms: now_ms,
        replaced,
    })
}

/// Publishes the plan unless it is in force already; returns when it is durable. One at a time: the caller holds
/// [`App::plan_turn`].
///
/// # Errors
/// See [`Unpublished`].
pub async fn publish(app: &App, own: &OwnPlan, asked: Asked) -> Result<(), Unpublished> {
    let pictures = app.link.pictures(app.config.read_wait).await.map_err(Unpublished::Later)?;
    let all_read = async {
        pictures.plans.caught_up().await?;
        // So that what is published below is in force here, too, once it is seen.
        app.plan.known().await;
        Ok::<_, WaitError>(())
    };
    let all_read = tokio::time::timeout(app.config.append_timeout, all_read).await;
    all_read
        .map_err(|_| Unpublished::Later(ApiError::unavailable("the topic of plans is not read to its end yet")))?
        .map_err(|error| Unpublished::Later(ApiError::unavailable(error.to_string())))?;
    let asked = if app.config.alone { Asked::ByChange } else { asked };
    let message = match decide(pictures.plans.get(PLAN_ID).as_deref(), own, asked, time::now_ms()) {
        Decision::InForce => return Ok(()),
        Decision::Replaced(why) => return Err(Unpublished::Replaced(why)),
        Decision::Publish(message) => message,
    };
    let writer = app.link.writer(app.config.read_wait).await.map_err(Unpublished::Later)?;
    let record = Record::new(Arc::clone(&app.names.plans), PLAN_ID, message.encode_to_vec());
    let positions = writer.append(vec![record]).await.map_err(|error| {
        app.metrics.append_failed(error.kind());
        Unpublished::Later(ApiError::append_failed(&error))
    })?;
    tracing::info!(version = message.version, "plan published");
    // So that the next comparison is with this one, however soon it comes.
    for position in positions {
        let seen = pictures.plans.progress().reached(position.partition, position.offset);
        if tokio::time::timeout(app.config.read_wait, seen).await.is_err() {
            tracing::warn!("the published plan is not seen yet");
        }
    }
    Ok(())
}

/// Publishes the plan in use as soon as the log can be written; tries until it works, or is not wanted, or the gateway
/// closes.
pub async fn publish_at_start(app: Arc<App>, mut closed: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let published = {
            let _turn = app.plan_turn.lock().await;
            publish(&app, &app.plan.own(), Asked::ByStart).await
        };
        match published {
            Ok(()) => return,
            Err(Unpublished::Replaced(why)) => {
                tracing::error!("{why}");
                return;
            }
            Err(Unpublished::Later(error)) => {
                tracing::warn!(?error, retry_in_ms = pause.as_millis() as u64, "the plan is not published yet");
            }
        }
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use beacon_plan::Plan;

    use super::*;

    fn own(receiver: &str, written_ms: i64) -> OwnPlan {
        let text = format!("route: {{receiver: {receiver}}}\nreceivers: [{{name: {receiver}}}]\n");
        let plan = Arc::new(Plan::parse(&text, "alertmanager.yml").expect("a good plan"));
        OwnPlan { plan, written_ms: Some(written_ms) }
    }

    fn published(newest: Option<&v1::Plan>, own: &OwnPlan, asked: Asked, now_ms: i64) -> v1::Plan {
        match decide(newest, own, asked, now_ms) {
            Decision::Publish(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_start_publishes_what_is_new_and_not_what_was_replaced() {
        let (old, new) = (own("old", 10), own("new", 20));
        let first = published(None, &old, Asked::ByStart, 15);
        assert_eq!(decide(Some(&first), &old, Asked::ByStart, 16), Decision::InForce);
        let second = published(Some(&first), &new, Asked::ByStart, 30);
        assert_eq!(second.replaced, [old.plan.version()]);
        match decide(Some(&second), &old, Asked::ByStart, 40) {
            Decision::Replaced(why) => {
                assert!(
                    why.contains("alertmanager.yml") && why.contains(new.plan.version()) && why.contains("touch"),
                    "{why}"
                );
                // Clocks of two machines are compared: who is refused can see which one is wrong.
                for time in ["published at 1970-01-01T00:00:00.030Z", "written at 1970-01-01T00:00:00.010Z"] {
                    assert!(why.contains(time), "{time}: {why}");
                }
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_that_was_written_since_or_changed_under_a_running_process_goes_back() {
        let (old, new) = (own("old", 10), own("new", 20));
        let second = published(Some(&published(None, &old, Asked::ByStart, 15)), &new, Asked::ByStart, 30);
        let back = published(Some(&second), &own("old", 31), Asked::ByStart, 40);
        assert_eq!(back.replaced, [new.plan.version()], "what is in force is not among what was replaced");
        published(Some(&second), &old, Asked::ByChange, 40);
        // Now the other is old.
        assert!(matches!(decide(Some(&back), &new, Asked::ByStart, 50), Decision::Replaced(_)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut newest = published(None, &own("r0", 0), Asked::ByStart, 1);
        for number in 1..=REMEMBERED + 5 {
            newest = published(Some(&newest), &own(&format!("r{number}"), 0), Asked::ByStart, 1);
        }
        assert_eq!(newest.replaced.len(), REMEMBERED);
    }
}
