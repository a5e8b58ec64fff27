//! `beacon alertmanager`: a drop-in, with Alertmanager's flags.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_gateway::{GatewayConfig, PlanSource};
use beacon_service::checkpoints::CheckpointFlags;
use beacon_service::flags::{KafkaFlags, TogetherFlags, TopicFlags};

use crate::all_in_one::{AllInOne, CHECKPOINTS, Parts, host_name};

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
    together: TogetherFlags,
    /// Refused unless empty: TLS and passwords on the web port are not supported yet; put a proxy before it.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config: Option<String>,
    /// Refused: sockets of systemd are not supported; give --web.listen-address.
    #[arg(long = "web.systemd-socket", hide = true)]
    systemd_socket: bool,
    #[command(flatten)]
    without_effect: WithoutEffect,
    #[command(flatten)]
    checkpoints: CheckpointFlags,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    topics: TopicFlags,
}

/// Flags of Alertmanager that tune what Beacon does not have (gossip, garbage collection): taken, so that command lines
/// go on working, and said to have no effect.
#[derive(Debug, clap::Args)]
struct WithoutEffect {
    #[arg(long = "alerts.gc-interval", hide = true)]
    gc_interval: Option<String>,
    #[arg(long = "web.timeout", hide = true)]
    web_timeout: Option<String>,
    #[arg(long = "web.get-concurrency", hide = true)]
    get_concurrency: Option<String>,
    #[arg(long = "cluster.advertise-address", hide = true)]
    advertise_address: Option<String>,
    #[arg(long = "cluster.peer-timeout", hide = true)]
    peer_timeout: Option<String>,
    #[arg(long = "cluster.gossip-interval", hide = true)]
    gossip_interval: Option<String>,
    #[arg(long = "cluster.pushpull-interval", hide = true)]
    pushpull_interval: Option<String>,
    #[arg(long = "cluster.tcp-timeout", hide = true)]
    tcp_timeout: Option<String>,
    #[arg(long = "cluster.probe-timeout", hide = true)]
    probe_timeout: Option<String>,
    #[arg(long = "cluster.probe-interval", hide = true)]
    probe_interval: Option<String>,
    #[arg(long = "cluster.settle-timeout", hide = true)]
    settle_timeout: Option<String>,
    #[arg(long = "cluster.reconnect-interval", hide = true)]
    reconnect_interval: Option<String>,
    #[arg(long = "cluster.reconnect-timeout", hide = true)]
    reconnect_timeout: Option<String>,
    #[arg(long = "cluster.label", hide = true)]
    label: Option<String>,
    #[arg(long = "cluster.tls-config", hide = true)]
    tls_config: Option<String>,
    #[arg(
        long = "cluster.allow-insecure-public-advertise-address-discovery",
        hide = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    advertise_discovery: Option<String>,
    #[arg(long = "cluster.peers-resolve-timeout", hide = true)]
    peers_resolve_timeout: Option<String>,
    #[arg(long = "data.maintenance-interval", hide = true)]
    maintenance_interval: Option<String>,
    #[arg(long = "silences.max-silences", hide = true)]
    max_silences: Option<String>,
    #[arg(long = "silences.max-silence-size-bytes", hide = true)]
    max_silence_size: Option<String>,
    #[arg(long = "web.ui-path", hide = true)]
    ui_path: Option<String>,
    #[arg(long = "enable-feature", hide = true)]
    features: Option<String>,
}

