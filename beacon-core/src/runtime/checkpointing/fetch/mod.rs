//! A checkpoint on its way from object storage to an empty disk, several files at a time.
//!
//! What has arrived stays when the process dies in the middle, and is not fetched again. [`bring`] is what one file goes
//! through.

mod bring;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::bring::Came;
use super::backoff;
use crate::checkpoint::{
    CheckpointConfig, Listing, Manifest, ObjectError, ObjectErrorKind, PassedOver, TaskObjects, judge,
};
use crate::log::{Isolation, Log, LogError, LogErrorKind, Offset, TopicPartition};
use crate::runtime::environment::{Background, Environment};
use crate::runtime::progress::{Progress, RestorePhase};
use crate::state::{Intake, StateError, Store, StoreFile};
use crate::task::TaskError;

/// How often a worker without work looks for some.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Tries to reach the storage before the whole changelog is read instead, if it is all there.
const TRIES_WITH_CHANGELOG: u32 = 6;

/// A restore's files under way. Dropping it stops the work; what has arrived stays.
pub(in crate::runtime) struct Fetch {
    shared: Arc<Shared>,
}

/// How it went.
pub(in crate::runtime) enum Fetched {
    /// Still under way.
    Pending,
    /// The task's store.
    Store {
        /// Open, in the place of the task's.
        store: Box<dyn Store>,
        /// The changelog offset of its manifest.
        offset: Offset,
        /// Bytes of its files.
        bytes: u64,
    },
    /// There is no checkpoint to restore from.
    Nothing {
        /// Where the changelog began when that was found. Begins it later now, checkpoints have been made since.
        begins: Offset,
        /// Why each one was passed over, and why storage was not asked longer.
        reasons: Vec<String>,
    },
}

/// What is fetched, from where, and to where.
pub(in crate::runtime) struct Wanted {
    pub(in crate::runtime) config: CheckpointConfig,
    pub(in crate::runtime) log: Arc<dyn Log>,
    pub(in crate::runtime) objects: TaskObjects,
    /// Partition count of the application.
    pub(in crate::runtime) partitions: u32,
    pub(in crate::runtime) changelog: TopicPartition,
    pub(in crate::runtime) intake: Arc<dyn Intake>,
    pub(in crate::runtime) progress: Arc<Progress>,
}

struct Shared {
    wanted: Wanted,
    abandoned: AtomicBool,
    state: Mutex<State>,
}

impl std::ops::Deref for Shared {
    type Target = Wanted;

    fn deref(&self) -> &Wanted {
        &self.wanted
    }
}

#[derive(Default)]
struct State {
    stage: Stage,
    passed_over: Vec<PassedOver>,
    /// Changelog offsets of manifests that proved bad while their files were read.
    bad: BTreeSet<Offset>,
    /// Where the changelog began before the storage was listed.
    begins: Offset,
}

#[derive(Default)]
enum Stage {
    #[default]
    Choosing,
    Loading {
        manifest: Arc<Manifest>,
        queue: VecDeque<StoreFile>,
        under_way: usize,
    },
    Whole(Offset),
    Nothing(Option<String>),
    Failed(TaskError),
}

impl Fetch {
    /// Starts to fetch the newest valid checkpoint of a task.
    ///
    /// # Errors
    /// When nothing can be started.
    pub(in crate::runtime) fn start(wanted: Wanted, environment: &dyn Environment) -> Result<Self, TaskError> {
        let name = format!("{}-restore-{}", wanted.objects.application, wanted.objects.task);
        let downloads = wanted.config.downloads.max(1);
        let shared = Arc::new(Shared { wanted, abandoned: AtomicBool::new(false), state: Mutex::default() });
        let fetch = Self { shared: Arc::clone(&shared) };
        for number in 0..downloads {
            let worker = Worker { shared: Arc::clone(&shared), leads: number == 0, tries: 0 };
            match environment.start(format!("{name}-{number}"), Box::new(worker)) {
                Ok(()) => {}
                // Fewer will do, as long as somebody leads.
                Err(error) if number > 0 => tracing::warn!(name, %error, "fewer files at a time than set"),
                Err(error) => return Err(StateError::Store(format!("no thread to restore with: {error}")).into()),
            }
        }
        Ok(fetch)
    }

