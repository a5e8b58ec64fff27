//! `beacon app reset`.

use std::collections::BTreeMap;

use beacon_core::log::Log;
use beacon_core::tools::{self, ResetTo};
use beacon_proto::topics::Topics;
use beacon_service::checkpoints::StorageFlags;
use clap::ValueEnum;

use super::{Application, checkpoints};
use crate::log_flags::LogFlags;

/// Flags of `beacon app reset`.
#[derive(Debug, clap::Args)]
pub struct ResetArguments {
    /// Which application.
    application: Application,
    /// Where its sources are read from afterwards. What every task has to know (plans, silences) is read from its beginning
    /// in any case.
    #[arg(long, value_name = "WHERE", default_value = "latest")]
    to: Where,
    /// Another place for one source, such as `beacon.silences=earliest`. May be repeated.
    #[arg(long = "source", value_name = "TOPIC=WHERE", value_parser = exception)]
    sources: Vec<(String, Where)>,
    /// Checkpoints of the state that is forgotten are deleted, too.
    #[command(flatten)]
    storage: StorageFlags,
    /// Does it. Without it, it is only told what would be done.
    #[arg(long)]
    yes: bool,
    /// The plan as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// Everything still in the topic is read again; its results are written and told again.
    Earliest,
    /// Only what comes from now on.
    Latest,
}

impl From<Where> for ResetTo {
    fn from(place: Where) -> Self {
        match place {
            Where::Earliest => Self::Earliest,
            Where::Latest => Self::Latest,
        }
    }
}

fn exception(text: &str) -> Result<(String, Where), String> {
    let (topic, place) = text.split_once('=').ok_or("expected TOPIC=earliest or TOPIC=latest")?;
    Ok((topic.to_owned(), Where::from_str(place, false)?))
}

pub fn run(log: &dyn Log, flags: &LogFlags, topics: &Topics, arguments: &ResetArguments) -> anyhow::Result<()> {
    let topology = arguments.application.topology(topics)?;
    let exceptions: BTreeMap<_, _> =
        arguments.sources.iter().map(|(topic, place)| (topic.clone(), ResetTo::from(*place))).collect();
    let plan = tools::plan_reset(log, &topology, arguments.to.into(), &exceptions)?;
    if arguments.json {
        println!("{}", as_json(&plan));
    } else {
        print!("{plan}");
    }
    if arguments.yes {
        // Before anything is done: storage that is named and cannot be opened is a mistake to mend first.
        let store = checkpoints::open_if_there(flags, &arguments.storage)?;
        tools::reset(log, &topology, &plan)?;
        checkpoints::discard_replaced(log, store.as_ref(), &[&topology])?;
        eprintln!("done: {} begins again at its next start", topology.application());
    } else {
        eprintln!("nothing was done; add --yes to do it");
    }
    Ok(())
}

fn as_json(plan: &tools::ResetPlan) -> serde_json::Value {
    let offsets: Vec<_> = plan
        .offsets
        .iter()
        .map(|(partition, from, to)| {
            serde_json::json!({
                "topic": &*partition.topic, "partition": partition.partition, "from": from, "to": to,
            })
        })
        .collect();
    serde_json::json!({"application": plan.application, "delete": plan.deleted, "offsets": offsets})
}
