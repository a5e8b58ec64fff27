//! Beacon's benchmarks: the engine against Kafka Streams and plain librdkafka, the whole against Alertmanager.
//!
//! What it deliberately does not do: it keeps no baseline of earlier runs. Machines differ and are shared; a figure is
//! only compared with its yardstick of the same run.
//!
//! Invariant: a result without its oracle (a workload's whole output, every accepted alert listed, every notification
//! once) is an error, or marked as failed; it is never compared.

mod alerts;
mod broker;
mod commit;
mod engine;
mod latency;
mod machine;
mod report;
mod system;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use alerts::{Size, System};
use broker::Broker;
use engine::{Section, Workload};
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
    /// Only these engines take part in W1 to W5; comparisons need Beacon and one more.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ENGINE,…")]
    engines: Vec<engine::System>,
    /// Records of W1 and W3.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(10_000..))]
    records: Option<u64>,
    /// Runs of W1, W3 and W4.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Keys of W5; several counts are several runs.
    #[arg(long, value_delimiter = ',', value_name = "COUNT,…", value_parser = clap::value_parser!(u64).range(10_000..))]
    keys: Vec<u64>,
    /// Active alerts at the end of the intake.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2000..))]
    alerts: Option<u32>,
    /// Where tables and charts are written to. Without it they are not. Parts that did not run stay as they are there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Exactly-once copy, beside Kafka Streams and plain librdkafka.
    W1,
    /// Alert lifecycle: keyed state and timers, beside Kafka Streams.
    W3,
    /// Latency by commit interval, beside both.
    W4,
    /// Restore, beside Kafka Streams.
    W5,
    /// Latency by commit interval on the embedded log.
    Embedded,
    /// State and timers beside bare RocksDB; steps of simulation.
    State,
    /// Latency of a commit.
    Commit,
    /// Alerts taken in, and memory.
    Intake,
    /// Latency of a notification.
    Notification,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::W1,
        Self::W3,
        Self::W4,
        Self::W5,
        Self::Embedded,
        Self::State,
        Self::Commit,
        Self::Intake,
        Self::Notification,
    ];

    /// The workload of the engine that it is, if it is one.
    fn workload(self) -> Option<Workload> {
        Workload::ALL.into_iter().find(|workload| workload.name() == self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W3 => "w3",
            Self::W4 => "w4",
            Self::W5 => "w5",
            Self::Embedded => "embedded",
            Self::State => "state",
            Self::Commit => "commit",
            Self::Intake => "intake",
            Self::Notification => "notification",
        }
    }
}

/// How much of everything.
struct Sizes {
    engine: engine::Sizes,
    commits: u32,
    alerts: Size,
    notifications: u32,
}

impl Sizes {
    fn of(arguments: &Arguments) -> Self {
        let mut sizes = if arguments.quick {
            let alerts = Size { alerts: 3000, repeats: 1, singles: 300 };
            Self { engine: engine::Sizes::quick(), commits: 50, alerts, notifications: 20 }
        } else {
            let alerts = Size { alerts: 51_000, repeats: 2, singles: 20_000 };
            Self { engine: engine::Sizes::full(), commits: 300, alerts, notifications: 200 }
        };
        let engine = &mut sizes.engine;
        engine.engines.clone_from(&arguments.engines);
        engine.records = arguments.records.unwrap_or(engine.records);
        engine.runs = arguments.runs.unwrap_or(engine.runs);
        engine.latency_runs = arguments.runs.unwrap_or(engine.latency_runs);
        if !arguments.keys.is_empty() {
            engine.keys.clone_from(&arguments.keys);
        }
        sizes.alerts.alerts = arguments.alerts.map_or(sizes.alerts.alerts, |alerts| alerts as usize);
        sizes
    }

