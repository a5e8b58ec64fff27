//! One checkpoint on its way to object storage, a piece at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Permit, UnderWay, backoff};
use crate::checkpoint::{
    CheckpointConfig, Listing, Manifest, ManifestError, ObjectError, ObjectErrorKind, PutOutcome, StateName,
    TaskObjects, judge, plan_cleanup, plan_upload,
};
use crate::log::{Log, LogError, LogErrorKind, Offset, OffsetRange, TopicPartition};
use crate::runtime::environment::Background;
use crate::runtime::stats::Stats;
use crate::state::{Snapshot, StateError, StoreFile};

/// Tries of one piece before the checkpoint is left to the next one: about five minutes.
const TRIES: u32 = 12;
/// A clean-up decides by a listing no older than this: a process that stood still looks again before it deletes.
const LISTING_GOOD_FOR: Duration = Duration::from_secs(10);

/// What a checkpoint is made of.
pub(super) struct Parts {
    pub(super) config: CheckpointConfig,
    pub(super) log: Arc<dyn Log>,
    pub(super) stats: Arc<Stats>,
    pub(super) objects: TaskObjects,
    pub(super) partitions: u32,
    pub(super) changelog: (TopicPartition, Offset),
    pub(super) sources: Vec<(TopicPartition, Offset)>,
    pub(super) states: Vec<StateName>,
    pub(super) snapshot: Box<dyn Snapshot>,
}

pub(super) struct Upload {
    parts: Parts,
    stage: Stage,
    tries: u32,
    under_way: Arc<UnderWay>,
    /// Given back when this is dropped.
    _permit: Permit,
}

enum Stage {
    Plan,
    Send { files: Vec<StoreFile>, generation: u64, queue: VecDeque<StoreFile>, bytes: u64 },
    CleanUp,
    Delete { queue: VecDeque<String>, listed_at: Duration },
    Done,
}

/// Why a piece did not succeed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Trouble {
    /// Whether the same may succeed later: most may, when a person mends what is wrong meanwhile.
    fn is_hopeless(&self) -> bool {
        match self {
            Self::Object(error) => error.kind() == ObjectErrorKind::Local,
            Self::State(_) => true,
            Self::Log(error) => error.kind() != LogErrorKind::Retriable,
        }
    }
}

impl Upload {
    pub(super) fn new(parts: Parts, under_way: Arc<UnderWay>, permit: Permit) -> Self {
        Self { parts, stage: Stage::Plan, tries: 0, under_way, _permit: permit }
    }

    fn advance(&mut self, now: Duration) -> Result<Stage, Trouble> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Plan => self.plan().inspect_err(|_| self.stage = Stage::Plan),
            Stage::Send { files, generation, mut queue, bytes } => {
                let sent = match queue.front() {
                    Some(file) => self.parts.send(file).map(|()| false),
                    None => self.parts.put_manifest(&files, generation).map(|()| true),
                };
                match sent {
                    Ok(true) => {
                        self.under_way.durable.store(true, Ordering::Release);
                        Stats::add(&self.parts.stats.checkpoints, 1);
                        Stats::add(&self.parts.stats.checkpoint_bytes, bytes);
                        Ok(Stage::CleanUp)
                    }
                    Ok(false) => {
                        queue.pop_front();
                        Ok(Stage::Send { files, generation, queue, bytes })
                    }
                    Err(error) => {
                        self.stage = Stage::Send { files, generation, queue, bytes };
                        Err(error)
                    }
                }
            }
            Stage::CleanUp => self.parts.clean_up(now).inspect_err(|_| self.stage = Stage::CleanUp),
            Stage::Delete { queue, listed_at } if now.saturating_sub(listed_at) > LISTING_GOOD_FOR => {
                // Others may have shared meanwhile what was an orphan then.
                drop(queue);
                Ok(Stage::CleanUp)
            }
            Stage::Delete { mut queue, listed_at } => {
                if let Some(name) = queue.front()
                    && let Err(error) = self.parts.config.store.delete(name)
                {
                    self.stage = Stage::Delete { queue, listed_at };
                    return Err(error.into());
                }
                queue.pop_front();
                Ok(if queue.is_empty() { Stage::Done } else { Stage::Delete { queue, listed_at } })
            }
            Stage::Done => Ok(Stage::Done),
        }
    }

    /// Looks at what is there, and decides what to send.
    fn plan(&mut self) -> Result<Stage, Trouble> {
        let files = self.parts.snapshot.files()?;
        let parts = &self.parts;
        let listing = parts.list()?;
        let anywhere = OffsetRange { start: 0, end: Offset::MAX };
        let mut newest = None;
        for offset in listing.newest_first() {
            let bytes = parts.read_manifest(offset)?;
            if let Ok(manifest) = judge(&parts.objects, parts.partitions, offset, bytes.as_deref(), &listing, anywhere)
            {
                newest = Some(manifest);
                break;
            }
        }
        let plan = plan_upload(&files, &listing, newest.as_ref(), parts.config.minimum_age / 2);
        let bytes = plan.bytes();
        tracing::debug!(
            prefix = parts.objects.prefix(),
            offset = parts.changelog.1,
            files = files.len(),
            sent = plan.send.len(),
            bytes,
            "checkpoint begins"
        );
        let generation = newest.map_or(1, |newest| newest.generation + 1);
        let queue = plan.send.into_iter().map(|(file, _)| file).collect();
        Ok(Stage::Send { files, generation, queue, bytes })
    }
}

