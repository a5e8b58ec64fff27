//! Prometheus's text formats: 0.0.4, which every scraper and `promtool` reads, and OpenMetrics 1.0.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and the OpenMetrics specification 1.0. They
//! differ in what a counter's family is called (`_total` belongs to the sample in OpenMetrics, to the family in 0.0.4) and
//! in the `# EOF` at the end, which is left to the caller: other families may follow in the same answer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::catalogue::ALL;
use super::{HistogramReading, Kind, Metric};

/// Which text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Dialect {
    /// What to answer to a client with this `Accept` header.
    pub fn for_accept(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type` of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The line after the last family; nothing where the format has none.
    pub fn end(self) -> &'static str {
        match self {
            Self::Prometheus => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }

    /// Text of OpenMetrics in this dialect, for registries that know no other. Families are as they were, the line at the end is
    /// not in it.
    ///
    /// In OpenMetrics a counter's family is called without `_total`; for a reader of the older format that would be a family
    /// without samples beside samples without type and help.
    pub fn rewrite(self, openmetrics: &str) -> String {
        let lines = || openmetrics.lines().filter(|line| *line != "# EOF");
        let counters: BTreeSet<&str> = match self {
            Self::OpenMetrics => BTreeSet::new(),
            Self::Prometheus => {
                let types = lines().filter_map(|line| line.strip_prefix("# TYPE "));
                types.filter_map(|line| line.strip_suffix(" counter")).collect()
            }
        };
        let mut text = String::with_capacity(openmetrics.len() + 6 * counters.len());
        for line in lines() {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some("UNIT"), ..) if self == Self::Prometheus => {}
                (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(family), Some(rest)) if counters.contains(family) => {
                    text.push_str(&format!("# {what} {family}_total {rest}\n"));
                }
                _ => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        text
    }

    fn family(self, metric: &Metric) -> &str {
        match (self, metric.kind) {
            (Self::OpenMetrics, Kind::Counter) => metric.name.strip_suffix("_total").unwrap_or(metric.name),
            _ => metric.name,
        }
    }
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Histogram(HistogramReading),
}

/// One time series as read just now.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it measures.
    pub metric: &'static Metric,
    /// Names and values, `application` and `instance` included.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: SampleValue,
}

impl Sample {
    /// A number.
    pub fn number(metric: &'static Metric, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        Self { metric, labels, value: SampleValue::Number(value) }
    }
}

/// Writes samples down, those of one metric together, in the order of the catalogue. Metrics without a sample are left
/// out.
pub fn render(samples: &[Sample], dialect: Dialect) -> String {
    let mut text = String::new();
    for metric in ALL {
        let mut of_metric = samples.iter().filter(|sample| sample.metric == metric).peekable();
        if of_metric.peek().is_none() {
            continue;
        }
        let family = dialect.family(metric);
        let _ = writeln!(text, "# HELP {family} {}", metric.help.replace('\\', "\\\\").replace('\n', "\\n"));
        let _ = writeln!(text, "# TYPE {family} {}", metric.kind.word());
        for sample in of_metric {
            write_sample(&mut text, sample);
        }
    }
    text
}

fn write_sample(text: &mut String, sample: &Sample) {
    let name = sample.metric.name;
    match &sample.value {
        SampleValue::Number(value) => write_line(text, name, "", &sample.labels, None, *value),
        SampleValue::Histogram(reading) => {
            for (bound, count) in &reading.cumulative {
                write_line(text, name, "_bucket", &sample.labels, Some(*bound), *count as f64);
            }
            write_line(text, name, "_sum", &sample.labels, None, reading.sum);
            write_line(text, name, "_count", &sample.labels, None, reading.count() as f64);
        }
    }
}

fn write_line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, String)],
    bound: Option<f64>,
    value: f64,
) {
    let _ = write!(text, "{name}{suffix}");
    let bound = bound.map(|bound| ("le", number(bound)));
    let mut before = '{';
    for (label, value) in labels.iter().map(|(label, value)| (*label, value)).chain(bound.iter().map(|(l, v)| (*l, v)))
    {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{before}{label}=\"{value}\"");
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {}", number(value));
}

fn number(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Histogram, catalogue};

    fn labels() -> Vec<(&'static str, String)> {
        vec![("application", "a\"b\\c\n".to_owned())]
    }

    #[test]
    fn families_are_whole_and_labels_are_escaped() {
        let histogram = Histogram::new(&[0.5]);
        histogram.observe(Duration::from_millis(250));
        let samples = [
            Sample {
                metric: &catalogue::COMMIT_LATENCY,
                labels: labels(),
                value: SampleValue::Histogram(histogram.read()),
            },
            Sample::number(&catalogue::PROCESSED, labels(), 3.0),
            Sample::number(&catalogue::PROCESSED, Vec::new(), 4.0),
        ];
        let help = |metric: &Metric| metric.help;
        let expected = format!(
            "# HELP beacon_process_total {}\n# TYPE beacon_process_total counter\n\
             beacon_process_total{{application=\"a\\\"b\\\\c\\n\"}} 3\nbeacon_process_total 4\n\
             # HELP beacon_commit_latency_seconds {}\n# TYPE beacon_commit_latency_seconds histogram\n\
             beacon_commit_latency_seconds_bucket{{application=\"a\\\"b\\\\c\\n\",le=\"0.5\"}} 1\n\
             beacon_commit_latency_seconds_bucket{{application=\"a\\\"b\\\\c\\n\",le=\"+Inf\"}} 1\n\
             beacon_commit_latency_seconds_sum{{application=\"a\\\"b\\\\c\\n\"}} 0.25\n\
             beacon_commit_latency_seconds_count{{application=\"a\\\"b\\\\c\\n\"}} 1\n",
            help(&catalogue::PROCESSED),
            help(&catalogue::COMMIT_LATENCY)
        );
        assert_eq!(render(&samples, Dialect::Prometheus), expected);
    }

    #[test]
    fn a_counters_family_has_no_total_in_openmetrics() {
        let text = render(&[Sample::number(&catalogue::FENCED, Vec::new(), 1.0)], Dialect::OpenMetrics);
        assert!(text.contains("# TYPE beacon_fenced counter\n"), "{text}");
        assert!(text.contains("\nbeacon_fenced_total 1\n"), "{text}");
    }

    #[test]
    fn another_registrys_openmetrics_is_read_by_those_who_know_the_older_format_only() {
        let text = "# HELP things Things.\n# TYPE things counter\n# UNIT things x\nthings_total{a=\"b c\"} 1\n\
                    # HELP size How large.\n# TYPE size gauge\nsize 3\n# EOF\n";
        assert_eq!(
            Dialect::Prometheus.rewrite(text),
            "# HELP things_total Things.\n# TYPE things_total counter\nthings_total{a=\"b c\"} 1\n\
             # HELP size How large.\n# TYPE size gauge\nsize 3\n"
        );
        assert_eq!(Dialect::OpenMetrics.rewrite(text), text.trim_end_matches("# EOF\n"));
    }

    #[test]
    fn names_have_the_endings_that_prometheus_asks_for() {
        for metric in ALL {
            let name = metric.name;
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(metric.kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(name.starts_with("beacon_") && metric.help.ends_with('.'), "{name}");
            assert_eq!(ALL.iter().filter(|other| other.name == name).count(), 1, "{name} is there twice");
        }
    }

    #[test]
    fn the_documented_table_is_the_catalogue() {
        let page = include_str!("../../../docs/metrics.md");
        assert!(page.contains(&catalogue::table()), "put this into docs/metrics.md:\n{}", catalogue::table());
    }
}
