//! One KRaft node, broker and controller in one, run from Kafka's jars.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::jars::Jars;
use super::secured;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::reaper::Reaper;

/// Any 16 bytes in base64 will do: the node is the only one of its cluster.
const CLUSTER_ID: &str = "YmVhY29uLXNjZW5hcmlvcw";

/// The broker may still be writing while it is being killed, and so bring back what was just removed.
const REMOVE: &str = r#"for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 0.5; done"#;

/// A node with its directory. The directory holds configuration, data and output.
pub(super) struct Node {
    port: u16,
    /// Address and authority of the secured listener, if it has one.
    secured: Option<(String, PathBuf)>,
    launch: Launch,
    process: Process,
    // Dropped after the process: first the broker goes, then its data.
    _reaper: Reaper,
    directory: TempDir,
}

impl Node {
    /// Formats a data directory and starts a broker on it; does not wait until it answers.
    pub(super) fn start(jars: &Jars, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(jars, false, settings)
    }

    /// The same with a second listener that wants TLS and a password.
    pub(super) fn start_secured(jars: &Jars) -> Result<Self> {
        Self::start_with(jars, true, &[])
    }

    fn start_with(jars: &Jars, with_security: bool, more: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("beacon-kafka-")
            .tempdir()
            .context("cannot make a directory for Kafka's data")?;
        // The destructor of a shared broker never runs: statics are not dropped.
        let reaper = Reaper::new(REMOVE, directory.path()).context("cannot start sh")?;
        let (port, controller) = (free_port(), free_port());
        let settings = directory.path().join("server.properties");
        let mut text = properties(port, controller, directory.path());
        text.extend(more.iter().map(|(name, value)| format!("{name}={value}\n")));
        let mut secured = None;
        if with_security {
            let (store, authority) = secured::write_identity(directory.path())?;
            let address = format!("localhost:{}", free_port());
            for listeners in ["\nlisteners=", "\nadvertised.listeners="] {
                text = text.replacen(listeners, &format!("{listeners}SASL_SSL://{address},"), 1);
            }
            text += &secured::settings(&store);
            secured = Some((address, authority));
        }
        fs::write(&settings, text).with_context(|| format!("cannot write {}", settings.display()))?;
        format_storage(jars, &settings, with_security)?;
        let launch = Launch::new("kafka", &jars.java, directory.path())
            .args(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .args(["-cp", &jars.class_path, "kafka.Kafka"])
            .arg(&settings);
        let process = launch.start()?;
        Ok(Self { port, secured, launch, process, _reaper: reaper, directory })
    }

    pub(super) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Address of the secured listener, and the authority of its certificate.
    pub(super) fn secured(&self) -> Option<(String, PathBuf)> {
        self.secured.clone()
    }

    pub(super) fn kill9(&mut self) {
        self.process.kill9();
    }

    pub(super) fn pause(&mut self) {
        self.process.freeze();
    }

    pub(super) fn resume(&mut self) {
        self.process.thaw();
    }

    pub(super) fn restart(&mut self) -> Result<()> {
        self.process.kill9();
        self.process = self.launch.start()?;
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn tail(&self) -> String {
        self.process.tail()
    }
}

fn format_storage(jars: &Jars, settings: &Path, with_user: bool) -> Result<()> {
    let user = if with_user { vec!["--add-scram".to_owned(), secured::credential()] } else { Vec::new() };
    let output = Command::new(&jars.java)
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .args(["-cp", &jars.class_path, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(settings)
        .args(user)
        .output()
        .with_context(|| format!("cannot start {}", jars.java.display()))?;
    if !output.status.success() {
        bail!(
            "Kafka could not format its directory: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok(())
}

/// A node for tests: one replica of everything, no waiting for members that will not come, time-outs short enough that
/// a dead member or a dangling transaction is noticed within a scenario.
fn properties(port: u16, controller: u16, directory: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
{COMMON}",
        data = directory.join("data").display(),
    )
}

/// Settings that a node from jars and one in a container share. What groups have done is compacted after a megabyte, as it is in a
/// cluster that has been at work for long: a coordinator that comes back soon has it all (decision 0082).
const COMMON: &str = "auto.create.topics.enable=false
num.partitions=8
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
offsets.topic.segment.bytes=1048576
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.retention.check.interval.ms=5000
log.segment.delete.delay.ms=1000
";

/// The same settings, and `more`, as the environment variables that the image apache/kafka turns into its configuration.
pub(super) fn as_environment<'a>(more: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (String, &'a str)> {
    let common = COMMON.lines().map(|line| line.split_once('=').expect("each line above is name=value"));
    let all = common.chain(more.iter().copied());
    all.map(|(name, value)| (format!("KAFKA_{}", name.replace('.', "_").to_uppercase()), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_the_variables_of_the_image() {
        let variables: Vec<_> = as_environment(&[("num.network.threads", "1")]).collect();
        assert!(variables.contains(&("KAFKA_NUM_NETWORK_THREADS".to_owned(), "1")));
        assert!(variables.contains(&("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS".to_owned(), "0")));
        assert_eq!(variables.len(), COMMON.lines().count() + 1);
    }
}
