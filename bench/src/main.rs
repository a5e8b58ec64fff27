//! Beacon's benchmarks: the engine against plain librdkafka, the whole against Alertmanager.
//!
//! What it deliberately does not do: it keeps no baseline of earlier runs. Machines differ and are shared; a figure is
//! only compared with its yardstick of the same run.
//!
//! Invariant: a result without its oracle (the copy record by record, every accepted alert listed, every notification
//! once) is an error, not a result.

mod alerts;
mod broker;
mod commit;
mod copy;
mod latency;
mod machine;
mod report;
mod system;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use alerts::{Size, System};
use broker::Broker;
use machine::Machine;
use report::Results;

/// Measures Beacon and prints each figure beside its yardstick from the same run.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Arguments {
    /// A short look with small sizes: shows that everything works, its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<Part>,
    /// Only these systems take alerts; a comparison needs Alertmanager among them.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM,…")]
    systems: Vec<System>,
    /// Records of a copy.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1000..))]
    records: Option<u64>,
    /// Copies by each program.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Active alerts at the end of the intake.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2000..))]
    alerts: Option<u32>,
    /// Where results.json, README.md and chart.svg are written to. Without it they are not.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Exactly-once copy through the engine.
    Copy,
    /// Latency of a commit.
    Commit,
    /// Alerts taken in, and memory.
    Intake,
    /// Latency of a notification.
    Notification,
}

impl Part {
    const ALL: [Self; 4] = [Self::Copy, Self::Commit, Self::Intake, Self::Notification];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Commit => "commit",
            Self::Intake => "intake",
            Self::Notification => "notification",
        }
    }
}

/// How much of everything.
struct Sizes {
    records: u64,
    runs: u32,
    commits: u32,
    alerts: Size,
    notifications: u32,
}

impl Sizes {
    fn of(arguments: &Arguments) -> Self {
        let mut sizes = if arguments.quick {
            let alerts = Size { alerts: 3000, repeats: 1, singles: 300 };
            Self { records: 100_000, runs: 1, commits: 50, alerts, notifications: 20 }
        } else {
            let alerts = Size { alerts: 51_000, repeats: 2, singles: 20_000 };
            Self { records: 3_000_000, runs: 3, commits: 300, alerts, notifications: 200 }
        };
        sizes.records = arguments.records.unwrap_or(sizes.records);
        sizes.runs = arguments.runs.unwrap_or(sizes.runs);
        sizes.alerts.alerts = arguments.alerts.map_or(sizes.alerts.alerts, |alerts| alerts as usize);
        sizes
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let sizes = Sizes::of(&arguments);
    let parts = if arguments.only.is_empty() { Part::ALL.to_vec() } else { arguments.only.clone() };
    let systems = if arguments.systems.is_empty() { System::ALL.to_vec() } else { arguments.systems.clone() };
    eprintln!("looking for a Kafka ...");
    let broker = Broker::find()?;
    let mut results = Results {
        machine: Machine::look(&broker),
        command: command(),
        load: Vec::new(),
        measures: Vec::new(),
        copies: Vec::new(),
        commits: Vec::new(),
        intakes: Vec::new(),
        notifications: Vec::new(),
    };
    for part in parts {
        eprintln!("{} ...", part.name());
        results.load.push((part.name(), machine::load()));
        match part {
            Part::Copy => results.copies = copy::measure(&broker, sizes.records, sizes.runs)?,
            Part::Commit => results.commits = commit::measure(&broker, sizes.commits)?,
            Part::Intake => results.intakes = alerts::intake(&broker, &systems, sizes.alerts)?,
            Part::Notification => {
                results.notifications = alerts::notifications(&broker, &systems, sizes.notifications)?;
            }
        }
    }
    results.conclude();
    println!("{}", report::table(&results));
    arguments.out.map_or(Ok(()), |directory| write(&directory, &results))
}

/// What the user typed: the script says so, since it calls us.
fn command() -> String {
    std::env::var("BENCH_COMMAND").unwrap_or_else(|_| std::env::args().collect::<Vec<_>>().join(" "))
}

fn write(directory: &std::path::Path, results: &Results) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("--out {}", directory.display()))?;
    let files = [
        ("results.json", format!("{}\n", serde_json::to_string_pretty(results)?)),
        ("README.md", report::markdown(results)),
        ("chart.svg", report::chart(results)),
    ];
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
