//! Looking at storage and log.

use std::collections::BTreeMap;

use super::super::ToolError;
use super::survey::{TaskCheckpoints, survey};
use crate::checkpoint::{Listing, ObjectErrorKind, ObjectStore, TaskObjects};
use crate::log::{Isolation, Log, TopicPartition};
use crate::topology::Topology;

/// The checkpoints of every task of an application. Reads manifests, not files; blocks.
///
/// # Errors
/// [`ToolError::NeverRan`]; those of the log and of the storage.
pub fn list(log: &dyn Log, store: &dyn ObjectStore, topology: &Topology) -> Result<Vec<TaskCheckpoints>, ToolError> {
    let (changelog, application) = (topology.changelog(), topology.application());
    let Some(topic) = log.describe_topic(&changelog)? else {
        return Err(ToolError::NeverRan {
            application: application.to_owned(),
            log: log.describe(),
            changelog: changelog.to_string(),
        });
    };
    let history = log.topic_id(&changelog)?;
    let mut found = Vec::new();
    for number in 0..topic.partitions {
        let task = TaskObjects { application: application.to_owned(), task: number, history: history.clone() };
        let listing = Listing::new(&task, store.list(&task.prefix())?);
        let mut manifests = BTreeMap::new();
        for offset in listing.newest_first() {
            let bytes = match store.get(&task.manifest(offset)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == ObjectErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            manifests.insert(offset, bytes);
        }
        // After the manifests: one that was written meanwhile is not ahead of the end.
        let range = log.offsets(&TopicPartition::new(changelog.clone(), number), Isolation::Uncommitted)?;
        found.push(survey(&task, topic.partitions, &listing, &manifests, range));
    }
    Ok(found)
}

/// Objects of an application that belong to an earlier making of its changelog: before a reset or a rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherHistory {
    /// What their names begin with.
    pub prefix: String,
    /// The objects.
    pub objects: Vec<String>,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Everything in storage of this application that does not belong to its changelog as it is now. Nothing restores from
/// it any more. Blocks.
///
/// # Errors
/// Those of the log and of the storage.
pub fn other_histories(
    log: &dyn Log,
    store: &dyn ObjectStore,
    topology: &Topology,
) -> Result<Vec<OtherHistory>, ToolError> {
    let changelog = topology.changelog();
    // Without a changelog, after a reset, nothing is its.
    let is_there = log.describe_topic(&changelog)?.is_some();
    let history = log.topic_id(&changelog)?;
    let is_ours = |folder: &str| match &history {
        _ if !is_there => false,
        Some(history) => folder == history,
        // Without histories, a task's objects are where else a history would be.
        None => folder.starts_with("task-"),
    };
    let root = format!("{}/", topology.application());
    let mut found: BTreeMap<String, OtherHistory> = BTreeMap::new();
    for object in store.list(&root)? {
        let Some((folder, _)) = object.name[root.len()..].split_once('/') else { continue };
        if is_ours(folder) {
            continue;
        }
        let prefix = format!("{root}{folder}/");
        let other =
            found.entry(prefix.clone()).or_insert_with(|| OtherHistory { prefix, objects: Vec::new(), bytes: 0 });
        other.bytes += object.size;
        other.objects.push(object.name);
    }
    Ok(found.into_values().collect())
}

/// Deletes what [`other_histories`] found. Blocks.
///
/// # Errors
/// Those of the storage; what was deleted before stays deleted.
pub fn discard(store: &dyn ObjectStore, histories: &[OtherHistory]) -> Result<(), ToolError> {
    for object in histories.iter().flat_map(|history| &history.objects) {
        store.delete(object)?;
    }
    Ok(())
}
