//! Which figures of a workload are shown beside what, and what is wanted of them. Pure.

use super::{Rows, System, Workload};
use crate::report::{Aim, Better, Measure};

const STREAMS: &str = "Kafka Streams";
const TUNED: &str = "Kafka Streams, tuned";
const PLAIN: &str = "plain librdkafka";
const ROCKSDB: &str = "bare RocksDB";
const FRESH: &str = "without them";

/// The comparisons of one workload. What was not measured, or not verified, is left out.
pub(super) fn of(workload: Workload, rows: &Rows) -> Vec<Measure> {
    match workload {
        Workload::W1 => copy(rows),
        Workload::W3 => lifecycle(rows),
        Workload::W4 => latency(rows),
        Workload::W5 => restore(rows),
        Workload::Embedded => embedded(rows),
        Workload::State => own(rows),
    }
}

/// A row of Beacon's medians beside another system's.
fn beside(rows: &Rows, what: &str, unit: &'static str, column: &str, other: System, better: Better) -> Option<Measure> {
    let (ours, theirs) = (rows.median(System::Beacon, column, &[])?, rows.median(other, column, &[])?);
    Some(Measure::new("", what, unit, ours).beside(title(other), theirs, better))
}

fn title(system: System) -> &'static str {
    match system {
        System::KafkaStreams => STREAMS,
        System::KafkaStreamsTuned => TUNED,
        System::Plain => PLAIN,
        System::Beacon => "Beacon",
    }
}

fn copy(rows: &Rows) -> Vec<Measure> {
    let row = |what, unit, column, other, better| beside(rows, what, unit, column, other, better);
    let (cpu, rate) = ("CPU of the program", "rate");
    let found = [
        row(cpu, "s per million", "steady_cpu_s_per_M", System::Plain, Better::Less).map(|m| m.aims(Aim::Ratio(0.8))),
        row(cpu, "s per million", "steady_cpu_s_per_M", System::KafkaStreams, Better::Less),
        row(rate, "records/s", "steady_rate_per_s", System::Plain, Better::More),
        row(rate, "records/s", "steady_rate_per_s", System::KafkaStreams, Better::More),
        row("CPU of the broker", "s per million", "broker_cpu_s_per_M", System::Plain, Better::Less),
        row("peak memory", "MB", "peak_rss_MB", System::Plain, Better::Less),
        row("peak memory", "MB", "peak_rss_MB", System::KafkaStreams, Better::Less),
    ];
    found.into_iter().flatten().collect()
}

fn lifecycle(rows: &Rows) -> Vec<Measure> {
    let mut measures = Vec::new();
    for other in [System::KafkaStreams, System::KafkaStreamsTuned] {
        let row = |what, unit, column, better| beside(rows, what, unit, column, other, better);
        let found = [
            row("CPU of the program", "s per million", "steady_cpu_s_per_M", Better::Less)
                .map(|m| m.aims(Aim::Ratio(5.0))),
            row("peak memory", "MB", "peak_rss_MB", Better::Less).map(|m| m.aims(Aim::Ratio(4.0))),
            row("rate", "records/s", "steady_rate_per_s", Better::More),
            row("CPU of the broker", "s per million", "broker_cpu_s_per_M", Better::Less),
        ];
        measures.extend(found.into_iter().flatten());
    }
    measures
}

fn latency(rows: &Rows) -> Vec<Measure> {
    const NEAR: f64 = 1.0 / 1.2;
    let mut measures = Vec::new();
    for interval in rows.distinct("commit_ms") {
        let only = [("commit_ms", interval.as_str())];
        for (share, column) in [("p50", "p50_ms"), ("p99", "p99_ms")] {
            let medians = (rows.median(System::Beacon, column, &only), rows.median(System::Plain, column, &only));
            if let (Some(ours), Some(theirs)) = medians {
                let measure = Measure::new("", format!("{interval} ms: {share}, median of runs"), "ms", ours);
                measures.push(measure.beside(PLAIN, theirs, Better::Less).aims(Aim::Ratio(NEAR)));
            }
            let worst = worst(rows, &interval, share, column, "ms", System::Plain);
            measures.extend(worst.map(|measure| measure.aims(Aim::Ratio(NEAR))));
        }
        let cpu = |system| rows.median(system, "sut_cpu_%", &only);
        if let (Some(ours), Some(theirs)) = (cpu(System::Beacon), cpu(System::KafkaStreams)) {
            let measure =
                Measure::new("", format!("{interval} ms: CPU of the program, median of runs"), "% of a core", ours);
            measures.push(measure.beside(STREAMS, theirs, Better::Less).aims(Aim::Ratio(3.0)));
        }
        let cpu = "CPU of the program";
        let worst = worst(rows, &interval, cpu, "sut_cpu_%", "% of a core", System::KafkaStreams);
        measures.extend(worst.map(|measure| measure.aims(Aim::Ratio(3.0))));
    }
    measures
}

