//! `beacon app checkpoints`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use beacon_core::checkpoint::{CheckpointConfig, ObjectStore};
use beacon_core::log::Log;
use beacon_core::tools::checkpoints::{self, ChainLink, DryRun, OtherHistory, Standing, TaskCheckpoints, Verification};
use beacon_core::topology::Topology;
use beacon_proto::topics::Topics;
use beacon_service::checkpoints::StorageFlags;
use serde_json::{Value, json};

use super::Application;
use crate::all_in_one::CHECKPOINTS;
use crate::log_flags::LogFlags;

/// Flags of `beacon app checkpoints`.
#[derive(Debug, clap::Args)]
pub struct CheckpointsArguments {
    #[command(flatten)]
    storage: StorageFlags,
    #[command(subcommand)]
    command: CheckpointsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CheckpointsCommand {
    /// Which checkpoints there are of each task, how old, how large, and whether a task can be restored from them.
    List(Which),
    /// Reads every file of every checkpoint and compares it with its checksum. Exit code 1 when something is damaged.
    Verify(Which),
    /// Restores each task from its newest valid checkpoint into a directory of its own, and says what would be read from
    /// the changelog after it. Nothing in use is changed.
    RestoreDryRun(DryRunArguments),
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Which application; all of them unless given.
    application: Option<Application>,
    /// One JSON object a task.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct DryRunArguments {
    #[command(flatten)]
    which: Which,
    /// Where to; what was restored stays there. Default: a temporary directory, removed afterwards.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub fn run(
    log: &Arc<dyn Log>,
    log_flags: &LogFlags,
    topics: &Topics,
    arguments: &CheckpointsArguments,
) -> anyhow::Result<()> {
    let store = open(log_flags, &arguments.storage)?;
    match &arguments.command {
        CheckpointsCommand::List(which) => list(log.as_ref(), store.as_ref(), topics, which),
        CheckpointsCommand::Verify(which) => verify(log.as_ref(), store.as_ref(), topics, which),
        CheckpointsCommand::RestoreDryRun(arguments) => dry_run(log, store, topics, arguments),
    }
}

/// The storage that is named, or the folder that `beacon up` and `beacon alertmanager` use by default.
fn open(log: &LogFlags, flags: &StorageFlags) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let default = (!log.on_kafka()).then(|| log.data_dir.join(CHECKPOINTS));
    if let (None, Some(folder)) = (&flags.url, &default)
        && !folder.exists()
    {
        bail!("{} does not exist: give --checkpoints URL, as the processes have it", folder.display());
    }
    flags.open(default.as_deref())?.context("give --checkpoints URL, as the processes have it")
}

/// The storage of a tool that needs none if there is none: the default folder counts only if it is there.
pub fn open_if_there(log: &LogFlags, flags: &StorageFlags) -> anyhow::Result<Option<Arc<dyn ObjectStore>>> {
    let default = (!log.on_kafka()).then(|| log.data_dir.join(CHECKPOINTS)).filter(|folder| folder.exists());
    flags.open(default.as_deref())
}

/// Deletes checkpoints of changelogs that were replaced: nothing restores from them any more.
pub fn discard_replaced(
    log: &dyn Log,
    store: Option<&Arc<dyn ObjectStore>>,
    topologies: &[&Topology],
) -> anyhow::Result<()> {
    let Some(store) = store else {
        eprintln!("checkpoints of before, if there are any, are used no more; --checkpoints URL would delete them");
        return Ok(());
    };
    for topology in topologies {
        let others = checkpoints::other_histories(log, store.as_ref(), topology)?;
        checkpoints::discard(store.as_ref(), &others)?;
        for other in &others {
            eprintln!("deleted checkpoints of before: {}, {}", other.prefix, counted(other.objects.len(), "object"));
        }
    }
    Ok(())
}

/// Those of the asked-for applications that have run on this log.
fn applications(log: &dyn Log, topics: &Topics, which: &Which) -> anyhow::Result<Vec<Topology>> {
    let asked = which.application.map_or_else(|| Application::ALL.to_vec(), |application| vec![application]);
    let mut found = Vec::new();
    for application in asked {
        let topology = application.topology(topics)?;
        // One that was named is looked at in any case: the tool says that it never ran.
        if which.application.is_some() || log.describe_topic(&topology.changelog())?.is_some() {
            found.push(topology);
        }
    }
    if found.is_empty() {
        bail!("nothing of Beacon ever ran on {}", log.describe());
    }
    Ok(found)
}

