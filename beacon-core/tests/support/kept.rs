//! A counting job with checkpoints in memory, and claims about it that hold on every log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::checkpoint::{
    CheckpointConfig, Manifest, MemoryObjectStore, ObjectFault, ObjectName, ObjectStore, Operation, TaskObjects,
};
use beacon_core::log::{Isolation, Log, TopicPartition};
use beacon_core::runtime::{App, AppConfig, AppStatus, RestorePhase, StateLocation};

use super::counting::{Counting, PARTITIONS};
use super::faulty::FaultyLog;
use super::{chain, count, state_on_disk, wait_until};

/// A pause between appends that lets other things happen meanwhile.
const PACE: Duration = Duration::from_millis(5);

/// While checkpoints are waited for, more input comes this often.
const FEED_EVERY: Duration = Duration::from_millis(250);

/// Checkpoints so often and so few that a changelog is soon trimmed.
pub fn checkpoints(store: Arc<dyn ObjectStore>) -> CheckpointConfig {
    let mut config = CheckpointConfig::new(store);
    config.interval = Duration::from_millis(40);
    config.keep = 2;
    config.minimum_age = Duration::ZERO;
    config
}

/// A job with checkpoints in memory, and state on disk.
pub struct Kept {
    pub log: Arc<dyn Log>,
    pub job: Counting,
    pub store: Arc<MemoryObjectStore>,
    pub state: PathBuf,
    /// Between two pieces of input, while checkpoints are waited for.
    pub pace: Duration,
    /// How many checkpoints of a task are kept.
    pub keep: usize,
}

impl Kept {
    pub fn new(log: Arc<dyn Log>, state: PathBuf, name: impl Into<String>, words: u64) -> Self {
        let kept = Self { log, job: Counting::new(name, words), store: Arc::default(), state, pace: PACE, keep: 2 };
        kept.job.make_topics(kept.log.as_ref());
        kept
    }

    pub fn config(&self) -> AppConfig {
        self.config_with(Arc::clone(&self.store) as _)
    }

    /// The same with the checkpoints behind something else.
    pub fn config_with(&self, store: Arc<dyn ObjectStore>) -> AppConfig {
        let mut config = self.job.config("0");
        config.state = StateLocation::Directory(self.state.clone());
        let mut checkpoints = checkpoints(store);
        checkpoints.keep = self.keep;
        config.checkpoints = Some(checkpoints);
        config
    }

    pub fn start(&self) -> App {
        self.start_with(self.config())
    }

    pub fn start_with(&self, config: AppConfig) -> App {
        App::start(Arc::clone(&self.log), self.job.topology(&Arc::default()), config).expect("started")
    }

    /// What a task's objects are called.
    pub fn task(&self, task: u32) -> TaskObjects {
        let changelog = format!("{}-changelog", self.job.application());
        let history = self.log.topic_id(&changelog).expect("asked");
        TaskObjects { application: self.job.application(), task, history }
    }

    /// Where a task keeps its state.
    pub fn directory(&self, task: u32) -> PathBuf {
        self.state.join(self.job.application()).join(format!("task-{task}"))
    }

    /// Where the changelog of each task begins.
    pub fn starts(&self) -> Vec<u64> {
        let start = |number| {
            let at = TopicPartition::new(format!("{}-changelog", self.job.application()), number);
            self.log.offsets(&at, Isolation::Uncommitted).expect("offsets").start
        };
        (0..PARTITIONS).map(start).collect()
    }

    /// Half of the input.
    pub fn count_half(&self) -> u64 {
        let half = self.job.records() / 2;
        self.job.feed(self.log.as_ref(), half, PACE);
        wait_until("half is counted", || count(self.log.as_ref(), &self.job.output()) as u64 >= half);
        half
    }

    /// Half of the input, and more until every changelog was trimmed.
    pub fn run_until_trimmed(&self) {
        let app = self.start();
        let (mut fed, mut fed_at) = (self.count_half(), Instant::now());
        // No faster than a slow machine makes checkpoints: what there is to feed has to be enough for some of each task.
        wait_until("every changelog is trimmed", || {
            if fed_at.elapsed() >= FEED_EVERY {
                fed = (fed + 5).min(self.job.records() * 3 / 4);
                self.job.feed(self.log.as_ref(), fed, self.pace);
                fed_at = Instant::now();
            }
            self.starts().iter().all(|start| *start > 0)
        });
        app.stop().expect("stopped");
    }

    /// The same; then the process is gone, and its disk with it.
    pub fn run_until_trimmed_and_lose_the_disk(&self) {
        self.run_until_trimmed();
        self.lose_the_disk();
    }

    pub fn lose_the_disk(&self) {
        std::fs::remove_dir_all(&self.state).expect("it is there");
    }

    pub fn manifests(&self, task: u32) -> Vec<String> {
        let names = self.store.list(&self.task(task).prefix()).expect("listed");
        let is_manifest = |name: &String| matches!(self.task(task).parse(name), Some(ObjectName::Manifest(_)));
        names.into_iter().map(|object| object.name).filter(is_manifest).collect()
    }

    /// What a manifest lists.
    pub fn manifest(&self, name: &str) -> Manifest {
        Manifest::decode(&self.store.get(name).expect("read")).expect("a manifest")
    }

