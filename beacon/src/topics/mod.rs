//! `beacon topics`: looking at topics and writing to them, on either log.

mod list;
mod send;
mod tail;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use beacon_core::log::Log;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_service::flags::KafkaFlags;

/// Flags of `beacon topics`.
#[derive(Debug, clap::Args)]
pub struct TopicsArguments {
    /// Data directory of `beacon up` or storage path of `beacon alertmanager`, which must be stopped meanwhile: one
    /// process owns the embedded log. Not needed with Kafka.
    #[arg(long = "data.dir", value_name = "DIR", default_value = "beacon-data", global = true)]
    data_dir: PathBuf,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TopicsCommand {
    /// Topics with their partitions and how many records they hold.
    List(list::ListArguments),
    /// Records of a topic, oldest first.
    Tail(tail::TailArguments),
    /// Writes a record.
    Send(send::SendArguments),
}

/// Runs the command; blocks.
pub fn run(arguments: &TopicsArguments) -> anyhow::Result<()> {
    let log = open(arguments)?;
    match &arguments.command {
        TopicsCommand::List(command) => list::run(log.as_ref(), command),
        TopicsCommand::Tail(command) => tail::run(log.as_ref(), command),
        TopicsCommand::Send(command) => send::run(log.as_ref(), command),
    }
}

fn open(arguments: &TopicsArguments) -> anyhow::Result<Arc<dyn Log>> {
    if arguments.kafka.bootstrap_servers.is_some() {
        return arguments.kafka.connect();
    }
    let directory = arguments.data_dir.join("log");
    if !directory.exists() {
        anyhow::bail!(
            "{} does not exist: give --data.dir, or --kafka.bootstrap-servers for topics on Kafka",
            directory.display()
        );
    }
    Ok(EmbeddedLog::open(&directory).with_context(|| format!("--data.dir {}", arguments.data_dir.display()))?)
}
