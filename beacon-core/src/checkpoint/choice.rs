//! Whether a manifest is good to restore from.

use super::listing::Presence;
use super::{Listing, Manifest, ManifestError, TaskObjects};
use crate::log::{Offset, OffsetRange};

/// Why a manifest is not restored from. The next older one is tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassedOver {
    /// Its bytes are not a manifest this program reads.
    #[error("{object}: {reason}")]
    Unreadable {
        /// The manifest's object.
        object: String,
        /// What is wrong with it.
        reason: ManifestError,
    },
    /// It was listed, and is gone.
    #[error("{object} is gone")]
    Gone {
        /// The manifest's object.
        object: String,
    },
    /// It says that it is of another task, partition count or offset than its name.
    #[error("{object} belongs to {found}")]
    NotOurs {
        /// The manifest's object.
        object: String,
        /// What it says it is of.
        found: String,
    },
    /// The changelog ends before it: it belongs to another log.
    #[error("{object} is ahead of the changelog, which ends at {end}: it belongs to another log")]
    AheadOfChangelog {
        /// The manifest's object.
        object: String,
        /// Where the changelog ends.
        end: Offset,
    },
    /// What the changelog had after it was trimmed away.
    #[error("{object} is behind the changelog, which begins at {start}")]
    BehindChangelog {
        /// The manifest's object.
        object: String,
        /// Where the changelog begins.
        start: Offset,
    },
    /// A file of it is not there.
    #[error("{manifest} lists {object} ({name}), which is missing")]
    FileMissing {
        /// The manifest's object.
        manifest: String,
        /// The file's object.
        object: String,
        /// The file's name in the store.
        name: String,
    },
    /// A file of it is shorter or longer than it should be.
    #[error("{manifest} lists {object} ({name}), which has {found} bytes instead of {expected}")]
    FileTruncated {
        /// The manifest's object.
        manifest: String,
        /// The file's object.
        object: String,
        /// The file's name in the store.
        name: String,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A file of it has other bytes than were uploaded: noticed when it was read.
    #[error("{manifest} lists {object} ({name}), whose bytes are damaged: their checksum is {found}")]
    FileDamaged {
        /// The manifest's object.
        manifest: String,
        /// The file's object.
        object: String,
        /// The file's name in the store.
        name: String,
        /// The checksum of its bytes.
        found: String,
    },
}

/// Judges one manifest by its bytes (`None`: gone since it was listed), the listing and the changelog.
///
/// # Errors
/// Why to try the next older one.
pub fn judge(
    task: &TaskObjects,
    partitions: u32,
    offset: Offset,
    bytes: Option<&[u8]>,
    listing: &Listing,
    changelog: OffsetRange,
) -> Result<Manifest, PassedOver> {
    let object = task.manifest(offset);
    let Some(bytes) = bytes else { return Err(PassedOver::Gone { object }) };
    let manifest = match Manifest::decode(bytes) {
        Ok(manifest) => manifest,
        Err(reason) => return Err(PassedOver::Unreadable { object, reason }),
    };
    let said = (manifest.application.as_str(), manifest.task, manifest.partitions, manifest.changelog);
    if said != (task.application.as_str(), task.task, partitions, offset) {
        let found = format!(
            "application `{}`, task {} of {}, changelog offset {}",
            manifest.application, manifest.task, manifest.partitions, manifest.changelog
        );
        return Err(PassedOver::NotOurs { object, found });
    }
    if offset > changelog.end {
        return Err(PassedOver::AheadOfChangelog { object, end: changelog.end });
    }
    if offset < changelog.start {
        return Err(PassedOver::BehindChangelog { object, start: changelog.start });
    }
    for file in &manifest.files {
        let name = file.name.clone();
        match listing.presence(file) {
            Presence::Whole { .. } => {}
            Presence::Missing => {
                return Err(PassedOver::FileMissing { manifest: object, object: task.file(file), name });
            }
            Presence::WrongSize(found) => {
                return Err(PassedOver::FileTruncated {
                    manifest: object,
                    object: task.file(file),
                    name,
                    expected: file.size,
                    found,
                });
            }
        }
    }
    Ok(manifest)
}
