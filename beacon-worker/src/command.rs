//! The command line of the worker process.

use anyhow::Context;
use beacon_service::{flags, logging, running, signals};

/// Runs Beacon's alert pipeline on Kafka. Any number of these, each with its own --instance, share the work.
#[derive(Debug, clap::Parser)]
#[command(name = "beacon-worker", version)]
pub struct Arguments {
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: flags::KafkaFlags,
    /// Which topics are ours.
    #[command(flatten)]
    pub topics: flags::TopicFlags,
    /// This process among its kind.
    #[command(flatten)]
    pub instance: flags::InstanceFlags,
    /// Logging.
    #[command(flatten)]
    pub logging: logging::LoggingFlags,
}

/// Runs until a signal asks it to stop. Logging must be set up.
///
/// # Errors
/// Wrong settings, a log that cannot be reached, or why the worker ended.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut shutdown = signals::shutdown()?;
    let log = arguments.kafka.connect()?;
    let config = arguments.instance.app_config(arguments.topics.partitions(true));
    tracing::info!(log = log.describe(), instance = config.instance, "worker starts");
    let app = crate::start(log, &arguments.topics.topics(), config)?;
    running::until_stopped(app, &mut shutdown).await.context("worker")
}
