//! One listing of a task's objects, sorted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Manifest, Object, ObjectName, TaskObjects};
use crate::log::Offset;
use crate::state::{Checksum, StoreFile};

/// What a listing of a task's prefix holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Manifests by changelog offset.
    pub manifests: BTreeMap<Offset, Object>,
    /// Files by what their names say of their content.
    pub files: BTreeMap<(Checksum, u64), Object>,
    /// Objects that are not ours: left alone.
    pub others: Vec<Object>,
}

/// How a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Whole { age: Duration },
    WrongSize(u64),
    Missing,
}

impl Listing {
    /// Sorts a listing of `task`'s prefix.
    pub fn new(task: &TaskObjects, objects: Vec<Object>) -> Self {
        let mut listing = Self::default();
        for object in objects {
            match task.parse(&object.name) {
                Some(ObjectName::Manifest(offset)) => drop(listing.manifests.insert(offset, object)),
                Some(ObjectName::File { checksum, size }) => drop(listing.files.insert((checksum, size), object)),
                None => listing.others.push(object),
            }
        }
        listing
    }

    /// Offsets of manifests, newest first: the order in which they are tried.
    pub fn newest_first(&self) -> impl Iterator<Item = Offset> + '_ {
        self.manifests.keys().rev().copied()
    }

    pub(super) fn presence(&self, file: &StoreFile) -> Presence {
        match self.files.get(&(file.checksum, file.size)) {
            None => Presence::Missing,
            Some(object) if object.size == file.size => Presence::Whole { age: object.age },
            Some(object) => Presence::WrongSize(object.size),
        }
    }

    /// Whether every file of a manifest is there with its size.
    pub(super) fn has_all(&self, manifest: &Manifest) -> bool {
        manifest.files.iter().all(|file| matches!(self.presence(file), Presence::Whole { .. }))
    }
}
