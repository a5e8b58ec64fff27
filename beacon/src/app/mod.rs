//! `beacon app`: looking after the applications that run on the engine, on either log.

mod checkpoints;
mod describe;
mod lag;
mod rescale;
mod reset;
mod stable;

use std::sync::Arc;

use beacon_core::topology::Topology;
use beacon_proto::topics::Topics;
use beacon_service::flags::TopicFlags;
use clap::ValueEnum;

use crate::log_flags::LogFlags;

/// Flags of `beacon app`.
#[derive(Debug, clap::Args)]
pub struct AppArguments {
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    topics: TopicFlags,
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AppCommand {
    /// What an application consists of: its sources, operators, topics.
    Describe(describe::DescribeArguments),
    /// How far an application is behind, partition by partition.
    Lag(lag::LagArguments),
    /// Which open transactions keep readers from the end of their topics.
    Stable(stable::StableArguments),
    /// Looks at checkpoints in object storage, and tries whether they can be restored from.
    Checkpoints(checkpoints::CheckpointsArguments),
    /// Makes an application forget everything and begin again. It must be stopped.
    Reset(reset::ResetArguments),
    /// Changes the partition count of Beacon's topics and applications together with their state. All of Beacon must be
    /// stopped.
    Rescale(rescale::RescaleArguments),
}

/// The applications of Beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Application {
    /// The alert pipeline.
    Worker,
    /// Deliveries.
    Notifier,
}

impl Application {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Worker, Self::Notifier];

    /// Its topology over these topics, to look at: nothing is delivered by it.
    pub fn topology(self, topics: &Topics) -> anyhow::Result<Topology> {
        match self {
            Self::Worker => Ok(beacon_worker::pipeline::topology(topics)?),
            // No task of it runs here, so nobody is ever asked to deliver.
            Self::Notifier => {
                Ok(beacon_notifier::journal::topology(topics, Arc::new(|_, _| {}), Arc::default(), Arc::default())?)
            }
        }
    }
}

/// Runs the command; blocks.
pub fn run(arguments: &AppArguments) -> anyhow::Result<()> {
    let topics = arguments.topics.topics();
    if let AppCommand::Describe(command) = &arguments.command {
        return describe::run(&topics, command);
    }
    let log = arguments.log.open()?;
    match &arguments.command {
        AppCommand::Describe(command) => describe::run(&topics, command),
        AppCommand::Lag(command) => lag::run(log.as_ref(), &topics, command),
        AppCommand::Stable(command) => stable::run(log.as_ref(), &topics, command),
        AppCommand::Checkpoints(command) => checkpoints::run(&log, &arguments.log, &topics, command),
        AppCommand::Reset(command) => reset::run(log.as_ref(), &arguments.log, &topics, command),
        AppCommand::Rescale(command) => rescale::run(&log, &arguments.log, &arguments.topics, command),
    }
}