fn list(log: &dyn Log, store: &dyn ObjectStore, topics: &Topics, which: &Which) -> anyhow::Result<()> {
    for topology in applications(log, topics, which)? {
        for task in checkpoints::list(log, store, &topology)? {
            if which.json {
                println!("{}", as_json(&task));
            } else {
                print!("{}", as_text(&task));
            }
        }
        if !which.json {
            for other in checkpoints::other_histories(log, store, &topology)? {
                println!("{}", told(&other));
            }
        }
    }
    Ok(())
}

fn verify(log: &dyn Log, store: &dyn ObjectStore, topics: &Topics, which: &Which) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for topology in applications(log, topics, which)? {
        let found = checkpoints::verify(log, store, &topology, &mut |object| tracing::debug!(object, "reading"))?;
        if which.json {
            found.tasks.iter().for_each(|task| println!("{}", as_json(task)));
        } else {
            println!("{}", summary(&topology, &found));
        }
        problems.extend(found.problems());
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} found in {}:\n  {}", counted(problems.len(), "problem"), store.describe(), problems.join("\n  "))
}

fn dry_run(
    log: &Arc<dyn Log>,
    store: Arc<dyn ObjectStore>,
    topics: &Topics,
    arguments: &DryRunArguments,
) -> anyhow::Result<()> {
    let temporary = match &arguments.into {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("a temporary directory; or give --into DIR")?),
    };
    let into: &Path = match (&arguments.into, &temporary) {
        (Some(into), _) => into,
        (None, Some(temporary)) => temporary.path(),
        (None, None) => bail!("no directory to restore into: give --into DIR"),
    };
    let config = CheckpointConfig::new(store);
    let mut lost = Vec::new();
    for topology in applications(log.as_ref(), topics, &arguments.which)? {
        for run in checkpoints::restore_dry_run(log, &config, &topology, into)? {
            if arguments.which.json {
                println!("{}", run_as_json(&topology, &run));
            } else {
                println!("{}", run_as_text(&topology, &run));
            }
            if run.tail().is_none() {
                lost.push(format!("task {} of {}", run.task, topology.application()));
            }
        }
    }
    if lost.is_empty() { Ok(()) } else { bail!("cannot be restored: {}", lost.join(", ")) }
}

fn as_text(task: &TaskCheckpoints) -> String {
    let objects = &task.objects;
    let mut text = format!(
        "{}, task {}: {}, changelog from {} to {}\n",
        objects.application,
        objects.task,
        counted(task.chain.len(), "checkpoint"),
        task.changelog.start,
        task.changelog.end
    );
    if !task.chain.is_empty() {
        text += &format!(
            "  {:>14}  {:>8}  {:>10}  {:>6}  {:>10}  {:>10}  STATE\n",
            "OFFSET", "AGE", "GENERATION", "FILES", "BYTES", "SHARED"
        );
    }
    for link in &task.chain {
        let ChainLink { offset, shared_bytes, .. } = link;
        let (generation, files, bytes) = match &link.manifest {
            Some(manifest) => {
                (manifest.generation.to_string(), manifest.files.len().to_string(), size(manifest.bytes()))
            }
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        text += &format!(
            "  {offset:>14}  {:>8}  {generation:>10}  {files:>6}  {bytes:>10}  {:>10}  {}\n",
            age(link.age),
            size(*shared_bytes),
            standing(&link.standing)
        );
    }
    if !task.orphans.is_empty() {
        let bytes = task.orphans.iter().map(|object| object.size).sum();
        text += &format!("  {} that no checkpoint lists: {}\n", counted(task.orphans.len(), "file"), size(bytes));
    }
    if !task.others.is_empty() {
        text += &format!("  {} of somebody else\n", counted(task.others.len(), "object"));
    }
    text
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Valid => "valid".to_owned(),
        Standing::Superseded => "superseded: the changelog after it was trimmed".to_owned(),
        Standing::Bad(reason) => reason.to_string(),
    }
}

