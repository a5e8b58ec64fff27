//! The engine's copy: a source, a sink, exactly once, nothing between. The system under test of `bench copy`.
//!
//! Environment, the same as of the plain copy it is measured against: `KAFKA_BOOTSTRAP_SERVERS`, `IN_TOPIC`, `OUT_TOPIC`
//! (made before, of equal partition count), `GROUP_ID` (also the application's name) and `COMMIT_MS` (default 100).
//! Runs until it is killed.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use beacon_core::codec::Raw;
use beacon_core::log::Log;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::runtime::{App, AppConfig};
use beacon_core::topology::{Topic, TopologyBuilder};

fn main() -> Result<()> {
    let variable = |name: &str| env::var(name).with_context(|| format!("set {name}"));
    let (input, output) = (variable("IN_TOPIC")?, variable("OUT_TOPIC")?);
    let mut config = KafkaConfig::new(variable("KAFKA_BOOTSTRAP_SERVERS")?);
    config.extra.insert("compression.type".to_owned(), "lz4".to_owned());
    let log = KafkaLog::connect(config)?;
    let partitions = log.describe_topic(&input)?.with_context(|| format!("there is no topic {input}"))?.partitions;

    let builder = TopologyBuilder::new(variable("GROUP_ID")?);
    builder.source_changes("input", &Topic::<Raw>::new(input)).sink_changes("output", &Topic::<Raw>::new(output));

    let mut settings = AppConfig::new(partitions);
    let interval = env::var("COMMIT_MS").unwrap_or_else(|_| "100".to_owned());
    settings.commit_interval = Duration::from_millis(interval.parse().context("COMMIT_MS")?);
    App::start(log, builder.build()?, settings)?.wait()?;
    Ok(())
}
