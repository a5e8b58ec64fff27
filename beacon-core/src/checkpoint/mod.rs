//! Checkpoints of a task's state in object storage: what is in them, and every decision about them.
//!
//! A checkpoint is a *manifest* (see [`Manifest`]) that lists the files of a store at one offset of the task's
//! changelog. Files are shared between manifests: a checkpoint uploads only what the last one does not have. Restoring
//! is: the newest valid manifest's files, then the changelog from the manifest's offset on.
//!
//! Decisions are functions of listings, with the reason for each: what to upload ([`plan_upload`]), whether to restore
//! from a manifest ([`judge`]), what to delete and how far the changelog may be trimmed ([`plan_cleanup`]). What this
//! module deliberately does not do: it starts no thread, keeps no clock and opens no connection; `runtime` runs the
//! decisions, over an [`ObjectStore`] (`tests/layers.rs: pure_modules_neither_wait_nor_look_around`; `storage` is
//! the edge).
//!
//! Invariants, each under a test:
//!
//! * a manifest is put after all its files
//!   (`src/runtime/checkpointing/upload_tests.rs: a_manifest_is_put_after_all_its_files`), and a file that a kept manifest
//!   lists is never deleted
//!   (`src/checkpoint/tests.rs: what_is_judged_good_restores_through_crashes_zombies_damage_and_clean_ups`), nor shared when
//!   somebody may be about to (`src/checkpoint/tests.rs: an_old_orphan_is_sent_again_before_it_is_shared`);
//! * the state that a manifest of a task restores is a pure function of its changelog offset
//!   (`src/task/tests.rs: after_each_commit_state_is_the_changelog_and_positions_are_what_was_committed`,
//!   `src/state/task_state_tests.rs: pending_and_unstored_writes_and_cache_behave_like_a_map`), so that it does not matter
//!   who of several owners wrote it: a zombie's is merely old
//!   (`src/checkpoint/tests.rs: what_is_judged_good_restores_through_crashes_zombies_damage_and_clean_ups`);
//! * the changelog is kept from the oldest kept manifest on, and not trimmed at all before there are as many valid ones
//!   as are to be kept
//!   (`src/checkpoint/tests.rs: the_changelog_is_trimmed_only_when_as_many_as_are_kept_are_valid`).

mod choice;
mod cleanup;
mod config;
mod listing;
mod manifest;
mod memory;
mod names;
mod object;
#[allow(clippy::disallowed_methods)]
pub mod storage;
mod upload;

pub use choice::{PassedOver, judge};
pub use cleanup::{Cleanup, KeepReason, plan_cleanup};
pub use config::CheckpointConfig;
pub use listing::Listing;
pub use manifest::{Manifest, ManifestError, StateName};
pub use memory::{MemoryObjectStore, ObjectFault, Operation};
pub use names::{ObjectName, TaskObjects};
pub use object::{Object, ObjectError, ObjectErrorKind, ObjectStore, PutOutcome};
pub use upload::{SendReason, UploadPlan, plan_upload};

#[cfg(test)]
mod tests;
