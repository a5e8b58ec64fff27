//! Beacon: the one binary people install.

mod alertmanager;
mod all_in_one;
mod app;
mod check;
mod gateway;
mod log_flags;
mod topics;
mod up;

use beacon_service::logging::{self, LoggingFlags};
use clap::{Parser, Subcommand};

/// Alerting for large fleets: takes alerts as Alertmanager does, on an embedded log or on Kafka.
#[derive(Debug, Parser)]
#[command(name = "beacon", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    logging: LoggingFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)]
enum Command {
    /// Everything in one process on the embedded log; needs no configuration.
    Up(up::UpArguments),
    /// Everything in one process, with Alertmanager's flags: a drop-in for it.
    Alertmanager(alertmanager::AlertmanagerArguments),
    /// HTTP in and out, on Kafka.
    Gateway(gateway::GatewayArguments),
    /// The alert pipeline, on Kafka; the same as `beacon-worker`.
    Worker(beacon_worker::command::Arguments),
    /// Deliveries, on Kafka; the same as `beacon-notifier`.
    Notifier(beacon_notifier::command::Arguments),
    /// Looks at a plan (an alertmanager.yml) and says what is wrong with it.
    Check(check::CheckArguments),
    /// Looks at topics and writes to them, on either log.
    Topics(topics::TopicsArguments),
    /// Looks after the applications that run on the engine, on either log.
    App(app::AppArguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    logging::init(&arguments.logging)?;
    match arguments.command {
        Command::Up(command) => up::run(command).await,
        Command::Alertmanager(command) => alertmanager::run(command).await,
        Command::Gateway(command) => gateway::run(command).await,
        Command::Worker(command) => beacon_worker::command::run(command).await,
        Command::Notifier(command) => beacon_notifier::command::run(command).await,
        Command::Check(command) => check::run(&command),
        Command::Topics(command) => tokio::task::spawn_blocking(move || topics::run(&command)).await?,
        Command::App(command) => tokio::task::spawn_blocking(move || app::run(&command)).await?,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
