//! A restore that changes nothing: from the newest valid checkpoint into a directory of its own.

use std::path::Path;
use std::sync::Arc;

use super::super::ToolError;
use super::list::list;
use crate::checkpoint::CheckpointConfig;
use crate::log::{Log, Offset, OffsetRange};
use crate::runtime::{AppConfig, StateLocation, fetch_checkpoint};
use crate::topology::Topology;

/// How the restore of one task would go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRun {
    /// The task.
    pub task: u32,
    /// Where its changelog begins and ends.
    pub changelog: OffsetRange,
    /// What came of it; an error says why each checkpoint was passed over, and is empty when there is none.
    pub outcome: Result<Restored, Vec<String>>,
}

/// A task that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The changelog offset of the checkpoint it came back from; the store was opened and says the same.
    pub offset: Offset,
    /// Bytes that were brought.
    pub bytes: u64,
}

impl DryRun {
    /// Offsets of the changelog that would be read after the checkpoint, or, without one, from its start. `None`: the log
    /// does not have them any more, so that the task cannot be restored.
    pub fn tail(&self) -> Option<u64> {
        let from = self.outcome.as_ref().map_or(0, |restored| restored.offset);
        (from >= self.changelog.start).then(|| self.changelog.end.saturating_sub(from))
    }
}

/// Brings every task's newest valid checkpoint into `into`, as a start on an empty disk would, and opens its store. The log and
/// the application's own state are only looked at. Blocks. What was brought stays, under the application's name.
///
/// # Errors
/// [`ToolError::Refused`] when there is something of the application in `into` already; [`ToolError::NeverRan`]; a
/// store that does not open; those of the log and of the storage.
pub fn restore_dry_run(
    log: &Arc<dyn Log>,
    checkpoints: &CheckpointConfig,
    topology: &Topology,
    into: &Path,
) -> Result<Vec<DryRun>, ToolError> {
    let application = topology.application();
    let target = into.join(application);
    if target.exists() {
        return Err(ToolError::Refused(format!(
            "{} is there already, and might be state in use: give another directory",
            target.display()
        )));
    }
    // First, so that storage out of reach is an error, and not waited for as at a start.
    let tasks = list(log.as_ref(), checkpoints.store.as_ref(), topology)?;
    let count = tasks.len() as u32;
    let mut config = AppConfig::new(count);
    config.state = StateLocation::Directory(into.to_owned());
    config.checkpoints = Some(checkpoints.clone());
    let mut runs = Vec::new();
    for task in tasks {
        let number = task.objects.task;
        let failed = |source| ToolError::Task { application: application.to_owned(), task: number, source };
        let bytes_at = |offset| {
            let link = task.chain.iter().find(|link| link.offset == offset);
            link.and_then(|link| link.manifest.as_ref()).map_or(0, crate::checkpoint::Manifest::bytes)
        };
        let outcome = fetch_checkpoint(log, topology, &config, count, number)
            .map_err(failed)?
            .map(|offset| Restored { offset, bytes: bytes_at(offset) });
        runs.push(DryRun { task: number, changelog: task.changelog, outcome });
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_told_only_if_the_log_has_all_of_it() {
        let mut run = DryRun {
            task: 0,
            changelog: OffsetRange { start: 10, end: 40 },
            outcome: Ok(Restored { offset: 25, bytes: 1 }),
        };
        assert_eq!(run.tail(), Some(15));
        run.outcome = Err(Vec::new());
        assert_eq!(run.tail(), None);
        run.changelog.start = 0;
        assert_eq!(run.tail(), Some(40));
    }
}
