//! `beacon app lag`.

use beacon_core::log::Log;
use beacon_core::tools::{self, InputKind, PartitionLag};
use beacon_proto::topics::Topics;

use super::Application;

/// Flags of `beacon app lag`.
#[derive(Debug, clap::Args)]
pub struct LagArguments {
    /// Which application.
    application: Application,
    /// One JSON object a partition.
    #[arg(long)]
    json: bool,
}

pub fn run(log: &dyn Log, topics: &Topics, arguments: &LagArguments) -> anyhow::Result<()> {
    let topology = arguments.application.topology(topics)?;
    let found = tools::lag(log, &topology)?;
    if arguments.json {
        for lag in &found {
            println!("{}", as_json(lag));
        }
        return Ok(());
    }
    print!("{}", table(&found));
    let total: u64 = found.iter().map(PartitionLag::stable_lag).sum();
    println!("{} stands {total} offsets before what it could read now", topology.application());
    Ok(())
}

fn table(found: &[PartitionLag]) -> String {
    let width = found.iter().map(|lag| lag.partition.to_string().len()).max().unwrap_or(9).max(9);
    let mut text = format!(
        "{:width$}  {:>12}  {:>12}  {:>12}  {:>8}  {:>10}\n",
        "PARTITION", "COMMITTED", "STABLE", "END", "LAG", "STABLE LAG"
    );
    for lag in found {
        let committed = lag.committed.map_or("-".to_owned(), |offset| offset.to_string());
        text += &format!(
            "{:width$}  {committed:>12}  {:>12}  {:>12}  {:>8}  {:>10}\n",
            lag.partition.to_string(),
            lag.stable,
            lag.end,
            lag.lag(),
            lag.stable_lag()
        );
    }
    text
}

fn as_json(lag: &PartitionLag) -> serde_json::Value {
    serde_json::json!({
        "topic": &*lag.partition.topic,
        "partition": lag.partition.partition,
        "internal": lag.kind == InputKind::Internal,
        "start": lag.start,
        "committed": lag.committed,
        "stable": lag.stable,
        "end": lag.end,
        "lag": lag.lag(),
        "stable_lag": lag.stable_lag(),
    })
}