    /// About how long a part takes on two quiet cores.
    fn minutes(&self, part: Part) -> f64 {
        match part.workload() {
            Some(workload) => self.engine.minutes(workload),
            None if self.commits < 100 => 0.5,
            None => 2.5,
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let sizes = Sizes::of(&arguments);
    let parts = if arguments.only.is_empty() { Part::ALL.to_vec() } else { arguments.only.clone() };
    let systems = if arguments.systems.is_empty() { System::ALL.to_vec() } else { arguments.systems.clone() };
    let minutes: f64 = parts.iter().map(|part| sizes.minutes(*part)).sum();
    eprintln!("this takes about {:.0} minutes on two quiet cores", minutes.ceil());
    let (workloads, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.workload().is_some());

    let mut sections = Vec::new();
    for workload in workloads.into_iter().filter_map(Part::workload) {
        let load = machine::load();
        eprintln!("{}, about {:.0} minutes ...", workload.name(), sizes.engine.minutes(workload).ceil());
        let rows = engine::measure(workload, &sizes.engine)?;
        let kafka = format!("Kafka and Kafka Streams {}", engine::kafka_version());
        let circumstances = format!("{}, {kafka}", machine::line_of(&command()));
        sections.push(Section { workload, circumstances, load, rows });
        // As each is done: the next one may fail after an hour.
        if let Some(directory) = &arguments.out {
            write_engine(directory, &sections)?;
        }
    }
    if !sections.is_empty() {
        println!("{}", engine::page(&sections));
    }
    if others.is_empty() { Ok(()) } else { alerting(&others, &sizes, &systems, arguments.out.as_deref()) }
}

/// Commits, and the whole beside Alertmanager.
fn alerting(parts: &[Part], sizes: &Sizes, systems: &[System], out: Option<&Path>) -> Result<()> {
    eprintln!("looking for a Kafka ...");
    let broker = Broker::find()?;
    let mut results = Results {
        machine: Machine::look(&broker),
        command: command(),
        load: Vec::new(),
        measures: Vec::new(),
        commits: Vec::new(),
        intakes: Vec::new(),
        notifications: Vec::new(),
    };
    for part in parts {
        eprintln!("{} ...", part.name());
        results.load.push((part.name(), machine::load()));
        match part {
            Part::Commit => results.commits = commit::measure(&broker, sizes.commits)?,
            Part::Intake => results.intakes = alerts::intake(&broker, systems, sizes.alerts)?,
            Part::Notification => {
                results.notifications = alerts::notifications(&broker, systems, sizes.notifications)?;
            }
            Part::W1 | Part::W3 | Part::W4 | Part::W5 | Part::Embedded | Part::State => {}
        }
    }
    results.conclude();
    println!("{}", report::table(&results));
    out.map_or(Ok(()), |directory| write(directory, &results))
}

/// What the user typed: the script says so, since it calls us.
fn command() -> String {
    std::env::var("BENCH_COMMAND").unwrap_or_else(|_| std::env::args().collect::<Vec<_>>().join(" "))
}

fn write(directory: &Path, results: &Results) -> Result<()> {
    let json = format!("{}\n", serde_json::to_string_pretty(results)?);
    let files =
        [("results.json", json), ("README.md", report::markdown(results)), ("chart.svg", report::chart(results))];
    write_files(directory, files)
}

/// Sections that were not measured this time are taken over from the last.
fn write_engine(directory: &Path, sections: &[Section]) -> Result<()> {
    const RESULTS: &str = "engine.json";
    let path = directory.join(RESULTS);
    let old = match fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("{}: not written by make bench", path.display()))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let all = engine::merge(old, sections.to_vec());
    let json = format!("{}\n", serde_json::to_string_pretty(&all)?);
    let page = [(RESULTS.to_owned(), json), ("engine.md".to_owned(), engine::page(&all))];
    write_files(directory, page.into_iter().chain(engine::charts(&all)))
}

fn write_files(directory: &Path, files: impl IntoIterator<Item = (impl AsRef<Path>, String)>) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("--out {}", directory.display()))?;
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
