//! `beacon app stable`.

use std::time::Duration;

use beacon_core::log::{Log, OpenTransaction};
use beacon_core::tools::{self, Holder};
use beacon_core::topology::Topology;
use beacon_proto::topics::Topics;

use super::Application;

/// A commit in flight holds a partition for a moment; what is held at two looks this far apart is worth telling.
const LOOKS_APART: Duration = Duration::from_millis(500);

/// Flags of `beacon app stable`.
#[derive(Debug, clap::Args)]
pub struct StableArguments {
    /// Whose topics to look at: those it reads, those it writes, and those between its steps.
    #[arg(required_unless_present = "topic")]
    application: Option<Application>,
    /// A topic to look at; may be repeated.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// One JSON object a partition that is held back.
    #[arg(long)]
    json: bool,
}

pub fn run(log: &dyn Log, topics: &Topics, arguments: &StableArguments) -> anyhow::Result<()> {
    let mut looked_at = arguments.topic.clone();
    let topology = arguments.application.map(|application| application.topology(topics)).transpose()?;
    if let Some(topology) = &topology {
        looked_at.extend(topics_of(topology));
    }
    looked_at.sort();
    looked_at.dedup();
    let names: Vec<&str> = looked_at.iter().map(String::as_str).collect();
    let first = tools::holders(log, &names)?;
    let held = if first.is_empty() { first } else { still_held(log, &names, &first)? };
    for holder in &held {
        if arguments.json {
            println!("{}", as_json(holder));
        } else {
            println!("{}", as_text(holder));
        }
    }
    if !arguments.json {
        println!("{}", summary(&held));
    }
    Ok(())
}

/// Those that stand where they stood a moment ago.
fn still_held(log: &dyn Log, names: &[&str], first: &[Holder]) -> anyhow::Result<Vec<Holder>> {
    std::thread::sleep(LOOKS_APART);
    let second = tools::holders(log, names)?;
    let same = |holder: &Holder| {
        first.iter().any(|before| before.partition == holder.partition && before.stable == holder.stable)
    };
    Ok(second.into_iter().filter(same).collect())
}

fn topics_of(topology: &Topology) -> Vec<String> {
    let sources = topology.sources().iter().map(|source| source.topic.to_string());
    let internal = topology.internal_topics().iter().map(|topic| topic.name.to_string());
    let sinks = topology.sinks().map(|(_, topic)| topic.to_string());
    let dead = topology.dead_letters().map(ToString::to_string);
    sources.chain(internal).chain(sinks).chain(dead).chain([topology.changelog().to_string()]).collect()
}

fn as_text(holder: &Holder) -> String {
    let since = holder.since_ms.map_or("an unknown time".to_owned(), time);
    let Holder { partition, stable, end, writers, .. } = holder;
    let whose = match writers.as_deref() {
        None => "of a writer that cannot be named".to_owned(),
        Some([]) => "that no coordinator knows of".to_owned(),
        Some(writers) => format!("of {}", writers.iter().map(named).collect::<Vec<_>>().join(" and ")),
    };
    format!(
        "{partition} is held at offset {stable} by a transaction {whose}, open since {since}; {} offsets wait",
        end - stable
    )
}

fn named(writer: &OpenTransaction) -> String {
    let decided = if writer.is_decided { " (its outcome is known and on its way to readers)" } else { "" };
    format!("{}{decided}", writer.transactional_id)
}

/// What to do about it.
fn summary(held: &[Holder]) -> String {
    let hangs = |holder: &Holder| holder.writers.as_ref().is_some_and(Vec::is_empty);
    if held.is_empty() {
        "nothing is held back: every topic can be read to its end".to_owned()
    } else if held.iter().any(hangs) {
        "a transaction that no coordinator knows of hangs if it is still here in a minute: find it with kafka-transactions.sh \
         --bootstrap-server HOST:PORT find-hanging --broker-id NUMBER, and end it with its command abort"
            .to_owned()
    } else if held.iter().any(|holder| holder.writers.is_none()) {
        "to name writers, the topic __transaction_state has to be readable; or Kafka itself does: kafka-transactions.sh \
         --bootstrap-server HOST:PORT describe-producers --topic TOPIC --partition NUMBER"
            .to_owned()
    } else {
        "a transactional id of Beacon is application, instance and thread: look after that process, or stop it; the broker \
         aborts what a dead one left open when its transaction times out (10 s unless told otherwise)"
            .to_owned()
    }
}

fn as_json(holder: &Holder) -> serde_json::Value {
    let writer = |writer: &OpenTransaction| {
        serde_json::json!({
            "transactional_id": writer.transactional_id,
            "since": writer.since_ms.map(time),
            "decided": writer.is_decided,
        })
    };
    serde_json::json!({
        "topic": &*holder.partition.topic,
        "partition": holder.partition.partition,
        "stable": holder.stable,
        "end": holder.end,
        "since": holder.since_ms.map(time),
        "writers": holder.writers.as_ref().map(|writers| writers.iter().map(writer).collect::<Vec<_>>()),
    })
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use beacon_core::log::TopicPartition;

    use super::*;

    fn holder(writers: Option<Vec<OpenTransaction>>) -> Holder {
        let partition = TopicPartition::new("t", 1);
        Holder { partition, stable: 5, end: 9, since_ms: Some(0), writers }
    }

    #[test]
    fn writers_are_named_or_it_is_said_why_not() {
        let writer = |id: &str, is_decided| OpenTransaction {
            transactional_id: id.to_owned(),
            since_ms: None,
            is_decided,
            partitions: Vec::new(),
        };
        let two = holder(Some(vec![writer("a-0-0", false), writer("b-0-0", true)]));
        let text = as_text(&two);
        assert!(text.starts_with("t/1 is held at offset 5 by a transaction of a-0-0 and b-0-0 (its outcome"), "{text}");
        assert!(text.contains("open since 1970-01-01T00:00:00Z; 4 offsets wait"), "{text}");
        assert!(summary(&[two]).contains("application, instance and thread"));
        let hanging = holder(Some(Vec::new()));
        assert!(as_text(&hanging).contains("that no coordinator knows of") && summary(&[hanging]).contains("hangs"));
        let unnamed = holder(None);
        assert!(as_text(&unnamed).contains("cannot be named") && summary(&[unnamed]).contains("__transaction_state"));
        assert!(summary(&[]).contains("nothing is held back"));
    }
}
