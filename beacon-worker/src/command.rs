//! The command line of the worker process.

use std::sync::Arc;

use anyhow::Context;
use beacon_service::flags::ProcessFlags;
use beacon_service::{metrics, running, signals};

/// Runs Beacon's alert pipeline on Kafka. Any number of these, each with its own --instance, share the work.
#[derive(Debug, clap::Parser)]
#[command(name = "beacon-worker", version)]
pub struct Arguments {
    /// The log, the topics, this process among its kind.
    #[command(flatten)]
    pub process: ProcessFlags,
}

/// Runs until a signal asks it to stop. Logging must be set up.
///
/// # Errors
/// Wrong settings, or why the worker ended. A log that is away is waited for.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut shutdown = signals::shutdown()?;
    let process = &arguments.process;
    let config = process.app_config().await?;
    let log = process.kafka.connect_later()?;
    tracing::info!(log = log.describe(), instance = config.instance, "worker starts");
    let app = crate::start(Arc::clone(&log), &process.topics.topics(), config)?;
    metrics::serve_if_asked(&process.metrics, log, app.watch(), shutdown.clone()).await?;
    running::until_stopped(app, &mut shutdown).await.context("worker")
}
