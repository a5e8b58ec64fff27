//! Which log a tool works on: the embedded one of a directory, or Kafka.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_service::flags::KafkaFlags;

/// Flags of the log, for tools.
#[derive(Debug, clap::Args)]
pub struct LogFlags {
    /// Data directory of `beacon up` or storage path of `beacon alertmanager`, which must be stopped meanwhile: one
    /// process owns the embedded log. Not needed with Kafka.
    #[arg(long = "data.dir", value_name = "DIR", default_value = "beacon-data", global = true)]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub kafka: KafkaFlags,
}

impl LogFlags {
    /// Whether the log is on Kafka.
    pub fn on_kafka(&self) -> bool {
        self.kafka.bootstrap_servers.is_some()
    }

    /// Opens it; blocks.
    ///
    /// # Errors
    /// A directory that is not there or is in use; a Kafka that does not answer.
    pub fn open(&self) -> anyhow::Result<Arc<dyn Log>> {
        if self.on_kafka() {
            return self.kafka.connect();
        }
        let directory = self.data_dir.join("log");
        if !directory.exists() {
            anyhow::bail!(
                "{} does not exist: give --data.dir, or --kafka.bootstrap-servers for topics on Kafka",
                directory.display()
            );
        }
        Ok(EmbeddedLog::open(&directory).with_context(|| format!("--data.dir {}", self.data_dir.display()))?)
    }
}
