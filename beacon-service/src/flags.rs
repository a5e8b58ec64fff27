//! Flags of the log and of a process's part of an application.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{Log, check_topic_name};
use beacon_core::runtime::{AppConfig, Membership, StateLocation};
use beacon_proto::topics::{self, Topics};

use crate::checkpoints::CheckpointFlags;
use crate::logging::LoggingFlags;
use crate::metrics::MetricsFlags;

/// Where Kafka is. What is set by `--kafka.config` may be a password and is not shown by `Debug`.
#[derive(Clone, clap::Args)]
pub struct KafkaFlags {
    /// Brokers to begin with, `host:port` separated by commas.
    #[arg(long = "kafka.bootstrap-servers", value_name = "HOSTS", env = "KAFKA_BOOTSTRAP_SERVERS", global = true)]
    pub bootstrap_servers: Option<String>,
    /// A setting of librdkafka, such as `security.protocol=SASL_SSL`. May be repeated. Passwords belong into a file
    /// given by --kafka.config-file, where other users of the machine do not see them.
    #[arg(id = "kafka_config", long = "kafka.config", value_name = "NAME=VALUE", value_parser = name_value, global = true)]
    pub config: Vec<(String, String)>,
    /// A file of such settings, one `name=value` a line.
    #[arg(
        id = "kafka_config_file",
        long = "kafka.config-file",
        value_name = "FILE",
        env = "BEACON_KAFKA_CONFIG_FILE",
        global = true
    )]
    pub config_file: Option<PathBuf>,
}

impl fmt::Debug for KafkaFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.config.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("KafkaFlags")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("config", &names)
            .field("config_file", &self.config_file)
            .finish()
    }
}

/// Which topics are ours.
#[derive(Clone, Debug, clap::Args)]
pub struct TopicFlags {
    /// Put before the name of every topic and group, so that several installations share a broker.
    #[arg(
        long = "topic-prefix",
        value_name = "PREFIX",
        env = "BEACON_TOPIC_PREFIX",
        default_value = "beacon.",
        value_parser = prefix,
        global = true
    )]
    pub prefix: String,
    /// Partitions of the topics: how far the work can be spread. Fixed once the topics exist.
    #[arg(long = "partitions", value_name = "COUNT", env = "BEACON_PARTITIONS", global = true)]
    pub partitions: Option<u32>,
}

impl TopicFlags {
    /// The topics under the prefix.
    pub fn topics(&self) -> Topics {
        Topics::new(self.prefix.clone())
    }

    /// Partitions when nothing is said: enough for several machines on Kafka, few for one machine.
    pub fn partitions(&self, on_kafka: bool) -> u32 {
        self.partitions.unwrap_or(if on_kafka { 8 } else { 2 }).max(1)
    }
}

/// How a group takes a process; see [`Membership`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MembershipFlag {
    /// Known by its instance name.
    #[default]
    Static,
    /// Comes and goes.
    Dynamic,
}

impl From<MembershipFlag> for Membership {
    fn from(flag: MembershipFlag) -> Self {
        match flag {
            MembershipFlag::Static => Self::Static,
            MembershipFlag::Dynamic => Self::Dynamic,
        }
    }
}

/// How this process works together with others of its kind.
#[derive(Clone, Debug, clap::Args)]
pub struct TogetherFlags {
    /// How its group takes this process: `static` has its tasks wait for its return, up to ten seconds, and moves no other;
    /// `dynamic` gives them to the others at once when it stops, and others work on meanwhile (KIP-848, where the broker
    /// speaks it). The same for all processes of a kind.
    #[arg(long = "membership", value_name = "HOW", env = "BEACON_MEMBERSHIP", value_enum, default_value_t)]
    pub membership: MembershipFlag,
    /// Tasks of other processes that this one keeps warm copies of, so that what moves here is answered for sooner. With
    /// two processes half of the partitions is a copy of each task; each costs the disk of a task and the reading of its
    /// changelog.
    #[arg(long = "standbys", value_name = "COUNT", env = "BEACON_STANDBYS", default_value_t = 0)]
    pub standbys: u32,
}

impl TogetherFlags {
    /// Puts them into the settings of the engine.
    pub fn apply(&self, config: &mut AppConfig) {
        config.membership = self.membership.into();
        config.standbys = self.standbys;
    }
}

