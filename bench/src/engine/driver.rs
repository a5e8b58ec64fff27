//! Starts the driver of `bench/kafka-streams` and the benchmarks of beacon-core itself, and reads what they wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use scenari::binaries;

use super::{Rows, System, Workload};

fn repository() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate stands in the repository")
}

/// The version of broker and Kafka Streams: the pom is the one place where it is written.
pub fn kafka_version() -> &'static str {
    const POM: &str = include_str!("../../kafka-streams/pom.xml");
    let (_, rest) = POM.split_once("<kafka.version>").expect("the pom names the version");
    rest.split_once("</kafka.version>").expect("the element is closed").0
}

/// What the driver starts for a system.
fn command(system: System) -> String {
    let quoted = |program: PathBuf| format!("'{}'", program.display());
    match system {
        System::KafkaStreams => "kstreams".to_owned(),
        System::KafkaStreamsTuned => "kstreams:tuned".to_owned(),
        System::Plain => quoted(binaries::workspace("examples/kafka_plain_copy")),
        System::Beacon => quoted(binaries::workspace("engine-job")),
    }
}

/// Runs a workload with its systems, on a broker that the driver's script starts and pins.
pub fn run(workload: Workload, systems: &[System], arguments: &[String]) -> Result<Rows> {
    ensure!(!systems.is_empty(), "{} has none of the engines that were asked for", workload.name());
    let commands: Vec<(System, String)> = systems.iter().map(|system| (*system, command(*system))).collect();
    let directory = tempfile::Builder::new().prefix("beacon-bench-engine-").tempdir()?;
    let script = repository()?.join("bench/kafka-streams/run");
    let mut call = Command::new("bash");
    call.arg(&script).arg(workload.name()).args(arguments).env("KSB_DIR", directory.path());
    // The script starts its own, since it pins it to a core.
    call.env_remove("KAFKA_BOOTSTRAP_SERVERS").env_remove("BROKER_PID");
    for (_, command) in &commands {
        call.args(["--sut", command]);
    }
    // The driver's lines are progress for whoever waits.
    call.stdout(Stdio::from(std::io::stderr()));
    let status = call.status().with_context(|| format!("cannot start {}", script.display()))?;
    if !status.success() {
        let kept = directory.keep();
        anyhow::bail!("the driver of {} ended with {status}; its logs are in {}", workload.name(), kept.display());
    }
    let path = directory.path().join("results.tsv");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Rows::parse(&without_workload(&text))?;
    rows.rename("sut", |sut| {
        let known = commands.iter().find(|(_, command)| command == sut);
        known.map_or_else(|| sut.to_owned(), |(system, _)| system.to_string())
    });
    // Where logs stood is of no use when they are gone.
    rows.rename("verified", |verified| verified.split(", see ").next().unwrap_or_default().to_owned());
    Ok(rows)
}

/// Each line begins with the workload.
fn without_workload(text: &str) -> String {
    text.lines().filter_map(|line| line.split_once('\t')).map(|(_, rest)| format!("{rest}\n")).collect()
}

/// Runs beacon-core's own benchmarks: of state, and of simulation.
pub fn own(quick: bool) -> Result<Rows> {
    let mut rows = cargo_bench("state", quick)?;
    rows.append(cargo_bench("simulation", quick)?);
    Ok(rows)
}

fn cargo_bench(name: &str, quick: bool) -> Result<Rows> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut call = Command::new(cargo);
    call.current_dir(repository()?).args(["bench", "--quiet", "-p", "beacon-core", "--bench", name]);
    if quick {
        call.args(["--", "--quick"]);
    }
    let output = call.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the benchmark {name} ended with {}", output.status);
    let text = String::from_utf8(output.stdout).with_context(|| format!("the results of the benchmark {name}"))?;
    eprint!("{text}");
    Rows::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_workload() {
        assert_eq!(without_workload("w1\tsut\trun\nw1\tkstreams\t1\n"), "sut\trun\nkstreams\t1\n");
    }
}
