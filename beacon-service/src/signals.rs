//! Signals as values: stop and reload.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes `true` at the first SIGTERM or SIGINT. A second one ends the process at once, for whoever is in a hurry.
///
/// # Errors
/// When the process may not handle signals.
pub fn shutdown() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    tokio::spawn(async move {
        for asked in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked == 0 {
                tracing::info!("stopping: finishing the commit in hand; once more to stop at once");
                let _ = sender.send(true);
            }
        }
        std::process::exit(130);
    });
    Ok(receiver)
}

/// Counts SIGHUPs: each asks for a reload.
///
/// # Errors
/// When the process may not handle signals.
pub fn reloads() -> anyhow::Result<watch::Receiver<u64>> {
    let (sender, receiver) = watch::channel(0);
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(receiver)
}
