//! `beacon topics`: looking at topics and writing to them, on either log.

mod list;
mod send;
mod tail;

use crate::log_flags::LogFlags;

/// Flags of `beacon topics`.
#[derive(Debug, clap::Args)]
pub struct TopicsArguments {
    #[command(flatten)]
    log: LogFlags,
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
    let log = arguments.log.open()?;
    match &arguments.command {
        TopicsCommand::List(command) => list::run(log.as_ref(), command),
        TopicsCommand::Tail(command) => tail::run(log.as_ref(), command),
        TopicsCommand::Send(command) => send::run(log.as_ref(), command),
    }
}