/// Keys from which on an empty disk is judged: what a smaller state takes is starting and joining the group, not restoring.
const LARGE: f64 = 5e6;

/// The run with the worst ratio: each run is compared with the other program's run of the same turn.
fn worst(rows: &Rows, interval: &str, what: &str, column: &str, unit: &'static str, other: System) -> Option<Measure> {
    let pair = |run: &String| {
        let only = [("commit_ms", interval), ("run", run.as_str())];
        Some((rows.median(System::Beacon, column, &only)?, rows.median(other, column, &only)?))
    };
    let pairs: Vec<_> = rows.distinct("run").iter().filter_map(pair).collect();
    let (ours, theirs) = pairs.iter().copied().max_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)))?;
    let measure = Measure::new("", format!("{interval} ms: {what}, worst of {} runs", pairs.len()), unit, ours);
    Some(measure.beside(title(other), theirs, Better::Less))
}

fn restore(rows: &Rows) -> Vec<Measure> {
    let mut measures = Vec::new();
    for keys in rows.distinct("keys") {
        let at = |phase| [("keys", keys.as_str()), ("phase", phase)];
        let count = keys.parse::<f64>().ok();
        let million = count.map_or_else(|| keys.clone(), |keys| format!("{} M keys", keys / 1e6));
        for (phase, column, what, aim) in [
            (
                "clean stop, disk empty",
                "all_partitions_s",
                "disk empty, answers from all partitions",
                count.filter(|count| *count >= LARGE).map(|_| Aim::Ratio(10.0)),
            ),
            ("kill -9, disk kept", "running_s", "kill -9, disk kept, to running", Some(Aim::Below(3.0))),
            ("clean stop, disk kept", "all_partitions_s", "clean stop, disk kept, answers from all partitions", None),
            ("build", "all_partitions_s", "building the state", None),
        ] {
            let Some(ours) = rows.median(System::Beacon, column, &at(phase)) else { continue };
            let mut measure = Measure::new("", format!("{million}: {what}"), "s", ours);
            // The better of the two is the one to beat.
            let others = [System::KafkaStreams, System::KafkaStreamsTuned];
            let theirs = others.into_iter().filter_map(|other| Some((other, rows.median(other, column, &at(phase))?)));
            if let Some((other, theirs)) = theirs.min_by(|a, b| a.1.total_cmp(&b.1)) {
                measure = measure.beside(title(other), theirs, Better::Less);
            }
            measures.push(aim.map_or(measure.clone(), |aim| measure.aims(aim)));
        }
        let memory = |system| rows.median(system, "peak_rss_MB", &at("clean stop, disk empty"));
        if let (Some(ours), Some(theirs)) = (memory(System::Beacon), memory(System::KafkaStreamsTuned)) {
            let measure = Measure::new("", format!("{million}: disk empty, peak memory"), "MB", ours);
            measures.push(measure.beside(TUNED, theirs, Better::Less));
        }
    }
    measures.extend(tail(rows));
    measures
}

/// Changelog records that a kill leaves to be read: the largest state beside the smallest.
fn tail(rows: &Rows) -> Option<Measure> {
    let mut keys: Vec<u64> = rows.distinct("keys").iter().filter_map(|keys| keys.parse().ok()).collect();
    keys.sort_unstable();
    let (least, most) = (keys.first()?, keys.last()?);
    let tail = |keys: &u64| {
        let only = [("keys", keys.to_string()), ("phase", "kill -9, disk kept".to_owned())];
        rows.median(System::Beacon, "tail_records", &only.each_ref().map(|(column, cell)| (*column, cell.as_str())))
    };
    let (ours, theirs) = (tail(most)?, tail(least)?);
    if least == most {
        return None;
    }
    let what = format!("kill -9, disk kept: records to read again, with {}x the keys", most / least);
    // How much of the last interval was flushed is chance: half as much again is no growth.
    Some(
        Measure::new("", what, "records", ours)
            .beside("the least keys", theirs, Better::Less)
            .aims(Aim::Ratio(2.0 / 3.0)),
    )
}

