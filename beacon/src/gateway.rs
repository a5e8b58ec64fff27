//! `beacon gateway`: HTTP in and out, on Kafka.

use std::path::PathBuf;
use std::time::Duration;

use beacon_gateway::{Gateway, GatewayConfig, PlanSource};
use beacon_service::flags::{KafkaFlags, TopicFlags};
use beacon_service::signals;

use crate::alertmanager::duration;

/// Flags of `beacon gateway`.
#[derive(Debug, clap::Args)]
pub struct GatewayArguments {
    /// The plan: an alertmanager.yml. It is published for the workers, without its secrets.
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: PathBuf,
    /// Where to listen.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = ":9093")]
    listen: String,
    /// Under which URL people reach this.
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<String>,
    /// Path before all routes; default: that of the external URL.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    route_prefix: Option<String>,
    /// How long expired silences are kept; give all gateways of an installation the same, `beacon alertmanager` included.
    #[arg(long = "data.retention", value_name = "DURATION", default_value = "120h", value_parser = duration)]
    retention: Duration,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    topics: TopicFlags,
}

/// Runs until a signal.
pub async fn run(arguments: GatewayArguments) -> anyhow::Result<()> {
    let mut config = GatewayConfig::new(PlanSource::File(arguments.config_file));
    config.listen = arguments.listen;
    config.external_url = arguments.external_url;
    config.route_prefix = arguments.route_prefix;
    config.silence_retention = arguments.retention;
    config.topics = arguments.topics.topics();
    config.partitions = arguments.topics.partitions(true);
    let shutdown = signals::shutdown()?;
    // HTTP answers first; what needs Kafka says why it waits.
    let gateway = Gateway::bind(config, arguments.kafka.connect_later()?).await?;
    reload_on_sighup(&gateway)?;
    gateway.serve(shutdown).await
}

/// Reads the gateway's plan again at each SIGHUP, as long as the process lives.
///
/// # Errors
/// When the process may not handle signals.
pub fn reload_on_sighup(gateway: &Gateway) -> anyhow::Result<()> {
    let mut reloads = signals::reloads()?;
    let reloader = gateway.reloader();
    tokio::spawn(async move {
        while reloads.changed().await.is_ok() {
            // Success and failure are logged where they happen.
            let _ = reloader.reload().await;
        }
    });
    Ok(())
}