/// This process among those of its application.
#[derive(Clone, Debug, clap::Args)]
pub struct InstanceFlags {
    /// Directory for state on this machine. Losing it costs time, not data.
    #[arg(long = "state.dir", value_name = "DIR", default_value = "state")]
    pub state_dir: PathBuf,
    /// Name of this process among its kind: unique, and the same after a restart. In a Kubernetes StatefulSet: the
    /// pod's name.
    #[arg(long = "instance", value_name = "NAME", env = "BEACON_INSTANCE", default_value = "0")]
    pub instance: String,
    /// With others of its kind.
    #[command(flatten)]
    pub together: TogetherFlags,
    /// Stream threads, each a member of the group with transactions of its own. More are worth it when one core is not
    /// enough: when the lag grows while this process uses all of one.
    #[arg(long = "threads", value_name = "COUNT", default_value_t = 1)]
    pub threads: u32,
    /// Longest time from a record to its commit, in milliseconds.
    #[arg(long = "commit-interval-ms", value_name = "MS", default_value_t = 100)]
    pub commit_interval_ms: u64,
}

/// What a process with a part of one application takes: worker and notifier alike.
#[derive(Clone, Debug, clap::Args)]
pub struct ProcessFlags {
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: KafkaFlags,
    /// Which topics are ours.
    #[command(flatten)]
    pub topics: TopicFlags,
    /// This process among its kind.
    #[command(flatten)]
    pub instance: InstanceFlags,
    /// Checkpoints of its state.
    #[command(flatten)]
    pub checkpoints: CheckpointFlags,
    /// Metrics.
    #[command(flatten)]
    pub metrics: MetricsFlags,
    /// Logging.
    #[command(flatten)]
    pub logging: LoggingFlags,
}

impl ProcessFlags {
    /// Settings of the engine for a process on Kafka.
    ///
    /// # Errors
    /// When the storage of checkpoints cannot be opened.
    pub async fn app_config(&self) -> anyhow::Result<AppConfig> {
        let mut config = self.instance.app_config(self.topics.partitions(true));
        config.checkpoints = self.checkpoints.open(None).await?;
        Ok(config)
    }
}

impl InstanceFlags {
    /// Settings of the engine.
    pub fn app_config(&self, partitions: u32) -> AppConfig {
        let mut config = AppConfig::new(partitions);
        config.threads = self.threads.max(1);
        config.instance.clone_from(&self.instance);
        self.together.apply(&mut config);
        config.state = StateLocation::Directory(self.state_dir.clone());
        config.commit_interval = Duration::from_millis(self.commit_interval_ms.max(1));
        config
    }
}

impl KafkaFlags {
    /// Connects to Kafka; for tools.
    ///
    /// # Errors
    /// When no broker was named, a setting is wrong, or nobody answers.
    pub fn connect(&self) -> anyhow::Result<Arc<dyn Log>> {
        let log = KafkaLog::connect(self.config()?).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(log)
    }

    /// A Kafka that need not be there yet: after a power cut brokers and Beacon start together.
    ///
    /// # Errors
    /// When no broker was named, or a setting is wrong.
    pub fn connect_later(&self) -> anyhow::Result<Arc<dyn Log>> {
        let log = KafkaLog::connect_later(self.config()?).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(log)
    }

    fn config(&self) -> anyhow::Result<KafkaConfig> {
        let servers = self
            .bootstrap_servers
            .as_ref()
            .context("no Kafka named: give --kafka.bootstrap-servers HOST:PORT or set KAFKA_BOOTSTRAP_SERVERS")?;
        let mut config = KafkaConfig::new(servers.clone());
        if let Some(path) = &self.config_file {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("--kafka.config-file {}", path.display()))?;
            for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
                if !line.is_empty() && !line.starts_with('#') {
                    let (name, value) = line
                        .split_once('=')
                        .with_context(|| format!("{}:{number}: expected name=value", path.display()))?;
                    config.extra.insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
        }
        config.extra.extend(self.config.iter().cloned());
        Ok(config)
    }
}

/// What topics can be called that begin with it.
fn prefix(text: &str) -> Result<String, String> {
    let example = Topics::new(text).name(topics::DEAD_LETTERS);
    check_topic_name(&example).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        instance: InstanceFlags,
    }

    #[test]
    fn what_is_said_of_a_process_reaches_the_engine() {
        let said = ["worker", "--instance", "w-1", "--membership", "dynamic", "--standbys", "4", "--threads", "2"];
        let config = Program::parse_from(said).instance.app_config(8);
        assert_eq!((config.instance.as_str(), config.membership), ("w-1", Membership::Dynamic));
        assert_eq!((config.partitions, config.standbys, config.threads), (8, 4, 2));
    }

    #[test]
    fn a_membership_that_does_not_exist_is_refused_by_name() {
        let Err(refused) = Program::try_parse_from(["worker", "--membership", "sticky"]) else { panic!("taken") };
        let told = refused.to_string();
        assert!(told.contains("sticky") && told.contains("static") && told.contains("dynamic"), "{told}");
    }
}
