//! Where and with what a run was made.

use std::fs;
use std::process::Command;

use scenari::binaries;
use serde::Serialize;

use crate::broker::Broker;

/// The machine and the versions of everything that takes part.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// UTC, RFC 3339, to the second.
    pub date: String,
    /// Model of the processors.
    pub processor: String,
    /// Processors that may be used.
    pub cores: usize,
    /// Memory, GiB.
    pub memory_gib: u64,
    /// Distribution.
    pub system: String,
    /// Kernel.
    pub kernel: String,
    /// Name and version of each part.
    pub versions: Vec<(&'static str, String)>,
    /// `dist`, `release` or `dev`.
    pub profile: String,
}

impl Machine {
    /// Asks around; what does not answer is `unknown`.
    pub fn look(broker: &Broker) -> Self {
        let mut machine = Self::without_broker();
        let version = broker.version().unwrap_or_else(|| "unknown".to_owned());
        machine.versions.push(("Kafka", version));
        let alertmanager = binaries::installed("prometheus-alertmanager", "prometheus-alertmanager");
        let said = said(Command::new(alertmanager).arg("--version"));
        let version = said.and_then(|said| said.split_whitespace().nth(2).map(str::to_owned));
        machine.versions.push(("Alertmanager", version.unwrap_or_else(|| "unknown".to_owned())));
        machine
    }

    fn without_broker() -> Self {
        let unknown = || "unknown".to_owned();
        let commit = self::said(Command::new("git").args(["describe", "--always", "--dirty"]));
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        let beacon = format!("{} ({})", env!("CARGO_PKG_VERSION"), commit.unwrap_or_else(unknown));
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            processor: line("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: line("/proc/meminfo", "MemTotal")
                .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
                .map_or(0, |kb| (kb + (1 << 19)) >> 20),
            system: line_with("/etc/os-release", "PRETTY_NAME", '=').unwrap_or_else(unknown),
            kernel: self::said(Command::new("uname").arg("-r")).unwrap_or_else(unknown),
            versions: vec![
                ("Beacon", beacon),
                ("librdkafka", librdkafka),
                ("Rust", self::said(Command::new("rustc").arg("--version")).unwrap_or_else(unknown)),
            ],
            // Which of the optimised ones it is knows only who built it: scripts/bench.sh.
            profile: std::env::var("BENCH_PROFILE")
                .unwrap_or_else(|_| if cfg!(debug_assertions) { "dev" } else { "release" }.to_owned()),
        }
    }
}

/// When and where, and the command, in one line.
pub fn line_of(command: &str) -> String {
    let machine = Machine::without_broker();
    let versions: Vec<_> = machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "{}, `{command}` ({} build), {} cores of {}, {} GB, {}, Linux {}; {}",
        machine.date,
        machine.profile,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.system,
        machine.kernel,
        versions.join(", "),
    )
}

/// The machine's load over the last minute: what others were doing meanwhile, and we.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn line(path: &str, name: &str) -> Option<String> {
    line_with(path, name, ':')
}

fn line_with(path: &str, name: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(separator)).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    // Alertmanager's version goes to the error output in some releases.
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}
