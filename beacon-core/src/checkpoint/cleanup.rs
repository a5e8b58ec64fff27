//! What to delete, and how far the changelog may be trimmed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Listing, Manifest, ManifestError, Object};
use crate::log::Offset;

/// Why an object stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepReason {
    /// One of the newest valid manifests.
    Newest,
    /// Younger than the minimum age: an upload may be under way.
    Young,
    /// Listed by a manifest that was there when this was decided.
    Listed,
    /// A manifest that cannot be read, while there are not yet enough newer ones to restore from.
    Unreadable,
    /// Written by a newer program, which may need it.
    NewerFormat,
    /// Nothing is deleted while a manifest may list files that this program cannot know.
    Unsure,
    /// Not an object of ours.
    NotOurs,
}

/// What is to be done with everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// Names of objects to delete, in this order: manifests oldest first, then files oldest first.
    pub delete: Vec<String>,
    /// Why each of the others stays.
    pub keep: Vec<(String, KeepReason)>,
    /// The changelog may be trimmed to here: the oldest of as many valid manifests as are to be kept.
    pub trim_to: Option<Offset>,
}

/// Classifies all objects of a task.
///
/// `manifests` has an entry for each manifest of the listing. A manifest is valid when it reads and all its files are
/// there. Files of manifests that are deleted now become orphans and go with a later clean-up: whoever shares them
/// meanwhile lists them first.
pub fn plan_cleanup(
    listing: &Listing,
    manifests: &BTreeMap<Offset, Result<Manifest, ManifestError>>,
    keep: usize,
    minimum_age: Duration,
) -> Cleanup {
    let keep = keep.max(1);
    let valid: Vec<Offset> = manifests
        .iter()
        .rev()
        .filter(|(_, manifest)| manifest.as_ref().is_ok_and(|manifest| listing.has_all(manifest)))
        .map(|(offset, _)| *offset)
        .collect();
    let kept: BTreeSet<_> = valid.iter().take(keep).copied().collect();
    let oldest_kept = valid.get(keep - 1).copied();
    let mut plan = Cleanup { trim_to: oldest_kept, ..Cleanup::default() };
    let (mut old_manifests, mut unsure) = (Vec::new(), false);
    for (offset, object) in &listing.manifests {
        let manifest = manifests.get(offset);
        let superseded = oldest_kept.is_some_and(|oldest| *offset < oldest);
        let reason = match manifest {
            _ if kept.contains(offset) => Some(KeepReason::Newest),
            Some(Err(ManifestError::UnknownFormat(_))) => Some(KeepReason::NewerFormat),
            _ if object.age < minimum_age => Some(KeepReason::Young),
            Some(Err(ManifestError::Damaged(_))) if !superseded => Some(KeepReason::Unreadable),
            // Reads, but misses files, and is not old: its upload may be repaired by its owner.
            Some(Ok(_)) if !superseded => Some(KeepReason::Unreadable),
            None => Some(KeepReason::Unsure),
            Some(_) => None,
        };
        unsure |= manifest.is_none_or(|manifest| matches!(manifest, Err(ManifestError::UnknownFormat(_))));
        match reason {
            Some(reason) => plan.keep.push((object.name.clone(), reason)),
            None => old_manifests.push(object),
        }
    }
    let listed: BTreeSet<_> = manifests
        .values()
        .flatten()
        .flat_map(|manifest| &manifest.files)
        .map(|file| (file.checksum, file.size))
        .collect();
    let mut orphans = Vec::new();
    for (content, object) in &listing.files {
        let reason = if listed.contains(content) {
            Some(KeepReason::Listed)
        } else if object.age < minimum_age {
            Some(KeepReason::Young)
        } else {
            unsure.then_some(KeepReason::Unsure)
        };
        match reason {
            Some(reason) => plan.keep.push((object.name.clone(), reason)),
            None => orphans.push(object),
        }
    }
    plan.keep.extend(listing.others.iter().map(|object| (object.name.clone(), KeepReason::NotOurs)));
    for objects in [old_manifests, orphans] {
        plan.delete.extend(oldest_first(objects));
    }
    plan
}

fn oldest_first(mut objects: Vec<&Object>) -> impl Iterator<Item = String> {
    objects.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.name.cmp(&b.name)));
    objects.into_iter().map(|object| object.name.clone())
}
