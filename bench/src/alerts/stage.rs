//! The systems under test as running processes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use scenari::binaries;
use scenari::ports::free_port;
use scenari::process::{Launch, Process};
use scenari::world::{Role, World};
use serde::Serialize;
use tempfile::TempDir;

use crate::broker::Broker;

/// What takes alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Debian's prometheus-alertmanager, without gossip.
    Alertmanager,
    /// `beacon alertmanager` on the embedded log: one process.
    Embedded,
    /// Gateway, worker and notifier on Kafka: three processes.
    Kafka,
}

impl System {
    /// In the order they are measured.
    pub const ALL: [Self; 3] = [Self::Alertmanager, Self::Embedded, Self::Kafka];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Alertmanager => "Alertmanager",
            Self::Embedded => "Beacon, embedded log",
            Self::Kafka => "Beacon on Kafka",
        }
    }
}

/// A system that is ready; ended when dropped.
pub struct Stage {
    url: String,
    pids: Vec<u32>,
    _keep: Keep,
}

/// Only held.
#[allow(dead_code, reason = "what runs is ended by its drop")]
enum Keep {
    World(World),
    Alertmanager(Process, TempDir),
}

impl Stage {
    /// Starts it with this `alertmanager.yml`; returns when it is ready.
    ///
    /// # Errors
    /// It does not get ready; its output is shown.
    pub fn start(system: System, broker: &Broker, config: &str) -> Result<Self> {
        match system {
            System::Alertmanager => Self::alertmanager(config),
            System::Embedded => Ok(Self::beacon(World::embedded(config), &[Role::Gateway])),
            System::Kafka => {
                let roles = [Role::Gateway, Role::Worker(0), Role::Notifier];
                Ok(Self::beacon(World::kafka_on(broker.kafka(), config), &roles))
            }
        }
    }

    fn beacon(mut world: World, roles: &[Role]) -> Self {
        let pids = roles.iter().map(|role| world.process(*role).pid()).collect();
        Self { url: world.url(), pids, _keep: Keep::World(world) }
    }

    fn alertmanager(config: &str) -> Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a directory for Alertmanager")?;
        let file = directory.path().join("alertmanager.yml");
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let program = binaries::installed("prometheus-alertmanager", "prometheus-alertmanager");
        let address = format!("127.0.0.1:{}", free_port());
        let mut process = Launch::new("alertmanager", program, directory.path())
            .arg("--config.file")
            .arg(&file)
            .arg("--storage.path")
            .arg(directory.path().join("data"))
            .args(["--web.listen-address", &address])
            .args(["--cluster.listen-address", ""])
            .start()?;
        let url = format!("http://{address}");
        process.wait_ready(&format!("{url}/-/ready"), Duration::from_secs(30))?;
        let pids = vec![process.pid()];
        Ok(Self { url, pids, _keep: Keep::Alertmanager(process, directory) })
    }

    /// Base URL of its API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All its processes; a broker is not among them.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }
}