impl WithoutEffect {
    fn given(&self) -> Vec<&'static str> {
        [
            ("--alerts.gc-interval", &self.gc_interval),
            ("--web.timeout", &self.web_timeout),
            ("--web.get-concurrency", &self.get_concurrency),
            ("--cluster.advertise-address", &self.advertise_address),
            ("--cluster.peer-timeout", &self.peer_timeout),
            ("--cluster.gossip-interval", &self.gossip_interval),
            ("--cluster.pushpull-interval", &self.pushpull_interval),
            ("--cluster.tcp-timeout", &self.tcp_timeout),
            ("--cluster.probe-timeout", &self.probe_timeout),
            ("--cluster.probe-interval", &self.probe_interval),
            ("--cluster.settle-timeout", &self.settle_timeout),
            ("--cluster.reconnect-interval", &self.reconnect_interval),
            ("--cluster.reconnect-timeout", &self.reconnect_timeout),
            ("--cluster.label", &self.label),
            ("--cluster.tls-config", &self.tls_config),
            ("--cluster.allow-insecure-public-advertise-address-discovery", &self.advertise_discovery),
            ("--cluster.peers-resolve-timeout", &self.peers_resolve_timeout),
            ("--data.maintenance-interval", &self.maintenance_interval),
            ("--silences.max-silences", &self.max_silences),
            ("--silences.max-silence-size-bytes", &self.max_silence_size),
            ("--web.ui-path", &self.ui_path),
            ("--enable-feature", &self.features),
        ]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(name, _)| name)
        .collect()
    }
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
    if let Some(path) = arguments.web_config.as_ref().filter(|path| !path.is_empty()) {
        bail!(
            "--web.config.file={path}: TLS and passwords on the web port are not supported yet, and serving without them \
             would open what you meant to protect; put a proxy before Beacon and drop the flag"
        );
    }
    if arguments.systemd_socket {
        bail!(
            "--web.systemd-socket: sockets of systemd are not supported; drop the flag and give --web.listen-address"
        );
    }
    let without_effect = arguments.without_effect.given();
    if !without_effect.is_empty() {
        tracing::warn!(flags = without_effect.join(" "), "these flags of Alertmanager have no effect here");
    }
    if arguments.cluster_listen.as_ref().is_some_and(|address| !address.is_empty()) {
        tracing::warn!("--cluster.listen-address: nothing listens there; members share a Kafka instead of gossiping");
    }
    let mut gateway = GatewayConfig::new(PlanSource::File(arguments.config_file.clone()));
    gateway.alone = !on_kafka;
    gateway.listen.clone_from(&arguments.listen);
    gateway.external_url.clone_from(&arguments.external_url);
    gateway.route_prefix.clone_from(&arguments.route_prefix);
    gateway.topics = arguments.topics.topics();
    gateway.partitions = arguments.topics.partitions(on_kafka);
    gateway.silence_retention = arguments.retention;
    let log: Arc<dyn Log> = if on_kafka {
        // HTTP answers first; what needs Kafka says why it waits.
        arguments.kafka.connect_later()?
    } else {
        EmbeddedLog::open(arguments.storage_path.join("log"))
            .with_context(|| format!("--storage.path {}", arguments.storage_path.display()))?
    };
    let state_dir = arguments.storage_path.join("state");
    let instance = arguments.instance.clone().unwrap_or_else(|| {
        if on_kafka { format!("{}-{}", host_name(), port_of(&arguments.listen)) } else { "0".to_owned() }
    });
    let parts = Parts {
        gateway,
        state_dir: &state_dir,
        instance,
        together: Some(arguments.together),
        checkpoints: arguments.checkpoints.clone(),
        // On Kafka members share their checkpoints, which a folder of one machine is not for.
        checkpoint_folder: (!on_kafka).then(|| arguments.storage_path.join(CHECKPOINTS)),
    };
    AllInOne::start(log, parts).await?.run().await
}

/// A duration as Prometheus writes it.
pub fn duration(text: &str) -> Result<Duration, String> {
    beacon_plan::duration::parse(text).map_err(|error| error.to_string())
}

fn port_of(listen: &str) -> &str {
    listen.rsplit(':').next().unwrap_or(listen)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: AlertmanagerArguments,
    }

    fn parse(arguments: &[&str]) -> Result<AlertmanagerArguments, clap::Error> {
        let command = Command::try_parse_from(std::iter::once(&"alertmanager").chain(arguments));
        command.map(|command| command.arguments)
    }

    /// What `prometheus-alertmanager --help` prints, 0.25, and what later ones print beside it; logging is for all commands.
    const FLAGS: [&str; 34] = [
        "--config.file=alertmanager.yml",
        "--storage.path=data/",
        "--data.retention=120h",
        "--data.maintenance-interval=15m",
        "--alerts.gc-interval=30m",
        "--web.systemd-socket",
        "--web.listen-address=:9093",
        "--web.config.file=",
        "--web.external-url=http://example.org",
        "--web.route-prefix=/",
        "--web.get-concurrency=0",
        "--web.timeout=0",
        "--web.ui-path=/usr/share/prometheus/alertmanager/ui/",
        "--cluster.listen-address=0.0.0.0:9094",
        "--cluster.advertise-address=192.0.2.1:9094",
        "--cluster.peer=192.0.2.2:9094",
        "--cluster.peer=192.0.2.3:9094",
        "--cluster.peer-timeout=15s",
        "--cluster.gossip-interval=200ms",
        "--cluster.pushpull-interval=1m",
        "--cluster.tcp-timeout=10s",
        "--cluster.probe-timeout=500ms",
        "--cluster.probe-interval=1s",
        "--cluster.settle-timeout=1m",
        "--cluster.reconnect-interval=10s",
        "--cluster.reconnect-timeout=6h",
        "--cluster.tls-config=",
        "--cluster.allow-insecure-public-advertise-address-discovery",
        "--cluster.label=",
        "--cluster.peers-resolve-timeout=15s",
        "--silences.max-silences=0",
        "--silences.max-silence-size-bytes=0",
        "--enable-feature=",
        "--data.retention=5d",
    ];

    #[test]
    fn every_flag_that_alertmanager_prints_is_known() {
        for flag in FLAGS {
            if let Err(error) = parse(&[flag]) {
                panic!("{error}");
            }
        }
        let given =
            parse(&["--data.maintenance-interval=15m", "--cluster.tls-config=tls.yml"]).expect("both are known");
        assert_eq!(given.without_effect.given(), ["--cluster.tls-config", "--data.maintenance-interval"]);
    }

    #[tokio::test]
    async fn a_socket_of_systemd_is_refused_and_not_ignored() {
        let error = run(parse(&["--web.systemd-socket"]).expect("it is known")).await.expect_err("it is refused");
        assert!(error.to_string().contains("--web.listen-address"), "{error}");
    }
}
