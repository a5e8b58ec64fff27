//! Structured logs on standard error.

use anyhow::Context;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::screen;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person: `time level message key=value`.
    #[default]
    Logfmt,
    /// For a program: one JSON object a line.
    Json,
}

/// Flags of logging, named as Alertmanager names them.
#[derive(Clone, Debug, clap::Args)]
pub struct LoggingFlags {
    /// Least severe messages to log: error, warn, info, debug or trace; or a filter such as `info,beacon_core=debug`.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", global = true)]
    pub level: String,
    /// Form of the log lines.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", global = true)]
    pub format: Format,
}

/// Sets the process's logging up. To be called once, first.
///
/// # Errors
/// When the level is no filter, or logging was set up before.
pub fn init(flags: &LoggingFlags) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&flags.level)
        .with_context(|| format!("--log.level={}: not a level or filter", flags.level))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(screen::Lines::default).with_target(false);
    match flags.format {
        Format::Logfmt => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).finish().try_init(),
        Format::Json => builder.json().finish().try_init(),
    }
    .context("logging is set up twice")
}
