//! Alerts taken in per CPU second, and what an active alert takes of memory.
//!
//! One life of a system: a thousand alerts to warm it up; the rest as new alerts, 64 a request; all of them again as
//! Prometheus repeats them, 64 a request and then one a request. CPU time counts from the first request until the
//! system has come to rest, so work that it does after its answer counts too. Groups wait longer than the measurement
//! lasts: taking in, tracking and grouping are measured here, telling is measured elsewhere.

use std::time::SystemTime;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::load::Generator;
use super::stage::Stage;
use super::{Size, System, batch};
use crate::broker::Broker;
use crate::latency::Percentiles;
use crate::system;

/// What Prometheus sends at most in one request.
const BATCH: usize = 64;
const WARM_UP: usize = 1000;
const CONFIG: &str = "
route:
  receiver: team
  group_by: [alertname, cluster]
  group_wait: 3h
  group_interval: 3h
  repeat_interval: 12h
receivers:
  - name: team
    webhook_configs:
      - url: http://127.0.0.1:9/
";

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Alerts not seen before, 64 a request.
    New,
    /// Alerts that are active, 64 a request.
    Repeated,
    /// Alerts that are active, one a request.
    Single,
}

impl Phase {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::New => "new alerts, 64 a request",
            Self::Repeated => "repeated alerts, 64 a request",
            Self::Single => "repeated alerts, one a request",
        }
    }
}

/// What one kind of load cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Which load.
    pub phase: Phase,
    /// Alerts accepted.
    pub alerts: u64,
    /// CPU seconds of all processes of the system, a broker's not included.
    pub cpu: f64,
    /// CPU seconds of the broker.
    pub broker_cpu: Option<f64>,
    /// Alerts per second, as the clients saw it.
    pub rate: f64,
    /// Times of requests.
    pub requests: Percentiles,
}

impl Cost {
    /// Alerts per CPU second of the system.
    pub fn per_cpu_second(&self) -> f64 {
        self.alerts as f64 / self.cpu
    }
}

/// What one system did.
#[derive(Clone, Debug, Serialize)]
pub struct Intake {
    /// Which.
    pub system: System,
    /// Each load.
    pub costs: Vec<Cost>,
    /// Resident memory with a thousand active alerts, bytes.
    pub memory_before: u64,
    /// Resident memory with all, bytes.
    pub memory_after: u64,
    /// Bytes for each alert between the two.
    pub memory_per_alert: f64,
    /// Part of a core that all processes use with all alerts active and nothing to do.
    pub at_rest: f64,
}

/// One life of one system.
///
/// # Errors
/// A refused alert, or an accepted one that is not listed.
pub fn measure(system: System, broker: &Broker, size: Size) -> Result<Intake> {
    let stage = Stage::start(system, broker, CONFIG)?;
    let generator = Generator::new(stage.url())?;
    // A broker works for Kafka only, and for others nothing is to be said of it.
    let run = Run { broker: (system == System::Kafka).then_some(broker), stage, generator };
    let started = SystemTime::now();
    let bodies = |from: usize, to: usize, batch: usize| batch::bodies(from..to, batch, started);

    run.load(Phase::New, WARM_UP, bodies(0, WARM_UP, BATCH))?;
    run.assert_listed(WARM_UP)?;
    let memory_before = run.memory()?;
    let new = run.load(Phase::New, size.alerts - WARM_UP, bodies(WARM_UP, size.alerts, BATCH))?;
    let memory_after = run.memory()?;
    run.assert_listed(size.alerts)?;
    let repeats = (0..size.repeats).flat_map(|_| bodies(0, size.alerts, BATCH)).collect();
    let repeated = run.load(Phase::Repeated, size.alerts * size.repeats, repeats)?;
    let singles = size.singles.min(size.alerts);
    let single = run.load(Phase::Single, singles, bodies(0, singles, 1))?;
    run.assert_listed(size.alerts)?;
    system::settle(run.stage.pids())?;
    let at_rest = system::at_rest(run.stage.pids())?;
    let memory_per_alert = (memory_after as f64 - memory_before as f64) / (size.alerts - WARM_UP) as f64;
    Ok(Intake { system, costs: vec![new, repeated, single], memory_before, memory_after, memory_per_alert, at_rest })
}

struct Run<'a> {
    stage: Stage,
    generator: Generator,
    broker: Option<&'a Broker>,
}

impl Run<'_> {
    fn load(&self, phase: Phase, alerts: usize, bodies: Vec<String>) -> Result<Cost> {
        let pids = self.stage.pids();
        let broker_cpu = || self.broker.map_or(Ok(None), Broker::cpu);
        let (before, broker_before) = (system::cpu_seconds(pids)?, broker_cpu()?);
        let posted = self.generator.post_all(bodies)?;
        system::settle(pids)?;
        let cpu = system::cpu_seconds(pids)? - before;
        let broker_cpu = broker_cpu()?.zip(broker_before).map(|(after, before)| after - before);
        let rate = alerts as f64 / posted.elapsed.as_secs_f64();
        let cost = Cost { phase, alerts: alerts as u64, cpu, broker_cpu, rate, requests: posted.requests };
        eprintln!(
            "    {:32} {:8.0} a CPU second, {:8.0} a second, p50 {:.1} ms",
            phase.title(),
            cost.per_cpu_second(),
            rate,
            posted.requests.p50,
        );
        Ok(cost)
    }

    fn memory(&self) -> Result<u64> {
        Ok(system::memory(self.stage.pids())?.resident)
    }

    /// The oracle. The system is at rest, so the first answer must be whole.
    fn assert_listed(&self, accepted: usize) -> Result<()> {
        let listed = self.generator.listed()?;
        ensure!(listed == accepted, "{accepted} alerts were accepted, GET /api/v2/alerts lists {listed}");
        Ok(())
    }
}