    /// Waits until all tasks run.
    ///
    /// # Panics
    /// When the application ends instead, with its error.
    pub fn wait_running(&self, app: App) -> App {
        wait_until("all tasks run or it ended", || {
            app.stats().tasks == u64::from(PARTITIONS) || app.status() == AppStatus::Stopped
        });
        if app.status() == AppStatus::Stopped {
            panic!("{}: {:?}", self.job.prefix, app.wait());
        }
        app
    }

    /// Feeds the rest, and checks outputs and the state on disk against a run in which nothing went wrong.
    pub fn finish(&self, app: App) {
        self.job.feed_all(self.log.as_ref());
        wait_until("all counts and closings", || self.job.is_complete(self.log.as_ref()));
        app.stop().expect("stopped");
        self.job.check_outputs(self.log.as_ref());
        let disk = state_on_disk(&self.state, &self.job.application(), PARTITIONS);
        assert!(disk == self.job.calm_run().1, "the state on disk differs");
    }
}

/// What becomes of the newest checkpoint of each task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilt {
    Manifest,
    File,
    Missing,
}

/// A lost disk is restored from an older checkpoint when the newest one is spoilt.
pub fn a_spoilt_newest_checkpoint_falls_back_along_the_chain(kept: &Kept, spoilt: Spoilt) {
    kept.run_until_trimmed_and_lose_the_disk();
    for task in 0..PARTITIONS {
        let newest = kept.manifests(task).pop().expect("there are some");
        if spoilt == Spoilt::Manifest {
            assert!(kept.store.damage(&newest, |bytes| bytes.truncate(bytes.len() / 2)));
            continue;
        }
        let older = kept.manifest(&kept.manifests(task)[kept.manifests(task).len() - 2]).files;
        let only_newest =
            kept.manifest(&newest).files.into_iter().find(|file| older.iter().all(|old| old.checksum != file.checksum));
        let object = kept.task(task).file(&only_newest.expect("a checkpoint of a changed store has files of its own"));
        if spoilt == Spoilt::File {
            // Of the right size: shows only when it is read.
            assert!(kept.store.damage(&object, |bytes| bytes[0] ^= 1));
        } else {
            kept.store.delete(&object).expect("deleted");
        }
    }
    let app = kept.wait_running(kept.start());
    assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS), "{spoilt:?}");
    kept.finish(app);
}

/// All tasks but one run and count, while that one is in this phase of its restore.
fn the_others_count(kept: &Kept, app: &App, phase: RestorePhase) {
    wait_until("the others run", || app.stats().tasks == u64::from(PARTITIONS) - 1);
    wait_until("the slow one has begun", || app.restores().first().is_some_and(|restore| restore.total > 0));
    let progress = app.restores();
    assert_eq!((progress.len(), progress[0].phase), (1, phase));
    assert!(progress[0].left() > 0, "{progress:?}");
    assert_eq!(app.stats().restoring, 1);
    let counted = || count(kept.log.as_ref(), &kept.job.output());
    let (before, said) = (app.stats().records, counted());
    kept.job.feed_all(kept.log.as_ref());
    wait_until("the others count", || app.stats().records > before && counted() > said);
    assert_eq!(app.restores().len(), 1, "it is not done yet");
}

/// While the files of one task's checkpoint do not come, the other tasks work.
pub fn one_task_fetches_files_while_the_others_work(kept: &Kept) {
    kept.run_until_trimmed_and_lose_the_disk();
    let slow = kept.task(0).prefix();
    kept.store.set_faults(move |operation, name| {
        (operation == Operation::Download && name.starts_with(&slow) && name.contains("/files/"))
            .then_some(ObjectFault::Half)
    });
    let app = kept.start();
    the_others_count(kept, &app, RestorePhase::Files);
    kept.store.clear_faults();
    kept.finish(app);
}

/// While one task reads its changelog, and for long, the other tasks work. The job is on `log`.
pub fn one_task_reads_its_changelog_while_the_others_work(kept: &Kept, log: &FaultyLog) {
    let config = || {
        let mut config = kept.config();
        config.checkpoints = None;
        config
    };
    let app = kept.start_with(config());
    kept.count_half();
    app.stop().expect("stopped");
    std::fs::remove_dir_all(kept.directory(0)).expect("it is there");
    log.faults.silence(Some(TopicPartition::new(format!("{}-changelog", kept.job.application()), 0)));
    let app = kept.start_with(config());
    the_others_count(kept, &app, RestorePhase::Changelog);
    log.faults.silence(None);
    kept.finish(app);
}

/// Without any good checkpoint, a task whose changelog was trimmed does not begin with nothing.
pub fn a_changelog_trimmed_past_every_checkpoint_is_refused(kept: &Kept) {
    kept.run_until_trimmed_and_lose_the_disk();
    let newest = kept.manifests(0);
    for name in &newest {
        kept.store.damage(name, |bytes| bytes[20] ^= 1);
    }
    let error = kept.start().wait().expect_err("refused");
    let text = chain(&error);
    for part in ["begins at offset", "this disk holds nothing", &newest[0], "damaged", "reset the application"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}
