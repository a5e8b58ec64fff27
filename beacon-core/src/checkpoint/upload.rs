//! Which files of a store have to be uploaded.

use std::collections::BTreeSet;
use std::time::Duration;

use super::listing::Presence;
use super::{Listing, Manifest};
use crate::state::StoreFile;

/// Why a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendReason {
    /// There is no such object.
    New,
    /// The object has another size than its name says: an upload was cut short.
    WrongSize {
        /// Bytes it has.
        found: u64,
    },
    /// It is there, but no manifest that will be kept lists it and it is not young: somebody's clean-up may be about to
    /// delete it. Sent again, it is young.
    Unprotected,
}

/// What a checkpoint sends and what it shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPlan {
    /// Files to upload, in the order of their names; the same content once.
    pub send: Vec<(StoreFile, SendReason)>,
    /// Files that are there and stay.
    pub share: Vec<StoreFile>,
}

impl UploadPlan {
    /// Bytes to upload.
    pub fn bytes(&self) -> u64 {
        self.send.iter().map(|(file, _)| file.size).sum()
    }
}

/// Decides what to send of `files`. `newest` is the newest valid manifest: the one whose files no clean-up touches.
/// Objects younger than `young` are safe from any clean-up until long after the manifest is there.
pub fn plan_upload(files: &[StoreFile], listing: &Listing, newest: Option<&Manifest>, young: Duration) -> UploadPlan {
    let protected: BTreeSet<_> =
        newest.iter().flat_map(|manifest| &manifest.files).map(|file| (file.checksum, file.size)).collect();
    let mut seen = BTreeSet::new();
    let mut plan = UploadPlan::default();
    for file in files.iter().filter(|file| seen.insert((file.checksum, file.size))) {
        let reason = match listing.presence(file) {
            Presence::Missing => SendReason::New,
            Presence::WrongSize(found) => SendReason::WrongSize { found },
            Presence::Whole { age } if age < young || protected.contains(&(file.checksum, file.size)) => {
                plan.share.push(file.clone());
                continue;
            }
            Presence::Whole { .. } => SendReason::Unprotected,
        };
        plan.send.push((file.clone(), reason));
    }
    plan
}
