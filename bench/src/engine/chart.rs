//! One picture a workload: bars of every system under the names of what is measured. Pure.

use std::fmt::Write;

use super::{Rows, Section, System, Workload, measures};
use crate::report::{Measure, escape, figure};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 690.0;
const BAR: f64 = 16.0;

/// A group of bars with a scale of its own.
struct Group {
    title: String,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    value: f64,
    is_ours: bool,
}

impl Bar {
    fn of(system: System, value: f64) -> Self {
        Self { name: system.to_string(), value, is_ours: system == System::Beacon }
    }
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
        let bars =
            workload.systems().iter().filter_map(|system| Some(Bar::of(*system, rows.median(*system, column, only)?)));
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
        Workload::Embedded => {
            [("p50, ms", "p50_ms"), ("p99, ms", "p99_ms"), ("CPU of the process, % of a core", "cpu_%")]
                .map(|(title, column)| by_pace(rows, title, column))
                .into()
        }
        Workload::State => measures::of(workload, rows).iter().filter_map(beside_yardstick).collect(),
    };
    groups.into_iter().filter(|group| !group.bars.is_empty()).collect()
}

/// The same figure under several commit intervals.
fn by_pace(rows: &Rows, title: &str, column: &str) -> Group {
    let bar = |pace: &String| {
        let name = if pace == "idle" { "commits when idle".to_owned() } else { format!("a commit each {pace} ms") };
        Some(Bar { name, value: rows.median(System::Beacon, column, &[("commit", pace)])?, is_ours: true })
    };
    Group { title: title.to_owned(), bars: rows.distinct("commit").iter().filter_map(bar).collect() }
}

/// What stands alone needs no picture.
fn beside_yardstick(measure: &Measure) -> Option<Group> {
    let yardstick = measure.yardstick.as_ref()?;
    let other = Bar { name: yardstick.name.to_string(), value: yardstick.value, is_ours: false };
    let title = format!("{}: {}", measure.what, measure.unit);
    Some(Group { title, bars: vec![other, Bar::of(System::Beacon, measure.beacon)] })
}

fn draw(workload: Workload, groups: &[Group]) -> String {
    let mut body = String::new();
    let mut y = 14.0;
    for group in groups {
        let most = group.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        write(
            &mut body,
            format_args!("<text x=\"12\" y=\"{:.0}\" class=\"title\">{}</text>\n", y + 12.0, escape(&group.title)),
        );
        y += 20.0;
        for Bar { name, value, is_ours } in &group.bars {
            let width = ((RIGHT - LEFT) * value / most).max(1.0);
            write(
                &mut body,
                format_args!(
                    "<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{name}</text>\
                     <rect x=\"{LEFT:.0}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"12\" class=\"{class}\"/>\
                     <text x=\"{end:.1}\" y=\"{text:.0}\">{label}</text>\n",
                    LEFT - 8.0,
                    text = y + 11.0,
                    top = y + 1.0,
                    end = LEFT + width + 5.0,
                    label = figure(*value),
                    name = escape(name),
                    class = if *is_ours { "ours" } else { "other" },
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

    #[test]
    fn state_is_drawn_beside_its_yardstick_and_paces_beside_each_other() {
        let state =
            "what\tours\tyardstick\tunit\ttimes\twanted\nget and put\t5\t10\tns\t0.5\t<= 1.3\nalone\t3\t\tns\t\t\n";
        let drawn = groups(Workload::State, &Rows::parse(state).expect("well formed"));
        let bars: Vec<_> = drawn.iter().flat_map(|group| &group.bars).map(|bar| (bar.value, bar.is_ours)).collect();
        assert_eq!((drawn.len(), bars), (1, vec![(10.0, false), (5.0, true)]));
        let paces = "sut\tcommit\tp50_ms\tverified\nBeacon\tidle\t1\tok\nBeacon\t25\t13\tok\n";
        let drawn = groups(Workload::Embedded, &Rows::parse(paces).expect("well formed"));
        let names: Vec<_> = drawn.iter().flat_map(|group| &group.bars).map(|bar| bar.name.as_str()).collect();
        assert_eq!(names, ["commits when idle", "a commit each 25 ms"]);
    }
}