    /// How it went; a store is handed out once.
    ///
    /// # Errors
    /// What waiting does not mend, and a full disk.
    pub(in crate::runtime) fn outcome(&self) -> Result<Fetched, TaskError> {
        let mut state = self.shared.lock();
        if !matches!(state.stage, Stage::Choosing | Stage::Loading { .. }) {
            // It ends here: nobody begins anew while what has arrived is moved.
            self.shared.abandoned.store(true, Ordering::Release);
        }
        match std::mem::take(&mut state.stage) {
            Stage::Whole(offset) => {
                let bytes = self.shared.progress.total();
                match self.shared.intake.settle() {
                    Ok(store) => Ok(Fetched::Store { store, offset, bytes }),
                    // Every byte is as it was uploaded: it was damaged then.
                    Err(StateError::Damaged(reason)) => {
                        let manifest = self.shared.objects.manifest(offset);
                        let reasons = vec![format!("{manifest} was made of a damaged store: {reason}")];
                        Ok(Fetched::Nothing { begins: state.begins, reasons })
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Stage::Nothing(why) => {
                let mut reasons: Vec<_> = state.passed_over.iter().map(ToString::to_string).collect();
                reasons.extend(why);
                Ok(Fetched::Nothing { begins: state.begins, reasons })
            }
            Stage::Failed(error) => Err(error),
            stage => {
                state.stage = stage;
                Ok(Fetched::Pending)
            }
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        // Those who work on it may find out a little later.
        self.shared.progress.end();
        self.shared.abandoned.store(true, Ordering::Release);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest valid manifest; `None`: there is none.
    fn choose(&self) -> Result<Option<Manifest>, Trouble> {
        let range = self.log.offsets(&self.changelog, Isolation::Uncommitted)?;
        self.lock().begins = range.start;
        let listing = Listing::new(&self.objects, self.config.store.list(&self.objects.prefix())?);
        for offset in listing.newest_first() {
            if self.lock().bad.contains(&offset) {
                continue;
            }
            let bytes = match self.config.store.get(&self.objects.manifest(offset)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == ObjectErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            match judge(&self.objects, self.partitions, offset, bytes.as_deref(), &listing, range) {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(reason) => self.pass_over(offset, reason),
            }
        }
        Ok(None)
    }

    fn pass_over(&self, offset: Offset, reason: PassedOver) {
        tracing::warn!(task = self.objects.task, %reason, "a checkpoint is passed over");
        let mut state = self.lock();
        state.bad.insert(offset);
        state.passed_over.push(reason);
    }

    /// Whether everything a checkpoint would bring is in the changelog, too.
    fn changelog_is_whole(&self) -> bool {
        self.log.offsets(&self.changelog, Isolation::Uncommitted).is_ok_and(|range| range.start == 0)
    }

    fn begin(&self, manifest: Manifest) -> Result<Stage, StateError> {
        tracing::info!(
            manifest = self.objects.manifest(manifest.changelog),
            files = manifest.files.len(),
            bytes = manifest.bytes(),
            "restoring from a checkpoint"
        );
        self.intake.keep_only(&manifest.files)?;
        self.progress.begin(RestorePhase::Files, 0, manifest.bytes());
        let queue = manifest.files.iter().cloned().collect();
        Ok(Stage::Loading { manifest: Arc::new(manifest), queue, under_way: 0 })
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// One of those that work on a restore.
struct Worker {
    shared: Arc<Shared>,
    /// The one that chooses.
    leads: bool,
    tries: u32,
}

impl Worker {
    fn lead(&mut self) -> Option<Duration> {
        let stage = match self.shared.choose() {
            Ok(Some(manifest)) => self.shared.begin(manifest).unwrap_or_else(|error| Stage::Failed(error.into())),
            Ok(None) => Stage::Nothing(None),
            Err(Trouble::Log(error)) if error.kind() != LogErrorKind::Retriable => Stage::Failed(error.into()),
            Err(error) => {
                self.tries += 1;
                let wait = backoff(self.tries);
                if self.tries < TRIES_WITH_CHANGELOG || !self.shared.changelog_is_whole() {
                    tracing::warn!(task = self.shared.objects.task, %error, ?wait, "cannot look for checkpoints; trying again");
                    return Some(wait);
                }
                Stage::Nothing(Some(error.to_string()))
            }
        };
        self.tries = 0;
        self.shared.lock().stage = stage;
        Some(Duration::ZERO)
    }

    fn came(&mut self, offset: Offset, file: StoreFile, came: Came) -> Option<Duration> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        // Another file of this manifest may have proved bad meanwhile, and another one been chosen.
        let Stage::Loading { manifest, queue, under_way } = &mut state.stage else { return Some(LOOK_AGAIN) };
        if manifest.changelog != offset {
            return Some(LOOK_AGAIN);
        }
        *under_way -= 1;
        match came {
            Came::Whole => {
                self.tries = 0;
                if queue.is_empty() && *under_way == 0 {
                    state.stage = Stage::Whole(offset);
                }
                Some(Duration::ZERO)
            }
            Came::Later(reason) => {
                queue.push_back(file);
                self.tries += 1;
                let wait = backoff(self.tries);
                tracing::warn!(task = shared.objects.task, reason, ?wait, "a file does not come; trying again");
                Some(wait)
            }
            Came::Damaged(reason) => {
                state.stage = Stage::Choosing;
                drop(state);
                shared.pass_over(offset, reason);
                Some(Duration::ZERO)
            }
            Came::Failed(error) => {
                state.stage = Stage::Failed(error);
                None
            }
        }
    }
}

impl Background for Worker {
    fn is_given_up(&self) -> bool {
        self.shared.abandoned.load(Ordering::Acquire)
    }

    fn step(&mut self, _: Duration) -> Option<Duration> {
        if self.shared.abandoned.load(Ordering::Acquire) {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let (manifest, file) = {
            let mut state = shared.lock();
            match &mut state.stage {
                Stage::Choosing if self.leads => {
                    drop(state);
                    return self.lead();
                }
                Stage::Choosing => return Some(LOOK_AGAIN),
                Stage::Loading { manifest, queue, under_way } => match queue.pop_front() {
                    Some(file) => {
                        *under_way += 1;
                        (Arc::clone(manifest), file)
                    }
                    None if *under_way == 0 => {
                        let offset = manifest.changelog;
                        state.stage = Stage::Whole(offset);
                        return Some(Duration::ZERO);
                    }
                    // One of those under way may come back.
                    None => return Some(LOOK_AGAIN),
                },
                Stage::Whole(_) | Stage::Nothing(_) | Stage::Failed(_) => return None,
            }
        };
        let came = shared.bring(&manifest, &file);
        self.came(manifest.changelog, file, came)
    }
}
