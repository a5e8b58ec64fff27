//! The page `docs/benchmarks/engine.md`. Pure.
//!
//! A workload that is measured again replaces its own section and leaves the others as they are: each says when and where it
//! was measured.

use serde::{Deserialize, Serialize};

use super::{Rows, Workload, measures};
use crate::report::{Measure, row};

/// What is known of one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Which.
    pub workload: Workload,
    /// When, where, with what: one line.
    pub circumstances: String,
    /// The machine's load average at the start.
    pub load: f64,
    /// Every row of the run.
    pub rows: Rows,
}

/// Puts newly measured sections in the place of older ones.
pub fn merge(old: Vec<Section>, new: Vec<Section>) -> Vec<Section> {
    let mut all = new;
    for section in old {
        if !all.iter().any(|newer| newer.workload == section.workload) {
            all.push(section);
        }
    }
    all.sort_by_key(|section| section.workload);
    all
}

const INTRODUCTION: &str = "# The engine beside Kafka Streams and plain librdkafka

Written by `make bench`; do not edit. All systems of a section ran in one run of one driver, in turn, on the same broker; only
figures of one section may be compared. A row counts after its oracle: *ok* means that the whole committed output is what the
generator alone says it must be. What is done, byte by byte, says
[bench/kafka-streams/README.md](../../bench/kafka-streams/README.md); what was learnt, [profile.md](profile.md).

*CPU* is user and system time of the one process, without its start and the first third of the input. *Plain librdkafka* is a program of 200 lines
on librdkafka's calls without engine, state or changelog: the ceiling. A ratio above 1 is better than the yardstick.
";

/// The whole page.
pub fn page(sections: &[Section]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in sections {
        let Heading { title, explanation } = heading(section.workload);
        text.push_str(&format!(
            "\n## {title}\n\n{explanation}\n\n{}; load average at the start {:.1}.\n",
            section.circumstances, section.load
        ));
        let failures = section.rows.failures();
        if failures > 0 {
            text.push_str(&format!(
                "**{failures} of {} rows failed; they are compared with nothing.**\n",
                section.rows.rows.len()
            ));
        }
        text.push_str(&format!("\n![{title}]({}.svg)\n", section.workload.name()));
        text.push_str(&comparison(&measures::of(section.workload, &section.rows)));
        if section.workload != Workload::State {
            text.push_str(&format!(
                "\n<details><summary>Every row</summary>\n\n{}\n</details>\n",
                every_row(&section.rows)
            ));
        }
    }
    text
}

struct Heading {
    title: &'static str,
    explanation: &'static str,
}

fn heading(workload: Workload) -> Heading {
    match workload {
        Workload::W1 => Heading {
            title: "W1: exactly-once copy",
            explanation: "Records of 100 bytes, 8 partitions, preloaded; a commit each 100 ms.",
        },
        Workload::W3 => Heading {
            title: "W3: alert lifecycle",
            explanation: "Records of 200 bytes over a million keys (Zipf); per key a state and a timer that is set, cancelled or fired; a commit each \
                          100 ms.",
        },
        Workload::W4 => Heading {
            title: "W4: latency",
            explanation: "A steady rate, a count per key; from the moment a record was due at the producer until a committed reader has its \
                          output. The plain program keeps its counts in memory only.",
        },
        Workload::W5 => Heading {
            title: "W5: restore",
            explanation: "One value of 100 bytes per key; from the start of the process. Checkpoints, where a system has them, survive in a folder \
                          of their own when the disk is emptied. *ok*: after each \
                          restore, 10,000 keys from all of the state had their last values.",
        },
        Workload::Embedded => Heading {
            title: "Latency on the embedded log",
            explanation: "W4's records and counts in one process, on a log of its own that syncs each commit to the disk: from the moment a record was \
                          due until a reader has its output. *idle*: a commit whenever the input is empty, as `beacon up` does it.",
        },
        Workload::State => Heading {
            title: "State and timers beside bare RocksDB; simulation",
            explanation: "One thread, no log: nanoseconds of its CPU per operation, a commit each 5,000; and what a second of CPU simulates.",
        },
    }
}

fn comparison(measures: &[Measure]) -> String {
    let rows: String = measures.iter().map(row).collect();
    format!("\n| | Beacon | | Yardstick | Ratio | Aim |\n|---|--:|---|--:|--:|---|\n{rows}")
}

fn every_row(rows: &Rows) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(rows.columns.len()));
    let body: String = rows.rows.iter().map(|cells| line(cells)).collect();
    format!("{}{rule}{body}", line(&rows.columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(workload: Workload, circumstances: &str, text: &str) -> Section {
        let rows = Rows::parse(text).expect("well formed");
        Section { workload, circumstances: circumstances.to_owned(), load: 0.5, rows }
    }

    const W3: &str =
        "sut\trun\tsteady_cpu_s_per_M\tpeak_rss_MB\tverified\nKafka Streams\t1\t14\t600\tok\nBeacon\t1\t2\t100\tok\n";

    #[test]
    fn a_workload_measured_again_replaces_its_own_section_only() {
        let old = vec![section(Workload::W3, "old", W3), section(Workload::W5, "old", W3)];
        let merged = merge(old, vec![section(Workload::W3, "new", W3), section(Workload::W1, "new", W3)]);
        let seen: Vec<_> = merged.iter().map(|s| (s.workload, s.circumstances.as_str())).collect();
        assert_eq!(seen, [(Workload::W1, "new"), (Workload::W3, "new"), (Workload::W5, "old")]);
    }

    #[test]
    fn the_page_shows_ratios_aims_and_failures() {
        let failed = format!("{W3}Beacon\t2\t\t\tfailed: it ended\n");
        let page = page(&[section(Workload::W3, "somewhere", &failed)]);
        assert!(page.contains("Kafka Streams: 14.0 | 7.00x | ≥ 5x: reached"), "{page}");
        assert!(page.contains("1 of 3 rows failed"), "{page}");
    }
}
