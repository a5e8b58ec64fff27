//! `beacon app stable`.

use std::time::Duration;

use beacon_core::log::Log;
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
    let members = match &topology {
        Some(topology) => log.members(topology.application())?,
        None => Vec::new(),
    };
    for holder in &held {
        if arguments.json {
            println!("{}", as_json(holder, &members));
        } else {
            println!("{}", as_text(holder));
        }
    }
    if !arguments.json {
        println!("{}", summary(held.len(), topology.as_ref(), &members));
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
    let Holder { partition, stable, end, .. } = holder;
    format!("{partition} is held at offset {stable} by a transaction open since {since}; {} offsets wait", end - stable)
}

fn summary(held: usize, topology: Option<&Topology>, members: &[String]) -> String {
    if held == 0 {
        return "nothing is held back: every topic can be read to its end".to_owned();
    }
    let who = match topology {
        None => "name the application to see which of its processes may hold them".to_owned(),
        Some(topology) if members.is_empty() => format!(
            "no process of {} is alive: the broker aborts what a dead one left open when its transaction times out (10 s \
             unless told otherwise); what stays longer is somebody else's",
            topology.application()
        ),
        Some(topology) => format!(
            "processes of {} that are alive write under the transactional ids {}",
            topology.application(),
            members.join(", ")
        ),
    };
    format!(
        "{who}. Kafka itself can name the holder: kafka-transactions.sh --bootstrap-server HOST:PORT describe-producers \
         --topic TOPIC --partition NUMBER"
    )
}

fn as_json(holder: &Holder, members: &[String]) -> serde_json::Value {
    serde_json::json!({
        "topic": &*holder.partition.topic,
        "partition": holder.partition.partition,
        "stable": holder.stable,
        "end": holder.end,
        "since": holder.since_ms.map(time),
        "members": members,
    })
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
}
