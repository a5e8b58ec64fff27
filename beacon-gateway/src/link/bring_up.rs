//! From nothing to a working log connection: topics, then appends, then views, each tried again while that may help;
//! and new views when one of them has failed.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use beacon_core::log::{Log, LogError, LogErrorKind};

use super::{Link, Pictures, TopicNames, Writer};
use crate::config::GatewayConfig;
use crate::plan::PlanCell;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often the views are looked after.
const LOOK: Duration = Duration::from_millis(500);
/// The same while plans are read, which is what readiness waits for.
const SOON: Duration = Duration::from_millis(10);

/// Tells a blocking thread to give up.
#[derive(Debug, Default)]
pub struct StopFlag {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopFlag {
    /// From now on, and for good.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Rests for `pause`, or less when stopped; says whether it is stopped.
    fn rest(&self, pause: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = self.changed.wait_timeout_while(stopped, pause, |stopped| !*stopped);
        *rested.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Whether the same call may succeed later without anybody changing a setting.
fn may_pass(error: &LogError) -> bool {
    matches!(error.kind(), LogErrorKind::Retriable | LogErrorKind::Full | LogErrorKind::Abortable)
}

/// Gives the link everything, then looks after the views; blocks until `stop` was called. Appends are possible before
/// the views are there, and while they are made anew. `plan` follows the topic of plans.
///
/// # Errors
/// What trying again cannot mend: a topic with another partition count, a refused login, a damaged directory.
pub fn bring_up(
    link: &Link,
    plan: &Arc<PlanCell>,
    log: &dyn Log,
    config: &GatewayConfig,
    stop: &StopFlag,
) -> Result<(), LogError> {
    let names = TopicNames::new(&config.topics);
    let specs = config.topics.specs(config.partitions);
    let Some(()) = persist(link, stop, "create the topics", || log.create_topics(&specs))? else { return Ok(()) };
    let Some(appender) = persist(link, stop, "open an appender", || log.appender())? else { return Ok(()) };
    link.set_writer(Writer::new(appender, config.append_timeout));
    loop {
        let Some(pictures) = persist(link, stop, "start the views", || Pictures::start(log, &names, plan))? else {
            return Ok(());
        };
        link.set_pictures(pictures);
        let mut plans_are_read = false;
        while let Some(pictures) = link.pictures_now().filter(|pictures| pictures.ended().is_none()) {
            if !plans_are_read && pictures.plans.is_caught_up() {
                plan.all_read();
                plans_are_read = true;
            }
            // Whoever closes the link lets go of the last one.
            drop(pictures);
            if stop.rest(if plans_are_read { LOOK } else { SOON }) {
                return Ok(());
            }
        }
        tracing::warn!("a view has failed; all of them are made anew");
        // Not in a hurry: what failed may fail again at once.
        if stop.rest(FIRST_PAUSE) {
            return Ok(());
        }
    }
}

/// Tries until it works; `None` when stopped before.
fn persist<T>(
    link: &Link,
    stop: &StopFlag,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, LogError>,
) -> Result<Option<T>, LogError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Ok(value) => return Ok(Some(value)),
            Err(error) if may_pass(&error) => {
                tracing::warn!(%error, retry_in_ms = pause.as_millis() as u64, "cannot {what} yet");
                link.set_trouble(format!("cannot {what} yet: {error}"));
                if stop.rest(pause) {
                    return Ok(None);
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => {
                link.set_trouble(format!("cannot {what}: {error}"));
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_trouble_is_outlived_and_a_wrong_setting_is_not() {
        let link = Link::default();
        let stop = StopFlag::default();
        let mut attempts = 0;
        let outcome = persist(&link, &stop, "x", || {
            attempts += 1;
            if attempts < 3 { Err(LogError::new(LogErrorKind::Retriable, "away")) } else { Ok(attempts) }
        });
        assert_eq!(outcome.expect("in the end"), Some(3));
        let outcome = persist::<()>(&link, &stop, "x", || Err(LogError::new(LogErrorKind::Mismatch, "8, not 4")));
        assert_eq!(outcome.expect_err("for good").kind(), LogErrorKind::Mismatch);
    }

    #[test]
    fn a_stop_ends_the_trying() {
        let stop = StopFlag::default();
        stop.stop();
        let outcome =
            persist::<()>(&Link::default(), &stop, "x", || Err(LogError::new(LogErrorKind::Retriable, "away")));
        assert_eq!(outcome.expect("stopped"), None);
    }

    #[tokio::test]
    async fn a_request_before_the_log_is_there_is_told_why() {
        let link = Link::default();
        link.set_trouble("cannot create the topics yet: broker away".to_owned());
        let error = link.writer(Duration::from_millis(1)).await.expect_err("nothing there");
        assert_eq!(error.status().as_u16(), 503);
        assert!(format!("{error:?}").contains("broker away"));
    }
}
