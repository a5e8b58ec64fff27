//! Which processes an installation consists of, and with which flags they are started.

use std::path::{Path, PathBuf};

use crate::binaries::workspace;
use crate::process::Launch;

/// Where below `--storage.path` the embedded log is.
pub(super) const LOG_DIRECTORY: &str = "log";
/// What Beacon puts before the names of its topics unless told otherwise.
pub(super) const DEFAULT_PREFIX: &str = "beacon.";
/// Enough for two workers with two threads each; every partition more costs files and commit time.
pub(super) const PARTITIONS: &str = "4";
/// A changelog is trimmed to the oldest of so many.
const KEPT_CHECKPOINTS: &str = "2";

/// What a process does in an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// HTTP in and out. On the embedded log it stands for the one process that does everything.
    Gateway,
    /// The pipeline; the number is its instance, from 0.
    Worker(u32),
    /// Delivery.
    Notifier,
    /// A second gateway, beside the first on Kafka.
    OtherGateway,
    /// A second notifier, beside the first on Kafka.
    OtherNotifier,
}

pub(super) enum Shape {
    Embedded {
        storage: PathBuf,
    },
    /// `flags` are for workers and notifier, beside those they always have.
    Kafka {
        bootstrap: String,
        prefix: String,
        states: PathBuf,
        flags: Vec<String>,
    },
}

/// What all members of an installation share.
pub(super) struct Place<'a> {
    pub(super) logs: &'a Path,
    pub(super) config: &'a Path,
    /// Where checkpoints are kept.
    pub(super) checkpoints: &'a Path,
    /// Where it listens: the API's, and the metrics of those that have no API.
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

    /// Where a role keeps its state; `None`: it has none.
    pub(super) fn state(&self, role: Role) -> Option<PathBuf> {
        match (self, role) {
            (Self::Embedded { storage }, _) => Some(storage.join("state")),
            (Self::Kafka { .. }, Role::Gateway | Role::OtherGateway) => None,
            (Self::Kafka { states, .. }, Role::Worker(instance)) => Some(states.join(format!("worker-{instance}"))),
            (Self::Kafka { states, .. }, Role::Notifier) => Some(states.join("notifier")),
            (Self::Kafka { states, .. }, Role::OtherNotifier) => Some(states.join("notifier-1")),
        }
    }

    pub(super) fn launch(&self, role: Role, place: &Place<'_>) -> Launch {
        let listen = format!("127.0.0.1:{}", place.port);
        // Often and few, so that what is restored in an incident is a checkpoint, and the changelog before it is gone.
        let url = format!("file://{}", place.checkpoints.display());
        let checkpoints =
            ["--checkpoints", &url, "--checkpoints.interval-s", "1", "--checkpoints.keep", KEPT_CHECKPOINTS];
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
                .args(checkpoints)
                .args(["--partitions", PARTITIONS]),
            Self::Kafka { bootstrap, prefix, flags, .. } => {
                // Both have one.
                let state = self.state(role).unwrap_or_default();
                let launch = match role {
                    Role::Gateway | Role::OtherGateway => Launch::new("gateway", workspace("beacon"), place.logs)
                        .arg("gateway")
                        .arg("--config.file")
                        .arg(place.config)
                        .args(["--web.listen-address", &listen]),
                    Role::Worker(instance) => {
                        Launch::new(format!("worker-{instance}"), workspace("beacon-worker"), place.logs)
                            .arg("--state.dir")
                            .arg(state)
                            .args(checkpoints)
                            .args(["--metrics.listen-address", &listen])
                            .args(["--instance", &instance.to_string(), "--threads", "2"])
                            .args(flags)
                    }
                    Role::Notifier | Role::OtherNotifier => {
                        Launch::new("notifier", workspace("beacon-notifier"), place.logs)
                            .arg("--config.file")
                            .arg(place.config)
                            .arg("--state.dir")
                            .arg(state)
                            .args(checkpoints)
                            .args(["--metrics.listen-address", &listen])
                            .args(["--instance", if role == Role::Notifier { "0" } else { "1" }])
                            .args(flags)
                    }
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
