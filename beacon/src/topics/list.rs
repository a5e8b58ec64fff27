//! `beacon topics list`.

use beacon_core::log::{Isolation, Log, TopicPartition};

/// Flags of `beacon topics list`.
#[derive(Debug, clap::Args)]
pub struct ListArguments {
    /// One JSON object a topic.
    #[arg(long)]
    json: bool,
}

pub fn run(log: &dyn Log, arguments: &ListArguments) -> anyhow::Result<()> {
    let topics = log.list_topics()?;
    let width = topics.iter().map(|topic| topic.name.len()).max().unwrap_or(5).max(5);
    if !arguments.json {
        println!("{:width$}  {:>10}  {:>12}", "TOPIC", "PARTITIONS", "OFFSETS");
    }
    for topic in topics {
        let mut offsets = 0;
        for partition in 0..topic.partitions {
            let range = log.offsets(&TopicPartition::new(topic.name.as_str(), partition), Isolation::Committed)?;
            offsets += range.end.saturating_sub(range.start);
        }
        if arguments.json {
            let line = serde_json::json!({"topic": topic.name, "partitions": topic.partitions, "offsets": offsets});
            println!("{line}");
        } else {
            println!("{:width$}  {:>10}  {offsets:>12}", topic.name, topic.partitions);
        }
    }
    Ok(())
}
