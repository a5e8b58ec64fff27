//! `beacon topics send`.

use anyhow::Context;
use beacon_core::log::{Log, Record};

/// Flags of `beacon topics send`.
#[derive(Debug, clap::Args)]
pub struct SendArguments {
    /// Full name of the topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The record's key; it chooses the partition.
    #[arg(long, value_name = "TEXT")]
    key: String,
    /// The record's value, as it is. Topic `alerts` takes JSON.
    #[arg(long, value_name = "TEXT", required_unless_present = "tombstone", conflicts_with = "tombstone")]
    value: Option<String>,
    /// No value: on a compacted topic, the key is forgotten.
    #[arg(long)]
    tombstone: bool,
    /// Only this partition, whatever the key says.
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u32>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(log: &dyn Log, arguments: &SendArguments) -> anyhow::Result<()> {
    log.describe_topic(&arguments.topic)?.with_context(|| {
        format!(
            "there is no topic {} in {}; `beacon topics list` shows those there are",
            arguments.topic,
            log.describe()
        )
    })?;
    let record = Record {
        topic: arguments.topic.as_str().into(),
        partition: arguments.partition,
        key: Some(arguments.key.clone().into_bytes()),
        value: arguments.value.clone().map(String::into_bytes),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    for position in log.appender()?.append_blocking(vec![record])? {
        if arguments.json {
            println!("{}", serde_json::json!({"partition": position.partition, "offset": position.offset}));
        } else {
            println!("{}/{}@{}", arguments.topic, position.partition, position.offset);
        }
    }
    Ok(())
}
