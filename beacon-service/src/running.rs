//! Waiting for an application of the engine.

use std::time::Duration;

use beacon_core::runtime::{App, AppStatus};
use tokio::sync::watch;

use crate::restoring::Restoring;

/// Waits until the application ends by itself or a stop is asked for, then until it has stopped.
///
/// # Errors
/// Why it ended, unless it was asked to.
pub async fn until_stopped(app: App, shutdown: &mut watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut restoring = Restoring::new(app.application());
    loop {
        tokio::select! {
            changed = shutdown.wait_for(|stop| *stop) => {
                // The sender lives as long as the process.
                let _ = changed;
                app.request_stop();
                break;
            }
            _ = look.tick() => {
                if app.status() == AppStatus::Stopped {
                    break;
                }
                restoring.show(&app.restores());
            }
        }
    }
    drop(restoring);
    let stopped = tokio::task::spawn_blocking(move || app.wait()).await?;
    Ok(stopped?)
}
