//! Exactly-once copy from topic to topic: through the engine, and by a plain librdkafka program.
//!
//! Each is a process of its own on the same broker, one after the other, the same input and settings (lz4, a commit each
//! 100 ms). A run counts only after the oracle has seen every record, in order, byte for byte.

mod input;
mod oracle;

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{CleanupPolicy, Log, Record, TopicSpec};
use scenari::binaries;
use scenari::process::Launch;
use serde::Serialize;

use crate::broker::Broker;
use crate::system;

const COMMIT_MS: &str = "100";
const SAMPLE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(300);

/// Who copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Copier {
    /// librdkafka's calls and nothing else.
    Plain,
    /// beacon-core's topology of a source and a sink.
    Engine,
}

impl Copier {
    fn program(self) -> PathBuf {
        match self {
            Self::Plain => binaries::workspace("examples/kafka_plain_copy"),
            Self::Engine => binaries::workspace("engine-copy"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Engine => "engine",
        }
    }
}

/// What one verified run cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run {
    /// Who copied.
    pub copier: Copier,
    /// CPU seconds of the program per million records, from its start to the last commit.
    pub cpu_whole: f64,
    /// The same without start and first third.
    pub cpu_steady: f64,
    /// Records per second without start and first third.
    pub rate: f64,
    /// CPU seconds of the broker per million records, the benchmark's own questions included.
    pub broker_cpu: Option<f64>,
    /// Most resident memory, bytes.
    pub peak_memory: u64,
}

/// Runs both in turn, `runs` times.
///
/// # Errors
/// A copy that is none, or a part that is missing.
pub fn measure(broker: &Broker, records: u64, runs: u32) -> Result<Vec<Run>> {
    let log = KafkaLog::connect(KafkaConfig {
        extra: [("compression.type".to_owned(), "lz4".to_owned())].into(),
        ..KafkaConfig::new(broker.bootstrap())
    })?;
    let prefix = broker.prefix("copy");
    let input = format!("{prefix}in");
    create(log.as_ref(), &input)?;
    fill(log.as_ref(), &input, records)?;
    oracle::verify(broker.bootstrap(), &input, records).context("the input")?;
    let mut results = Vec::new();
    for round in 0..runs {
        for copier in [Copier::Plain, Copier::Engine] {
            let run =
                one(broker, log.as_ref(), &input, copier, records, &format!("{prefix}{}-{round}", copier.name()))?;
            eprintln!(
                "  {:6} {:.2} CPU s per million ({:.2} with start), {:.0} thousand/s, {} MB",
                copier.name(),
                run.cpu_steady,
                run.cpu_whole,
                run.rate / 1e3,
                run.peak_memory >> 20,
            );
            results.push(run);
        }
    }
    Ok(results)
}

fn create(log: &KafkaLog, topic: &str) -> Result<()> {
    let cleanup = CleanupPolicy::Delete { retention: None };
    Ok(log.create_topics(&[TopicSpec { name: topic.to_owned(), partitions: input::PARTITIONS, cleanup }])?)
}

/// Writes the input, durably.
fn fill(log: &KafkaLog, topic: &str, records: u64) -> Result<()> {
    const CALL: u64 = 2000;
    const UNDER_WAY: usize = 32;
    let appender = log.appender()?;
    let topic: std::sync::Arc<str> = topic.into();
    let (answer, answers) = mpsc::channel();
    let batch = |first: u64| -> Vec<Record> {
        let record = |n| Record::new(topic.clone(), input::key(n), input::value(n)).to_partition(input::partition(n));
        (first..(first + CALL).min(records)).map(record).collect()
    };
    // Appends that are under way at the same time have no order while the appender still asks for the topic.
    appender.append_blocking(batch(0))?;
    let mut open = 0;
    for first in (CALL..records).step_by(CALL as usize) {
        let answer = answer.clone();
        let batch = batch(first);
        // The receiver outlives this function's loop; after an early error nobody wants the rest.
        appender.append(batch, Box::new(move |result| drop(answer.send(result))));
        open += 1;
        if open >= UNDER_WAY {
            answers.recv().context("the log dropped an append")??;
            open -= 1;
        }
    }
    for _ in 0..open {
        answers.recv().context("the log dropped an append")??;
    }
    Ok(())
}

/// What was true at one moment of a run.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    committed: u64,
    cpu: f64,
}

fn one(broker: &Broker, log: &KafkaLog, input: &str, copier: Copier, records: u64, name: &str) -> Result<Run> {
    let output = format!("{name}.out");
    create(log, &output)?;
    let logs = tempfile::tempdir().context("cannot make a directory for logs")?;
    let launch = Launch::new(copier.name(), copier.program(), logs.path())
        .env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
        .env("IN_TOPIC", input)
        .env("OUT_TOPIC", &output)
        .env("GROUP_ID", name)
        .env("COMMIT_MS", COMMIT_MS);
    let broker_before = broker.cpu()?;
    let mut process = launch.start()?;
    let pids = [process.pid()];
    let started = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    while samples.last().is_none_or(|sample| sample.committed < records) {
        sleep(SAMPLE);
        ensure!(process.ended().is_none(), "{} ended by itself\n{}", copier.name(), process.tail());
        ensure!(started.elapsed() < LONGEST, "{} takes longer than {LONGEST:?}\n{}", copier.name(), process.tail());
        let committed = log.committed(name, &[input])?.iter().map(|(_, offset)| offset).sum();
        samples.push(Sample { at: Instant::now(), committed, cpu: system::cpu_seconds(&pids)? });
    }
    let broker_cpu = broker.cpu()?.zip(broker_before).map(|(after, before)| (after - before) / millions(records));
    let peak_memory = system::memory(&pids)?.peak;
    process.kill9();
    oracle::verify(broker.bootstrap(), &output, records).context(copier.name())?;
    let last = samples[samples.len() - 1];
    let first = samples.iter().find(|sample| sample.committed >= records / 3).unwrap_or(&last);
    // A short run may be over between two samples; then there is only the whole.
    let steady = last.committed - first.committed;
    let whole_rate = records as f64 / started.elapsed().as_secs_f64();
    let cpu_whole = last.cpu / millions(records);
    let (cpu_steady, rate) = if steady < records / 10 {
        (cpu_whole, whole_rate)
    } else {
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        ((last.cpu - first.cpu) / millions(steady), steady as f64 / seconds)
    };
    Ok(Run { copier, cpu_whole, cpu_steady, rate, broker_cpu, peak_memory })
}

fn millions(records: u64) -> f64 {
    records as f64 / 1e6
}
