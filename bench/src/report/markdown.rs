//! The page `docs/benchmarks/README.md`.

use super::{Measure, Results, figure};

const INTRODUCTION: &str = "# Benchmarks

Written by `make bench`; do not edit. Each figure stands beside its yardstick from the same run on the same machine, and
counts only after its oracle: every accepted alert must be listed by the API afterwards, every notification must come once.
A ratio above 1 is better than the yardstick. The engine beside Kafka Streams and plain librdkafka: [engine.md](engine.md).

![Beacon beside its yardsticks](chart.svg)
";

const METHOD: &str = "
## How it is measured

- **CPU** is user and system time of all processes of the system, from `/proc`. A Kafka broker's is told apart.
- **Commit**: from `begin` to the durable answer, one 100 B record to each partition and one offset, one after the other.
- **Alerts taken in**: some 600 B each, 16 connections. CPU counts until the system has come to rest, so the work after
  the answer is in it. Groups wait longer than the run lasts: telling is measured in the last part. Beacon answers when
  alerts are durable in its log; Alertmanager keeps alerts in memory only and loses them at a restart.
- **Memory**: growth of the resident memory of all processes from 1,000 active alerts to all.
- **Notification**: one alert after the other, each a group of its own, until the webhook has the whole request.

`results.json` holds every single run. `make bench` runs everything on the Kafka of `KAFKA_BOOTSTRAP_SERVERS`, or on one it
starts; `scripts/bench.sh --quick` is a short look that writes nothing.
";

/// The whole page.
pub fn markdown(results: &Results) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str(&circumstances(results));
    let mut section = "";
    for measure in &results.measures {
        if measure.section != section {
            section = measure.section;
            page.push_str(&format!(
                "\n## {section}\n\n| | Beacon | | Yardstick | Ratio | Aim |\n|---|--:|---|--:|--:|---|\n"
            ));
        }
        page.push_str(&row(measure));
    }
    page.push_str(METHOD);
    page
}

/// One line of a table of measures.
pub fn row(measure: &Measure) -> String {
    let yardstick = measure.yardstick.as_ref();
    let yardstick = yardstick.map_or(String::new(), |other| format!("{}: {}", other.name, figure(other.value)));
    let ratio = measure.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}x"));
    let aim = measure.aim.map_or(String::new(), |verdict| {
        let (aim, outcome) = verdict.text();
        if verdict.missed_by.is_some() { format!("{aim}: **{outcome}**") } else { format!("{aim}: {outcome}") }
    });
    let (what, value, unit) = (&measure.what, figure(measure.beacon), measure.unit);
    format!("| {what} | {value} | {unit} | {yardstick} | {ratio} | {aim} |\n")
}

fn circumstances(results: &Results) -> String {
    let machine = &results.machine;
    let versions: Vec<String> = machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let load: Vec<String> = results.load.iter().map(|(part, load)| format!("{part} {load:.1}")).collect();
    format!(
        "
| | |
|---|---|
| Date | {} |
| Command | `{}` ({} build) |
| Machine | {} cores of {}, {} GB, {}, Linux {} |
| Versions | {} |
| Load average at the start of each part | {} |
",
        machine.date,
        results.command,
        machine.profile,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.system,
        machine.kernel,
        versions.join(", "),
        load.join(", "),
    )
}
