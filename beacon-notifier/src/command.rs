//! The command line of the notifier process.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use beacon_service::flags::ProcessFlags;
use beacon_service::metrics::{self, Observed};
use beacon_service::{running, signals};

use crate::Dispatcher;
use crate::channel::terminal::Terminal;

/// Delivers Beacon's notifications, read from Kafka. Any number of these, each with its own --instance, share the work.
#[derive(Debug, clap::Parser)]
#[command(name = "beacon-notifier", version)]
pub struct Arguments {
    /// The plan, as the gateway has it: an alertmanager.yml. Only receivers are read; SIGHUP reads them again.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: PathBuf,
    /// Where people reach the gateway: links in notifications begin with it.
    #[arg(long = "web.external-url", value_name = "URL", default_value = "")]
    pub external_url: String,
    /// The log, the topics, this process among its kind.
    #[command(flatten)]
    pub process: ProcessFlags,
}

/// Runs until a signal asks it to stop. Logging must be set up.
///
/// # Errors
/// Wrong settings, or why the notifier ended. A log that is away is waited for.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let mut reloads = signals::reloads()?;
    let plan = crate::read_plan(&arguments.config_file)?;
    if arguments.external_url.is_empty() {
        tracing::warn!(
            "without --web.external-url, notifications have no link to Beacon; give the address of the gateway"
        );
    }
    let dispatcher = Arc::new(Dispatcher::new(plan.receivers(), &arguments.external_url, Terminal::stdout())?);
    let reloaded = Arc::clone(&dispatcher);
    let path = arguments.config_file.clone();
    tokio::spawn(async move {
        while reloads.changed().await.is_ok() {
            let result =
                crate::read_plan(&path).and_then(|plan| reloaded.reload(plan.receivers()).map_err(anyhow::Error::from));
            match result {
                Ok(()) => tracing::info!("receivers read again"),
                Err(error) => tracing::error!(%error, "the receivers stay as they were"),
            }
        }
    });
    let process = &arguments.process;
    let config = process.app_config().await?;
    let log = process.kafka.connect_later()?;
    tracing::info!(log = log.describe(), instance = config.instance, "notifier starts");
    let runtime = tokio::runtime::Handle::current();
    let observed = Observed::new(Arc::clone(&log));
    let deliveries = dispatcher.metrics();
    observed.add_text(move || deliveries.render());
    let mut stop = dispatcher.attempts().finished_after(shutdown.clone());
    let app = crate::start(log, &process.topics.topics(), config, dispatcher, runtime)?;
    observed.add(app.watch());
    metrics::serve_observed_if_asked(&process.metrics, observed, shutdown).await?;
    running::until_stopped(app, &mut stop).await.context("notifier")
}