fn embedded(rows: &Rows) -> Vec<Measure> {
    let mut measures = Vec::new();
    for pace in rows.distinct("commit") {
        let only = [("commit", pace.as_str())];
        let when = if pace == "idle" { "commits when idle".to_owned() } else { format!("a commit each {pace} ms") };
        let figure = |what: &str, unit, column| {
            Some(Measure::new("", format!("{when}: {what}"), unit, rows.median(System::Beacon, column, &only)?))
        };
        let p50 = figure("p50", "ms", "p50_ms");
        measures.extend(if pace == "idle" { p50.map(|p50| p50.aims(Aim::Below(5.0))) } else { p50 });
        measures.extend(figure("p99", "ms", "p99_ms"));
        measures.extend(figure("CPU of the process", "% of a core", "cpu_%"));
    }
    measures
}

/// Rows of beacon-core's own benchmarks say themselves what they are.
fn own(rows: &Rows) -> Vec<Measure> {
    let row = |cells: &Vec<String>| {
        let [what, ours, yardstick, unit, _, wanted] = cells.as_slice() else { return None };
        let unit = match unit.as_str() {
            "ns" => "ns of CPU",
            "steps/s" => "steps per CPU s",
            "seeds/s" => "seeds per CPU s",
            _ => "s per CPU s",
        };
        let measure = Measure::new("", what.clone(), unit, ours.parse().ok()?);
        let Ok(yardstick) = yardstick.parse() else { return Some(measure) };
        let name = if what.contains("timer") { FRESH } else { ROCKSDB };
        let measure = measure.beside(name, yardstick, Better::Less);
        let limit = wanted.strip_prefix("<= ").and_then(|limit| limit.parse::<f64>().ok());
        Some(match limit {
            Some(limit) => measure.aims(Aim::Ratio(1.0 / limit)),
            None => measure,
        })
    };
    rows.rows.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_compared_with_the_other_programs_run_of_the_same_turn() {
        let text = "sut\tcommit_ms\trun\tp50_ms\tp99_ms\tsut_cpu_%\tverified\n\
                    plain librdkafka\t5\t1\t10\t20\t9\tok\nBeacon\t5\t1\t11\t18\t9\tok\n\
                    plain librdkafka\t5\t2\t30\t60\t9\tok\nBeacon\t5\t2\t27\t66\t9\tok\n\
                    plain librdkafka\t5\t3\t10\t20\t9\tok\nBeacon\t5\t3\t20\t40\t9\tFAIL\n\
                    Kafka Streams\t5\t1\t10\t20\t45\tok\nKafka Streams\t5\t2\t10\t20\t18\tok\n";
        let measures = latency(&Rows::parse(text).expect("well formed"));
        let find = |what: &str| measures.iter().find(|measure| measure.what == what).expect("measured");
        let worst = find("5 ms: p50, worst of 2 runs");
        assert_eq!((worst.beacon, worst.yardstick.as_ref().map(|other| other.value)), (11.0, Some(10.0)));
        assert_eq!(find("5 ms: p99, worst of 2 runs").beacon, 66.0);
        let cpu = find("5 ms: CPU of the program, worst of 2 runs");
        assert_eq!(cpu.yardstick.as_ref().map(|other| other.value), Some(18.0));
    }

    #[test]
    fn a_system_that_failed_is_compared_with_nothing() {
        let text = "sut\trun\tsteady_cpu_s_per_M\tpeak_rss_MB\tverified\nKafka Streams\t1\t14\t600\tok\nBeacon\t1\t2\t100\tFAIL\n";
        assert_eq!(lifecycle(&Rows::parse(text).expect("well formed")), []);
    }

    #[test]
    fn restores_are_compared_with_the_better_variant() {
        let text = "sut\tphase\tkeys\trunning_s\tall_partitions_s\tverified\n\
                    Kafka Streams\tclean stop, disk empty\t5000000\t44.5\t45.2\tok\n\
                    Kafka Streams, tuned\tclean stop, disk empty\t5000000\t37.6\t38.4\tok\n\
                    Beacon\tclean stop, disk empty\t5000000\t3\t3.2\tok\n";
        let measures = restore(&Rows::parse(text).expect("well formed"));
        assert_eq!(measures[0].what, "5 M keys: disk empty, answers from all partitions");
        assert!(measures[0].ratio.is_some_and(|ratio| (ratio - 12.0).abs() < 1e-9), "{:?}", measures[0].ratio);
        assert!(measures[0].aim.is_some());
        let small = restore(&Rows::parse(&text.replace("5000000", "500000")).expect("well formed"));
        assert_eq!(
            (small[0].what.as_str(), &small[0].aim),
            ("0.5 M keys: disk empty, answers from all partitions", &None)
        );
    }
}
