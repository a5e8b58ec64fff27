//! `beacon app rescale`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use beacon_core::checkpoint::CheckpointConfig;
use beacon_core::log::{Log, TopicSpec};
use beacon_core::runtime::{AppConfig, StateLocation};
use beacon_core::tools::{self, Rescale};
use beacon_core::topology::Topology;
use beacon_proto::topics::Topics;
use beacon_service::checkpoints::StorageFlags;
use beacon_service::flags::TopicFlags;

use super::{Application, checkpoints};
use crate::log_flags::LogFlags;

/// Flags of `beacon app rescale`.
#[derive(Debug, clap::Args)]
pub struct RescaleArguments {
    /// State on this machine: what is there need not be read from the log. Default: that of the data directory, and with
    /// Kafka none.
    #[arg(long = "state.dir", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// State that is neither on this machine nor in the changelogs any more is restored from these checkpoints; those of
    /// before are deleted afterwards.
    #[command(flatten)]
    storage: StorageFlags,
    /// Does it. Without it, it is only told what would be done.
    #[arg(long)]
    yes: bool,
    /// The plan as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(
    log: &Arc<dyn Log>,
    flags: &LogFlags,
    topic_flags: &TopicFlags,
    arguments: &RescaleArguments,
) -> anyhow::Result<()> {
    let to = topic_flags.partitions.context("give the new partition count: --partitions COUNT")?;
    let topics = topic_flags.topics();
    let topologies = Application::ALL
        .iter()
        .map(|application| application.topology(&topics))
        .collect::<anyhow::Result<Vec<Topology>>>()?;
    let mut config = AppConfig::new(to);
    let local = arguments.state_dir.clone().or_else(|| (!flags.on_kafka()).then(|| flags.data_dir.join("state")));
    let store = checkpoints::open_if_there(flags, &arguments.storage)?;
    // Files of checkpoints want a disk; where the caller names none, they are on one until the end of this.
    let temporary = match (&local, &store) {
        (None, Some(_)) => Some(tempfile::tempdir().context("a temporary directory; or give --state.dir DIR")?),
        _ => None,
    };
    if let Some(directory) = local.or_else(|| temporary.as_ref().map(|temporary| temporary.path().to_owned())) {
        config.state = StateLocation::Directory(directory);
    }
    config.checkpoints = store.clone().map(CheckpointConfig::new);
    let mut applications = Vec::new();
    for topology in &topologies {
        let ran = log.describe_topic(&topology.changelog())?.is_some()
            || log.describe_topic(&topology.maintenance_topic())?.is_some();
        if ran {
            applications.push((topology, config.clone()));
        }
    }
    if applications.is_empty() {
        bail!("nothing of Beacon ever ran on {}", log.describe());
    }
    let plan = Rescale { applications, topics: following(&topics, to), readers: Vec::new(), to };
    let (division, steps) = tools::plan_rescale(log.as_ref(), &plan)?;
    if arguments.json {
        let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
        println!("{}", serde_json::json!({"from": division.from(), "to": division.to(), "steps": steps}));
    } else {
        println!("from {} to {} partitions:", division.from(), division.to());
        for step in &steps {
            println!("  {step}");
        }
    }
    if !arguments.yes {
        eprintln!("nothing was done; add --yes to do it");
        return Ok(());
    }
    tools::rescale(log, &plan, &mut |step| eprintln!("{step} ..."))?;
    checkpoints::discard_replaced(log.as_ref(), store.as_ref(), &topologies.iter().collect::<Vec<_>>())?;
    eprintln!("done: start everything again, with --partitions {to}");
    Ok(())
}

/// Beacon's topics whose count follows `--partitions`. The others have one partition and feed broadcasts.
fn following(topics: &Topics, to: u32) -> Vec<TopicSpec> {
    // Told apart by two counts: a topic of one partition has it under both.
    let fixed: Vec<String> =
        topics.specs(2 * to).into_iter().filter(|spec| spec.partitions != 2 * to).map(|spec| spec.name).collect();
    topics.specs(to).into_iter().filter(|spec| !fixed.contains(&spec.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_broadcasts_keep_their_one_partition() {
        for to in [1, 2, 8] {
            let found = following(&Topics::new("beacon.".to_owned()), to);
            assert!(found.iter().all(|spec| spec.partitions == to), "{found:?}");
            assert!(found.iter().any(|spec| spec.name == "beacon.alerts"), "{found:?}");
            assert!(
                !found.iter().any(|spec| spec.name == "beacon.plans" || spec.name == "beacon.silences"),
                "{found:?}"
            );
        }
    }
}
