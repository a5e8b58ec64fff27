//! The engine beside Kafka Streams and plain librdkafka: the workloads of `bench/kafka-streams`, all systems in one run of
//! one driver, each row behind its oracle; and state beside bare RocksDB.
//!
//! It deliberately computes nothing from two runs of the driver: rows of one run are compared, nothing else.

mod chart;
mod driver;
mod embedded;
mod measures;
mod page;
mod rows;

pub use chart::charts;
pub use driver::kafka_version;
pub use page::{Section, merge, page};
pub use rows::Rows;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A workload of `bench/kafka-streams/README.md`, or state by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Copy.
    W1,
    /// Alert lifecycle: keyed state and timers.
    W3,
    /// Latency by commit interval.
    W4,
    /// Restore.
    W5,
    /// Latency on the embedded log, in this process.
    Embedded,
    /// State and timers beside bare RocksDB, and simulation: without a log of their own.
    State,
}

impl Workload {
    /// In the order they are run and shown.
    pub const ALL: [Self; 6] = [Self::W1, Self::W3, Self::W4, Self::W5, Self::Embedded, Self::State];

    /// As the driver calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W3 => "w3",
            Self::W4 => "w4",
            Self::W5 => "w5",
            Self::Embedded => "embedded",
            Self::State => "state",
        }
    }

    fn systems(self) -> &'static [System] {
        match self {
            Self::W1 | Self::W4 => &[System::KafkaStreams, System::Plain, System::Beacon],
            Self::W3 | Self::W5 => &[System::KafkaStreams, System::KafkaStreamsTuned, System::Beacon],
            Self::Embedded | Self::State => &[System::Beacon],
        }
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// As the library and the JVM are by default.
    KafkaStreams,
    /// With bounded RocksDB, larger batches, static membership.
    KafkaStreamsTuned,
    /// librdkafka's calls and nothing else.
    Plain,
    /// beacon-core.
    Beacon,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KafkaStreams => "Kafka Streams",
            Self::KafkaStreamsTuned => "Kafka Streams, tuned",
            Self::Plain => "plain librdkafka",
            Self::Beacon => "Beacon",
        })
    }
}

/// How much of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Records of W1 and W3.
    pub records: u64,
    /// Runs of W1 and W3.
    pub runs: u32,
    /// Runs of W4.
    pub latency_runs: u32,
    /// Records a second in W4.
    pub rate: u32,
    /// Measured seconds of W4.
    pub seconds: u32,
    /// Seconds of W4 before that.
    pub warmup: u32,
    /// Commit intervals of W4, milliseconds.
    pub intervals: Vec<u32>,
    /// Keys of W5; each count is a run of its own.
    pub keys: Vec<u64>,
    /// A look at state rather than a measurement.
    pub quick: bool,
    /// Only these take part; empty: all.
    pub engines: Vec<System>,
}

impl Sizes {
    /// A look: some two minutes.
    pub fn quick() -> Self {
        Self {
            records: 200_000,
            runs: 1,
            latency_runs: 1,
            rate: 2_000,
            seconds: 5,
            warmup: 3,
            intervals: vec![25, 100],
            keys: vec![100_000],
            quick: true,
            engines: Vec::new(),
        }
    }

    /// What is published.
    pub fn full() -> Self {
        Self {
            records: 3_000_000,
            runs: 3,
            latency_runs: 5,
            rate: 5_000,
            seconds: 10,
            warmup: 8,
            intervals: vec![5, 10, 25, 100],
            keys: vec![500_000, 5_000_000, 10_000_000],
            quick: false,
            engines: Vec::new(),
        }
    }

    /// Who takes part in a workload.
    pub fn systems(&self, workload: Workload) -> Vec<System> {
        let all = workload.systems().iter().copied();
        all.filter(|system| self.engines.is_empty() || self.engines.contains(system)).collect()
    }

    /// Minutes a workload takes on two quiet cores, from what runs took there: starts and verification included.
    pub fn minutes(&self, workload: Workload) -> f64 {
        let millions = self.records as f64 / 1e6;
        let (runs, systems) = (f64::from(self.runs), self.systems(workload).len() as f64);
        let seconds = match workload {
            Workload::W1 => 10.0 + runs * systems * (12.0 + millions * 5.0),
            Workload::W3 => 15.0 + runs * systems * (12.0 + millions * 15.0),
            Workload::W4 => {
                let each = f64::from(self.seconds + self.warmup) + 7.0;
                20.0 + f64::from(self.thrown_away()) * 22.0
                    + f64::from(self.latency_runs) * self.intervals.len() as f64 * systems * each
            }
            Workload::W5 => self.keys.iter().map(|keys| systems * (30.0 + *keys as f64 / 1e6 * 42.0)).sum(),
            Workload::Embedded => f64::from(self.seconds + self.warmup) * embedded::PACES.len() as f64,
            Workload::State if self.quick => 6.0,
            Workload::State => 110.0,
        };
        seconds / 60.0
    }

    /// Runs of W4 before those that count; see the driver.
    fn thrown_away(&self) -> u32 {
        if self.quick { 1 } else { 4 }
    }

    fn arguments(&self, workload: Workload, keys: u64) -> Vec<String> {
        let intervals: Vec<_> = self.intervals.iter().map(u32::to_string).collect();
        let pairs = match workload {
            Workload::W1 | Workload::W3 => {
                vec![("--records", self.records.to_string()), ("--runs", self.runs.to_string())]
            }
            Workload::W4 => vec![
                ("--runs", self.latency_runs.to_string()),
                ("--commit-ms", intervals.join(",")),
                ("--rate", self.rate.to_string()),
                ("--seconds", self.seconds.to_string()),
                ("--warmup", self.warmup.to_string()),
                ("--thrown-away", self.thrown_away().to_string()),
            ],
            Workload::W5 => vec![("--records", keys.to_string())],
            Workload::Embedded | Workload::State => Vec::new(),
        };
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

/// Runs one workload on all systems.
///
/// # Errors
/// The driver or a part it needs does not start. A system that fails is a row that says so.
pub fn measure(workload: Workload, sizes: &Sizes) -> Result<Rows> {
    let systems = sizes.systems(workload);
    match workload {
        Workload::Embedded => embedded::measure(sizes),
        Workload::State => driver::own(sizes.quick),
        Workload::W5 => {
            let mut all = Rows::default();
            for keys in &sizes.keys {
                all.append(driver::run(workload, &systems, &sizes.arguments(workload, *keys))?);
            }
            Ok(all)
        }
        _ => driver::run(workload, &systems, &sizes.arguments(workload, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_asked_for_what_the_sizes_say() {
        let arguments = |sizes: Sizes| sizes.arguments(Workload::W4, 0).join(" ");
        let full = "--runs 5 --commit-ms 5,10,25,100 --rate 5000 --seconds 10 --warmup 8 --thrown-away 4";
        assert_eq!(arguments(Sizes::full()), full);
        assert!(arguments(Sizes::quick()).ends_with(" --thrown-away 1"), "a look is short");
    }

    #[test]
    fn those_asked_for_take_part_where_they_can() {
        let sizes = Sizes { engines: vec![System::Plain, System::Beacon], ..Sizes::full() };
        assert_eq!(sizes.systems(Workload::W1), [System::Plain, System::Beacon]);
        assert_eq!(sizes.systems(Workload::W5), [System::Beacon]);
        assert_eq!(Sizes::full().systems(Workload::W3), Workload::W3.systems());
    }
}
