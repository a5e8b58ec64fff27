//! The same node in a container, through testcontainers.

use std::time::Duration;

use anyhow::{Context, Result};
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use super::{jars, node};
use crate::ports::free_port;
use crate::reaper::Reaper;
use crate::runtime::block_on;

/// The port inside; outside it is a free one, told to the broker, which gives it to its clients.
const INSIDE: u16 = 9092;
/// Pulling the image takes its time once.
const START: Duration = Duration::from_secs(300);

pub(super) struct Container {
    port: u16,
    container: ContainerAsync<GenericImage>,
    _reaper: Reaper,
}

impl Container {
    /// With these settings besides.
    pub(super) fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let port = free_port();
        let mut request = GenericImage::new("apache/kafka", jars::version())
            .with_wait_for(WaitFor::Nothing)
            .with_mapped_port(port, ContainerPort::Tcp(INSIDE))
            .with_startup_timeout(START)
            .with_env_var("KAFKA_PROCESS_ROLES", "broker,controller")
            .with_env_var("KAFKA_NODE_ID", "1")
            .with_env_var("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
            .with_env_var("KAFKA_LISTENERS", format!("PLAINTEXT://:{INSIDE},CONTROLLER://:9093"))
            .with_env_var("KAFKA_ADVERTISED_LISTENERS", format!("PLAINTEXT://127.0.0.1:{port}"))
            .with_env_var("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
            .with_env_var("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")
            .with_env_var("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m");
        for (name, value) in node::as_environment(settings) {
            request = request.with_env_var(name, value);
        }
        let container = block_on(request.start()).context("cannot start a container of apache/kafka")?;
        let reaper = Reaper::new(r#"docker rm -f "$1""#, container.id()).context("cannot start sh")?;
        Ok(Self { port, container, _reaper: reaper })
    }

    pub(super) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    #[track_caller]
    pub(super) fn kill(&self) {
        // No grace: the engine kills with SIGKILL at once.
        block_on(self.container.stop_with_timeout(Some(0))).expect("our own container can be killed");
    }

    #[track_caller]
    pub(super) fn pause(&self) {
        block_on(self.container.pause()).expect("our own container can be paused");
    }

    #[track_caller]
    pub(super) fn resume(&self) {
        block_on(self.container.unpause()).expect("our own container can be resumed");
    }

    pub(super) fn restart(&self) -> Result<()> {
        let running = block_on(self.container.is_running()).context("the engine does not say if the broker runs")?;
        if running {
            self.kill();
        }
        block_on(self.container.start()).context("the engine does not start the broker again")
    }
}