impl Parts {
    fn list(&self) -> Result<Listing, ObjectError> {
        Ok(Listing::new(&self.objects, self.config.store.list(&self.objects.prefix())?))
    }

    fn read_manifest(&self, offset: Offset) -> Result<Option<Vec<u8>>, ObjectError> {
        match self.config.store.get(&self.objects.manifest(offset)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&self, file: &StoreFile) -> Result<(), Trouble> {
        let mut source = self.snapshot.open(&file.name)?;
        Ok(self.config.store.upload(&self.objects.file(file), source.as_mut(), file.size)?)
    }

    fn put_manifest(&self, files: &[StoreFile], generation: u64) -> Result<(), Trouble> {
        let manifest = Manifest {
            application: self.objects.application.clone(),
            task: self.objects.task,
            partitions: self.partitions,
            changelog: self.changelog.1,
            sources: self.sources.clone(),
            generation,
            files: files.to_vec(),
            states: self.states.clone(),
        };
        let name = self.objects.manifest(manifest.changelog);
        let bytes = manifest.encode();
        if self.config.store.put_if_absent(&name, &bytes)? == PutOutcome::Created {
            tracing::info!(manifest = name, generation, "checkpoint is durable");
            return Ok(());
        }
        match self.read_manifest(manifest.changelog)?.as_deref().map(Manifest::decode) {
            // Ours, when an answer was lost, or of an earlier owner: of the same offset, so of the same state.
            Some(Ok(_)) => tracing::info!(manifest = name, "a checkpoint of this offset is there already"),
            Some(Err(reason @ ManifestError::Damaged(_))) => {
                tracing::warn!(manifest = name, %reason, "replacing a checkpoint that nobody could restore");
                self.config.store.upload(&name, &mut &bytes[..], bytes.len() as u64)?;
            }
            Some(Err(ManifestError::UnknownFormat(format))) => {
                tracing::info!(manifest = name, format, "a newer program has a checkpoint of this offset");
            }
            None => {
                let message = format!("{name}: deleted while it was there already");
                return Err(ObjectError::new(ObjectErrorKind::Retriable, message).into());
            }
        }
        Ok(())
    }

    /// Trims the changelog, and decides what to delete.
    fn clean_up(&self, now: Duration) -> Result<Stage, Trouble> {
        let listing = self.list()?;
        let mut manifests: BTreeMap<Offset, Result<Manifest, ManifestError>> = BTreeMap::new();
        for offset in listing.newest_first() {
            // One that is gone has no entry: then nothing is deleted this time.
            if let Some(bytes) = self.read_manifest(offset)? {
                manifests.insert(offset, Manifest::decode(&bytes));
            }
        }
        for (offset, manifest) in &manifests {
            if let Err(reason) = manifest {
                tracing::warn!(manifest = self.objects.manifest(*offset), %reason, "a checkpoint cannot be restored");
            }
        }
        let plan = plan_cleanup(&listing, &manifests, self.config.keep, self.config.minimum_age);
        if let Some(before) = plan.trim_to {
            self.log.trim(&self.changelog.0, before)?;
            self.stats.checkpoint_trimmed.fetch_max(before, Ordering::Relaxed);
        }
        if plan.delete.is_empty() {
            return Ok(Stage::Done);
        }
        tracing::info!(
            prefix = self.objects.prefix(),
            objects = plan.delete.len(),
            "deleting what no checkpoint needs"
        );
        Ok(Stage::Delete { queue: plan.delete.into(), listed_at: now })
    }
}

impl Background for Upload {
    fn is_given_up(&self) -> bool {
        self.under_way.is_abandoned()
    }

    fn step(&mut self, now: Duration) -> Option<Duration> {
        if self.under_way.is_abandoned() {
            return None;
        }
        match self.advance(now) {
            Ok(Stage::Done) => None,
            Ok(stage) => {
                self.stage = stage;
                self.tries = 0;
                Some(Duration::ZERO)
            }
            // Given up meanwhile: its files may be gone.
            Err(_) if self.under_way.is_abandoned() => None,
            Err(error) => {
                let prefix = self.parts.objects.prefix();
                self.tries += 1;
                Stats::add(&self.parts.stats.checkpoint_failures, 1);
                if self.tries >= TRIES || error.is_hopeless() {
                    tracing::error!(prefix, %error, "this checkpoint is given up; the next one comes in its time");
                    return None;
                }
                let wait = backoff(self.tries);
                tracing::warn!(prefix, %error, ?wait, "a checkpoint's upload fails; trying again");
                Some(wait)
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.under_way.ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
