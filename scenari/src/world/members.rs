//! Which processes an installation consists of, and with which flags they are started.

use std::path::{Path, PathBuf};

use crate::binaries::workspace;
use crate::process::Launch;

/// Where below `--storage.path` the embedded log is.
pub(super) const LOG_DIRECTORY: &str = "log";
/// What Beacon puts before the names of its topics unless told otherwise.
pub(super) const DEFAULT_PREFIX: &str = "beacon.";
/// Enough for two workers with two threads each; every partition more costs files and commit time.
const PARTITIONS: &str = "4";

/// What a process does in an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// HTTP in and out. On the embedded log it stands for the one process that does everything.
    Gateway,
    /// The pipeline; the number is its instance, from 0.
    Worker(u32),
    /// Delivery.
    Notifier,
}

pub(super) enum Shape {
    Embedded { storage: PathBuf },
    Kafka { bootstrap: String, prefix: String, states: PathBuf },
}

/// What all members of an installation share.
pub(super) struct Place<'a> {
    pub(super) logs: &'a Path,
    pub(super) config: &'a Path,
    pub(super) port: u16,
}

impl Shape {
    /// The members that every world of this shape begins with.
    pub(super) fn roles(&self) -> Vec<Role> {
        match self {
            Self::Embedded { .. } => vec![Role::Gateway],
            Self::Kafka { .. } => vec![Role::Gateway, Role::Worker(0), Role::Notifier],
        }
    }

    /// Whose process plays the role.
    pub(super) fn played_by(&self, role: Role) -> Role {
        match self {
            Self::Embedded { .. } => Role::Gateway,
            Self::Kafka { .. } => role,
        }
    }

    pub(super) fn launch(&self, role: Role, place: &Place<'_>) -> Launch {
        let listen = format!("127.0.0.1:{}", place.port);
        match self {
            Self::Embedded { storage } => Launch::new("beacon", workspace("beacon"), place.logs)
                // A broker found in the environment would put it on Kafka.
                .env_remove("KAFKA_BOOTSTRAP_SERVERS")
                .env_remove("BEACON_TOPIC_PREFIX")
                .arg("alertmanager")
                .arg("--config.file")
                .arg(place.config)
                .arg("--storage.path")
                .arg(storage)
                .args(["--web.listen-address", &listen])
                .args(["--partitions", PARTITIONS]),
            Self::Kafka { bootstrap, prefix, states } => {
                let state = |name: String| states.join(name);
                let launch = match role {
                    Role::Gateway => Launch::new("gateway", workspace("beacon"), place.logs)
                        .arg("gateway")
                        .arg("--config.file")
                        .arg(place.config)
                        .args(["--web.listen-address", &listen]),
                    Role::Worker(instance) => {
                        Launch::new(format!("worker-{instance}"), workspace("beacon-worker"), place.logs)
                            .arg("--state.dir")
                            .arg(state(format!("worker-{instance}")))
                            .args(["--instance", &instance.to_string(), "--threads", "2"])
                    }
                    Role::Notifier => Launch::new("notifier", workspace("beacon-notifier"), place.logs)
                        .arg("--config.file")
                        .arg(place.config)
                        .arg("--state.dir")
                        .arg(state("notifier".to_owned()))
                        .args(["--instance", "0"]),
                };
                launch
                    .env_remove("KAFKA_BOOTSTRAP_SERVERS")
                    .env_remove("BEACON_TOPIC_PREFIX")
                    .args(["--kafka.bootstrap-servers", bootstrap])
                    .args(["--topic-prefix", prefix])
                    .args(["--partitions", PARTITIONS])
            }
        }
    }
}