fn told(other: &OtherHistory) -> String {
    format!(
        "{}: {}, {}, of a changelog that was replaced by a reset or rescale; nothing restores from it",
        other.prefix,
        counted(other.objects.len(), "object"),
        size(other.bytes)
    )
}

fn as_json(task: &TaskCheckpoints) -> Value {
    let link = |link: &ChainLink| {
        json!({
            "object": link.object,
            "offset": link.offset,
            "age_s": link.age.as_secs(),
            "generation": link.manifest.as_ref().map(|manifest| manifest.generation),
            "files": link.manifest.as_ref().map(|manifest| manifest.files.len()),
            "bytes": link.manifest.as_ref().map(beacon_core::checkpoint::Manifest::bytes),
            "shared_bytes": link.shared_bytes,
            "valid": link.standing == Standing::Valid,
            "superseded": link.standing == Standing::Superseded,
            "reason": match &link.standing {
                Standing::Bad(reason) => Some(reason.to_string()),
                Standing::Valid | Standing::Superseded => None,
            },
        })
    };
    let orphans: Vec<_> =
        task.orphans.iter().map(|object| json!({"object": object.name, "bytes": object.size})).collect();
    json!({
        "application": task.objects.application,
        "task": task.objects.task,
        "history": task.objects.history,
        "changelog": {"start": task.changelog.start, "end": task.changelog.end},
        "checkpoints": task.chain.iter().map(link).collect::<Vec<_>>(),
        "orphans": orphans,
        "problems": task.problems(),
    })
}

fn summary(topology: &Topology, found: &Verification) -> String {
    let links = || found.tasks.iter().flat_map(|task| &task.chain);
    let valid = links().filter(|link| link.standing == Standing::Valid).count();
    let orphans: usize = found.tasks.iter().map(|task| task.orphans.len()).sum();
    format!(
        "{}: {} of {} valid, {} read ({}), {} that no checkpoint lists",
        topology.application(),
        valid,
        counted(links().count(), "checkpoint"),
        counted(usize::try_from(found.files).unwrap_or(usize::MAX), "file"),
        size(found.bytes),
        counted(orphans, "file")
    )
}

fn run_as_text(topology: &Topology, run: &DryRun) -> String {
    let who = format!("{}, task {}", topology.application(), run.task);
    let DryRun { changelog, .. } = run;
    match (&run.outcome, run.tail()) {
        (Ok(restored), Some(tail)) => format!(
            "{who}: restored from the checkpoint of offset {} ({}) and opened; then {tail} offsets of the changelog, \
             which the log still has, up to {}",
            restored.offset,
            size(restored.bytes),
            changelog.end
        ),
        (Err(_), Some(tail)) => {
            format!("{who}: no checkpoint{}; all {tail} offsets of the changelog would be read", passed_over(run))
        }
        (_, None) => {
            format!("{who}: cannot be restored{}: the changelog begins at offset {}", passed_over(run), changelog.start)
        }
    }
}

fn passed_over(run: &DryRun) -> String {
    match &run.outcome {
        Err(reasons) if !reasons.is_empty() => format!(" ({})", reasons.join("; ")),
        _ => String::new(),
    }
}

fn run_as_json(topology: &Topology, run: &DryRun) -> Value {
    let restored = run.outcome.as_ref().ok();
    json!({
        "application": topology.application(),
        "task": run.task,
        "changelog": {"start": run.changelog.start, "end": run.changelog.end},
        "offset": restored.map(|restored| restored.offset),
        "bytes": restored.map(|restored| restored.bytes),
        "tail": run.tail(),
        "restorable": run.tail().is_some(),
        "passed_over": run.outcome.as_ref().err(),
    })
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// As people read it: three digits, and a unit of 1024.
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        let sizes = [0, 999, 1000, 1 << 20, 3 << 40].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 KiB", "1.0 MiB", "3.0 TiB"]);
        let ages = [0, 119, 120, 7200, 172_800].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(ages, ["0s", "119s", "2m", "2h", "2d"]);
    }
}
