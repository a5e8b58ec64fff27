//! `beacon alertmanager`: a drop-in, with Alertmanager's flags.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_gateway::{GatewayConfig, PlanSource};
use beacon_service::flags::{KafkaFlags, TopicFlags};

use crate::all_in_one::{AllInOne, Parts};

/// Alertmanager's flags, and where to find a Kafka.
#[derive(Debug, clap::Args)]
pub struct AlertmanagerArguments {
    /// Configuration file.
    #[arg(long = "config.file", value_name = "FILE", default_value = "alertmanager.yml")]
    config_file: PathBuf,
    /// Where the embedded log and state are kept; with Kafka: state only.
    #[arg(long = "storage.path", value_name = "DIR", default_value = "data/")]
    storage_path: PathBuf,
    /// How long expired silences are kept.
    #[arg(long = "data.retention", value_name = "DURATION", default_value = "120h", value_parser = duration)]
    retention: Duration,
    /// Where to listen.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = ":9093")]
    listen: String,
    /// Under which URL people reach this: links in notifications begin with it.
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<String>,
    /// Path before all routes; default: that of the external URL.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    route_prefix: Option<String>,
    /// Accepted when empty, or to say that there is no gossip: members share a Kafka instead.
    #[arg(long = "cluster.listen-address", value_name = "HOST:PORT")]
    cluster_listen: Option<String>,
    /// Other members; needs Kafka, by which members find each other.
    #[arg(long = "cluster.peer", value_name = "HOST:PORT")]
    cluster_peers: Vec<String>,
    /// Name of this member, unique and the same after a restart; needed with Kafka only. Default: the host's name and
    /// the port.
    #[arg(long = "instance", value_name = "NAME", env = "BEACON_INSTANCE")]
    instance: Option<String>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    topics: TopicFlags,
}

/// Runs until a signal.
pub async fn run(arguments: AlertmanagerArguments) -> anyhow::Result<()> {
    let on_kafka = arguments.kafka.bootstrap_servers.is_some();
    if !arguments.cluster_peers.is_empty() && !on_kafka {
        bail!(
            "--cluster.peer: members of Beacon do not gossip, they share a Kafka. Give --kafka.bootstrap-servers to \
             each member (with the same --topic-prefix), or drop --cluster.peer to run a single one"
        );
    }
    if arguments.cluster_listen.as_ref().is_some_and(|address| !address.is_empty()) {
        tracing::warn!("--cluster.listen-address: nothing listens there; members share a Kafka instead of gossiping");
    }
    let mut gateway = GatewayConfig::new(PlanSource::File(arguments.config_file.clone()));
    gateway.listen.clone_from(&arguments.listen);
    gateway.external_url.clone_from(&arguments.external_url);
    gateway.route_prefix.clone_from(&arguments.route_prefix);
    gateway.topics = arguments.topics.topics();
    gateway.partitions = arguments.topics.partitions(on_kafka);
    gateway.silence_retention = arguments.retention;
    let log: Arc<dyn Log> = if on_kafka {
        let kafka = arguments.kafka.clone();
        tokio::task::spawn_blocking(move || kafka.connect()).await??
    } else {
        EmbeddedLog::open(arguments.storage_path.join("log"))
            .with_context(|| format!("--storage.path {}", arguments.storage_path.display()))?
    };
    let state_dir = arguments.storage_path.join("state");
    let instance = arguments.instance.clone().unwrap_or_else(|| {
        if on_kafka { format!("{}-{}", host_name(), port_of(&arguments.listen)) } else { "0".to_owned() }
    });
    AllInOne::start(log, Parts { gateway, state_dir: &state_dir, instance }).await?.run().await
}

fn duration(text: &str) -> Result<Duration, String> {
    beacon_plan::duration::parse(text).map_err(|error| error.to_string())
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

fn port_of(listen: &str) -> &str {
    listen.rsplit(':').next().unwrap_or(listen)
}
