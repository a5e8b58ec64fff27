//! Which figures of a run are shown, beside what, and what is wanted of them. Pure.

use super::{Aim, Better, Measure, Results};
use crate::alerts::{Intake, Phase, System};

const COMMIT: &str = "A commit with next to nothing in it";
const INTAKE: &str = "Alerts taken in, durable when answered";
const MEMORY: &str = "Memory of an active alert, and CPU at rest";
const NOTIFICATION: &str = "From the post of an alert to its webhook, group_wait 0";

pub(super) fn all(results: &Results) -> Vec<Measure> {
    let mut measures = commit(results);
    measures.extend(intake(&results.intakes));
    measures.extend(memory(&results.intakes));
    measures.extend(notification(results));
    measures
}

fn commit(results: &Results) -> Vec<Measure> {
    let mut measures = Vec::new();
    for commit in &results.commits {
        let on_kafka = commit.log == "kafka";
        let (place, yardstick) = if on_kafka { ("Kafka", "raw calls") } else { ("embedded", "write + fdatasync") };
        let plural = if commit.partitions == 1 { "" } else { "s" };
        let name = |share| format!("{place}, {} partition{plural}, {share}", commit.partitions);
        let (ours, theirs) = (commit.session, commit.yardstick);
        let median = Measure::new(COMMIT, name("p50"), "ms", ours.p50).beside(yardstick, theirs.p50, Better::Less);
        measures.push(if on_kafka { median.aims(Aim::Below(15.0)) } else { median });
        measures.push(Measure::new(COMMIT, name("p99"), "ms", ours.p99).beside(yardstick, theirs.p99, Better::Less));
    }
    measures
}

const ALERTMANAGER: &str = "Alertmanager";

fn split(intakes: &[Intake]) -> Option<(&Intake, impl Iterator<Item = &Intake>)> {
    let theirs = intakes.iter().find(|intake| intake.system == System::Alertmanager)?;
    Some((theirs, intakes.iter().filter(|intake| intake.system != System::Alertmanager)))
}

fn intake(intakes: &[Intake]) -> Vec<Measure> {
    let Some((theirs, ours)) = split(intakes) else { return Vec::new() };
    let mut measures = Vec::new();
    for intake in ours {
        for phase in [Phase::New, Phase::Repeated, Phase::Single] {
            let find = |intake: &Intake| intake.costs.iter().find(|cost| cost.phase == phase).copied();
            let (Some(cost), Some(yardstick)) = (find(intake), find(theirs)) else { continue };
            let name = format!("{}: {}", intake.system.title(), phase.title());
            let measure = Measure::new(INTAKE, name.clone(), "per CPU s", cost.per_cpu_second());
            let measure = measure.beside(ALERTMANAGER, yardstick.per_cpu_second(), Better::More);
            measures.push(measure.aims(Aim::Ratio(1.0)));
            let rate = Measure::new(INTAKE, format!("{name}, rate"), "per s", cost.rate);
            measures.push(rate.beside(ALERTMANAGER, yardstick.rate, Better::More));
            if let Some(broker) = cost.broker_cpu {
                let per_million = broker / cost.alerts as f64 * 1e6;
                measures.push(Measure::new(INTAKE, format!("{name}, broker"), "CPU s per million", per_million));
            }
        }
    }
    measures
}

fn memory(intakes: &[Intake]) -> Vec<Measure> {
    let Some((theirs, ours)) = split(intakes) else { return Vec::new() };
    let mut measures = Vec::new();
    for intake in ours {
        let title = intake.system.title();
        let each = Measure::new(MEMORY, format!("{title}: growth per alert"), "bytes", intake.memory_per_alert);
        measures.push(each.beside(ALERTMANAGER, theirs.memory_per_alert, Better::Less));
        let all =
            Measure::new(MEMORY, format!("{title}: all processes, all alerts"), "MB", intake.memory_after as f64 / 1e6);
        measures.push(all.beside(ALERTMANAGER, theirs.memory_after as f64 / 1e6, Better::Less));
        // Alertmanager's is too near to nothing for a ratio.
        let at_rest = format!("{title}: CPU with nothing to do (Alertmanager: {:.1} %)", theirs.at_rest * 100.0);
        measures.push(Measure::new(MEMORY, at_rest, "% of a core", intake.at_rest * 100.0));
    }
    measures
}

fn notification(results: &Results) -> Vec<Measure> {
    let find = |system| results.notifications.iter().find(|found| found.system == system);
    let Some(theirs) = find(System::Alertmanager) else { return Vec::new() };
    let mut measures = Vec::new();
    for system in [System::Embedded, System::Kafka] {
        let Some(ours) = find(system) else { continue };
        let name = |share| format!("{}, {share}", system.title());
        let median = Measure::new(NOTIFICATION, name("p50"), "ms", ours.arrival.p50);
        let median = median.beside(ALERTMANAGER, theirs.arrival.p50, Better::Less);
        measures.push(if system == System::Embedded { median.aims(Aim::Below(20.0)) } else { median });
        let last = Measure::new(NOTIFICATION, name("p99"), "ms", ours.arrival.p99);
        measures.push(last.beside(ALERTMANAGER, theirs.arrival.p99, Better::Less));
    }
    measures
}
