//! One picture a workload: bars of every system under the names of what is measured. Pure.

use std::fmt::Write;

use super::{Rows, Section, System, Workload};
use crate::report::{escape, figure};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 690.0;
const BAR: f64 = 16.0;

/// A group of bars with a scale of its own.
struct Group {
    title: String,
    bars: Vec<(System, f64)>,
}

/// Whether a workload compares systems, and so has a picture.
pub fn is_drawn(workload: Workload) -> bool {
    !matches!(workload, Workload::Embedded | Workload::State)
}

/// File name and SVG of each section that can be drawn.
pub fn charts(sections: &[Section]) -> Vec<(String, String)> {
    let drawn = sections.iter().map(|section| (section.workload, groups(section.workload, &section.rows)));
    drawn
        .filter(|(_, groups)| !groups.is_empty())
        .map(|(workload, groups)| (format!("{}.svg", workload.name()), draw(workload, &groups)))
        .collect()
}

fn groups(workload: Workload, rows: &Rows) -> Vec<Group> {
    let group = |title: &str, column: &str, only: &[(&str, &str)]| {
        let bars = workload.systems().iter().filter_map(|system| Some((*system, rows.median(*system, column, only)?)));
        Group { title: title.to_owned(), bars: bars.collect() }
    };
    let groups: Vec<_> = match workload {
        Workload::W1 | Workload::W3 => vec![
            group("CPU seconds of the program per million records", "steady_cpu_s_per_M", &[]),
            group("CPU seconds of the broker per million records", "broker_cpu_s_per_M", &[]),
            group("records per second", "steady_rate_per_s", &[]),
            group("peak memory, MB", "peak_rss_MB", &[]),
        ],
        Workload::W4 => rows
            .distinct("commit_ms")
            .iter()
            .flat_map(|interval| {
                let only = [("commit_ms", interval.as_str())];
                [("p50, ms", "p50_ms"), ("p99, ms", "p99_ms"), ("CPU of the program, % of a core", "sut_cpu_%")]
                    .map(|(title, column)| group(&format!("commit each {interval} ms: {title}"), column, &only))
            })
            .collect(),
        Workload::W5 => rows
            .distinct("keys")
            .iter()
            .flat_map(|keys| {
                [
                    ("disk kept after a clean stop", "clean stop, disk kept", "all_partitions_s"),
                    ("disk empty", "clean stop, disk empty", "all_partitions_s"),
                    ("disk kept after kill -9, to running", "kill -9, disk kept", "running_s"),
                ]
                .map(|(title, phase, column)| {
                    group(&format!("{keys} keys, {title}: seconds"), column, &[("keys", keys), ("phase", phase)])
                })
            })
            .collect(),
        Workload::Embedded | Workload::State => Vec::new(),
    };
    groups.into_iter().filter(|group| !group.bars.is_empty()).collect()
}

fn draw(workload: Workload, groups: &[Group]) -> String {
    let mut body = String::new();
    let mut y = 14.0;
    for group in groups {
        let most = group.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        write(
            &mut body,
            format_args!("<text x=\"12\" y=\"{:.0}\" class=\"title\">{}</text>\n", y + 12.0, escape(&group.title)),
        );
        y += 20.0;
        for (system, value) in &group.bars {
            let width = ((RIGHT - LEFT) * value / most).max(1.0);
            write(
                &mut body,
                format_args!(
                    "<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{system}</text>\
                     <rect x=\"{LEFT:.0}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"12\" class=\"{class}\"/>\
                     <text x=\"{end:.1}\" y=\"{text:.0}\">{label}</text>\n",
                    LEFT - 8.0,
                    text = y + 11.0,
                    top = y + 1.0,
                    end = LEFT + width + 5.0,
                    label = figure(*value),
                    class = if *system == System::Beacon { "ours" } else { "other" },
                ),
            );
            y += BAR;
        }
        y += 10.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {y:.0}\" role=\"img\" aria-label=\"{}: Beacon beside others\">
<style>
  text {{ font: 12px system-ui, sans-serif; fill: #1f2933 }}
  .title {{ font-weight: 600 }}
  .ours {{ fill: #2b6cb0 }} .other {{ fill: #a0aec0 }}
</style>
<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>
{body}</svg>
",
        workload.name()
    )
}

fn write(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a String takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_scale_and_a_failed_system_has_none() {
        let text = "sut\trun\tsteady_cpu_s_per_M\tverified\nKafka Streams\t1\t8\tok\nBeacon\t1\t2\tok\nKafka Streams, tuned\t1\t4\tFAIL\n";
        let groups = groups(Workload::W3, &Rows::parse(text).expect("well formed"));
        assert_eq!(groups.len(), 1);
        let svg = draw(Workload::W3, &groups);
        assert!(svg.contains(&format!("width=\"{:.1}\"", RIGHT - LEFT)) && !svg.contains("tuned"), "{svg}");
        assert!(svg.contains(&format!("width=\"{:.1}\" height=\"12\" class=\"ours\"", (RIGHT - LEFT) / 4.0)), "{svg}");
    }
}
