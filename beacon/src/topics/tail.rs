//! `beacon topics tail`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::Context;
use beacon_core::codec::Codec;
use beacon_core::log::{Event, Isolation, Log, Offset, RecordRef, TopicPartition};
use beacon_proto::{topics, v1};

/// Flags of `beacon topics tail`.
#[derive(Debug, clap::Args)]
pub struct TailArguments {
    /// Full name of the topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Only the newest records, at most so many a partition; by default all.
    #[arg(short = 'n', long = "newest", value_name = "COUNT")]
    newest: Option<u64>,
    /// Waits for further records.
    #[arg(short, long)]
    follow: bool,
    /// Also records of transactions that were aborted or are open.
    #[arg(long)]
    uncommitted: bool,
    /// One JSON object a record.
    #[arg(long)]
    json: bool,
}

pub fn run(log: &dyn Log, arguments: &TailArguments) -> anyhow::Result<()> {
    let topic = log.describe_topic(&arguments.topic)?.with_context(|| {
        format!(
            "there is no topic {} in {}; `beacon topics list` shows those there are",
            arguments.topic,
            log.describe()
        )
    })?;
    let isolation = if arguments.uncommitted { Isolation::Uncommitted } else { Isolation::Committed };
    let mut open: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
    let mut from = Vec::new();
    for number in 0..topic.partitions {
        let partition = TopicPartition::new(topic.name.as_str(), number);
        let range = log.offsets(&partition, isolation)?;
        let start = arguments.newest.map_or(range.start, |count| range.end.saturating_sub(count).max(range.start));
        if start < range.end {
            open.insert(partition.clone(), range.end);
        }
        from.push((partition, start));
    }
    let mut reader = log.reader(isolation)?;
    reader.assign(&from)?;
    while arguments.follow || !open.is_empty() {
        match reader.poll(Duration::from_millis(200))? {
            Event::Records(batch) => {
                for index in 0..batch.len() {
                    let record = batch.get(index);
                    print(&record, arguments.json);
                    let partition = record.topic_partition();
                    if open.get(&partition).is_some_and(|end| record.offset + 1 >= *end) {
                        open.remove(&partition);
                    }
                }
            }
            Event::EndOfPartition(partition, end) if open.get(&partition).is_some_and(|wanted| end >= *wanted) => {
                open.remove(&partition);
            }
            _ => {}
        }
    }
    Ok(())
}

fn print(record: &RecordRef<'_>, json: bool) {
    let key = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
    let time =
        jiff::Timestamp::from_millisecond(record.timestamp_ms).map_or_else(|_| "?".to_owned(), |t| t.to_string());
    let headers: BTreeMap<_, _> = record
        .headers()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    if json {
        let line = serde_json::json!({
            "partition": record.partition, "offset": record.offset, "time": time, "key": key, "headers": headers,
            "value": record.value.map(|value| as_json(record.topic, value)),
        });
        println!("{line}");
    } else {
        let value = record.value.map_or_else(|| "(tombstone)".to_owned(), |value| as_text(record.topic, value));
        let headers = if headers.is_empty() { String::new() } else { format!(" {headers:?}") };
        println!("{}@{} {time} {key}{headers} {value}", record.partition, record.offset);
    }
}

/// The messages of known topics by the end of their name, whatever the prefix.
macro_rules! by_topic {
    ($topic:expr, $value:expr, $render:ident, $otherwise:expr) => {{
        let (topic, value) = ($topic, $value);
        if topic.ends_with(topics::ALERTS_STATE) {
            $render::<v1::AlertState>(value)
        } else if topic.ends_with(topics::ALERTS) {
            $render::<v1::AlertEvent>(value)
        } else if topic.ends_with(topics::NOTIFICATIONS) {
            $render::<v1::Notification>(value)
        } else if topic.ends_with(topics::DELIVERIES) {
            $render::<v1::Delivery>(value)
        } else if topic.ends_with(topics::SILENCES) {
            $render::<v1::Silence>(value)
        } else if topic.ends_with(topics::PLANS) {
            $render::<v1::Plan>(value)
        } else {
            None
        }
        .unwrap_or_else(|| $otherwise)
    }};
}

fn as_text(topic: &str, value: &[u8]) -> String {
    fn render<V: Codec + Debug>(value: &[u8]) -> Option<String> {
        V::decode(value).ok().map(|value| format!("{value:?}"))
    }
    by_topic!(topic, value, render, String::from_utf8_lossy(value).escape_debug().to_string())
}

fn as_json(topic: &str, value: &[u8]) -> serde_json::Value {
    fn render<V: Codec + serde::Serialize>(value: &[u8]) -> Option<serde_json::Value> {
        V::decode(value).ok().and_then(|value| serde_json::to_value(value).ok())
    }
    by_topic!(topic, value, render, serde_json::Value::String(String::from_utf8_lossy(value).into_owned()))
}
