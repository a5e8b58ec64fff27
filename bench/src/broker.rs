//! The Kafka that everything here runs on, and what it costs.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use scenari::kafka::Kafka;
use scenari::topic;

use crate::system;

/// The broker, its process if it can be seen, and names of our own on it.
pub struct Broker {
    kafka: Kafka,
    pid: Option<u32>,
    /// Differs between runs, so that they can share a broker.
    run: String,
}

impl Broker {
    /// Finds or starts one, as tests do.
    ///
    /// # Errors
    /// There is none; the text says what to install.
    pub fn find() -> Result<Self> {
        let kafka = Kafka::find()?;
        let local = |address: &str| {
            let (host, port) = address.rsplit_once(':')?;
            matches!(host, "127.0.0.1" | "localhost" | "[::1]").then(|| port.parse().ok())?
        };
        let pid = kafka.bootstrap().split(',').next().and_then(local).and_then(system::listener);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { kafka, pid, run: format!("bench-{}-{}.", now.as_millis(), std::process::id()) })
    }

    /// For programs of `scenari`.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// `host:port`.
    pub fn bootstrap(&self) -> &str {
        self.kafka.bootstrap()
    }

    /// What names of topics and groups begin with.
    pub fn prefix(&self, part: &str) -> String {
        format!("{}{part}.", self.run)
    }

    /// Its CPU seconds so far; `None` for one on another machine or in a container.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> Result<Option<f64>> {
        self.pid.map(|pid| system::cpu_seconds(&[pid])).transpose()
    }

    /// Its version, by the name of the jar it has open.
    pub fn version(&self) -> Option<String> {
        let files = system::open_files(self.pid?);
        let names = files.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned()));
        names.filter_map(|name| Some(name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?.to_owned())).next()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = topic::delete_kafka(self.bootstrap(), &self.run) {
            eprintln!("topics {}* stay on {}: {error:#}", self.run, self.bootstrap());
        }
    }
}
