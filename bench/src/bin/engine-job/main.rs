//! The engine's side of the benchmark in `bench/kafka-streams`: its four workloads, as a user of the library writes them.
//!
//! Environment, bytes and semantics are those of `bench/kafka-streams/README.md`. Runs until SIGTERM; prints
//! `STATE RESTORED <records> <bytes>` and `STATE RUNNING <epoch ms>` when every task runs with its state whole.

mod alert_lifecycle;
mod count;
mod upsert;
mod wire;

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use beacon_core::checkpoint::CheckpointConfig;
use beacon_core::checkpoint::storage;
use beacon_core::codec::Raw;
use beacon_core::log::Log;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::runtime::{App, AppConfig, AppStatus, MemoryBudget, StateLocation, StoreMemory};
use beacon_core::topology::{Topic, Topology, TopologyBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let mut kafka = KafkaConfig::new(variable("KAFKA_BOOTSTRAP_SERVERS")?);
    kafka.extra.insert("compression.type".to_owned(), "lz4".to_owned());
    let log = KafkaLog::connect(kafka)?;
    let input = variable("IN_TOPIC")?;
    let partitions = log.describe_topic(&input)?.with_context(|| format!("there is no topic {input}"))?.partitions;

    let workload = variable("WORKLOAD")?;
    let topology = topology(&workload, &variable("GROUP_ID")?, &input, &variable("OUT_TOPIC")?)?;
    let app = App::start(log, topology, settings(&workload, partitions)?)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(until_terminated(&app, partitions))?;
    Ok(app.stop()?)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("set {name}"))
}

fn topology(workload: &str, group: &str, input: &str, output: &str) -> Result<Topology> {
    let app = TopologyBuilder::new(group);
    match workload {
        "w1" => {
            app.source_changes("input", &Topic::<Raw>::new(input)).sink_changes("output", &Topic::<Raw>::new(output));
        }
        "w3" => alert_lifecycle::build(&app, &Topic::new(input), &Topic::new(output)),
        "w4" => count::build(&app, &Topic::new(input), &Topic::new(output)),
        "w5" => upsert::build(&app, &Topic::new(input), &Topic::new(output)),
        other => bail!("WORKLOAD is {other}: it is one of w1, w3, w4, w5"),
    }
    Ok(app.build()?)
}

fn settings(workload: &str, partitions: u32) -> Result<AppConfig> {
    let mut settings = AppConfig::new(partitions);
    settings.state = StateLocation::Directory(PathBuf::from(variable("STATE_DIR")?));
    // Little more than half of what the tuned Kafka Streams gets, which has 64 MB for blocks and as much for write buffers.
    settings.memory = Some(StoreMemory::new(MemoryBudget::of(72 << 20)));
    let interval = env::var("COMMIT_MS").unwrap_or_else(|_| "100".to_owned());
    settings.commit_interval = Duration::from_millis(interval.parse().context("COMMIT_MS")?);
    // The interval is to mean the same for all systems: an engine that commits whenever its input is empty is not compared
    // at 100 ms with one that waits for them.
    settings.commit_when_idle = false;
    if workload == "w5" {
        // State that took days to come about is built here within a minute: checkpoints are as much more often.
        let mut checkpoints = CheckpointConfig::new(storage::open(&format!("file://{}", variable("CHECKPOINT_DIR")?))?);
        checkpoints.interval = Duration::from_secs(2);
        settings.checkpoints = Some(checkpoints);
    }
    Ok(settings)
}

/// Returns at SIGTERM, or when the application has ended by itself.
async fn until_terminated(app: &App, partitions: u32) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut running = false;
    while app.status() != AppStatus::Stopped {
        if !running && is_whole(app, partitions) {
            running = true;
            let stats = app.stats();
            println!("STATE RESTORED {} {}", stats.restored_records, stats.restored_bytes);
            println!("STATE RUNNING {}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis());
        }
        let pause = Duration::from_millis(if running { 500 } else { 5 });
        tokio::select! {
            _ = terminate.recv() => break,
            () = sleep(pause) => {}
        }
    }
    Ok(())
}

fn is_whole(app: &App, partitions: u32) -> bool {
    let stats = app.stats();
    stats.tasks == u64::from(partitions) && stats.restoring == 0 && stats.waiting == 0
}
