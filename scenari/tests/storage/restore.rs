//! A job whose checkpoints are on S3 and on Swift: its disk is lost, its storage is away, its newest checkpoint is damaged.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Isolation, Log, TopicPartition};
use beacon_core::runtime::{App, AppStatus, StateLocation};
use scenari::proxy::Weather;
use scenari::wait::wait_until;
use tempfile::TempDir;

use crate::job::{Auditor, Job, PARTITIONS, Words};
use crate::stores::{On, Stage, patience};

/// For what a slow machine may take its time for.
const LONG: Duration = Duration::from_secs(180);

crate::stores::on_servers!(
    a_lost_disk_is_restored_from_checkpoint_and_tail,
    storage_that_is_away_costs_no_commit_and_the_checkpoint_comes_after,
    a_damaged_newest_checkpoint_falls_back_along_the_chain,
);

struct Run {
    stage: Stage,
    directory: TempDir,
    job: Job,
    log: Arc<EmbeddedLog>,
    auditor: Auditor,
    round: u64,
}

impl Run {
    fn new(on: On) -> Self {
        // The engine tries again: little patience inside of a call.
        let mut little = patience();
        little.tries = 2;
        let stage = on.start_with(little);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
        let job = Job { prefix: "job".to_owned() };
        job.make_topics(log.as_ref()).expect("made");
        let auditor = Auditor::new(Arc::clone(&log) as _, Arc::clone(&stage.store), &job).expect("topics are there");
        Self { stage, directory, job, log, auditor, round: 0 }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn start(&self) -> App {
        let mut config = self.job.config(Arc::clone(&self.stage.store));
        config.state = StateLocation::Directory(self.state());
        let checkpoints = config.checkpoints.as_mut().expect("the job has checkpoints");
        checkpoints.interval = Duration::from_millis(100);
        checkpoints.minimum_age = Duration::ZERO;
        App::start(Arc::clone(&self.log) as _, self.job.topology(), config).expect("started")
    }

    fn lose_the_disk(&self, app: App) -> App {
        app.stop().expect("stopped in good order");
        std::fs::remove_dir_all(self.state()).expect("it was there");
        self.start()
    }

    fn words(&mut self, count: u64) -> Words {
        self.round += 1;
        Words::new(&self.job, self.round, count)
    }

    fn check(&mut self, words: &Words, app: &App) {
        self.auditor.check_outputs(words, LONG, || alive(app)).expect("the outputs of a calm run");
    }

    /// More input, counted right.
    fn go_on(&mut self, app: &App) {
        let words = self.words(8);
        words.feed(self.log.as_ref(), Duration::from_millis(200)).expect("fed");
        self.check(&words, app);
    }

    /// Goes on until every changelog was trimmed: then state is in checkpoints, and nowhere else but on the disk.
    fn go_on_until_trimmed(&mut self, app: &App) {
        let started = std::time::Instant::now();
        while self.starts().contains(&0) {
            assert!(started.elapsed() < LONG, "no checkpoints: {:?}", app.stats());
            self.go_on(app);
        }
    }

    fn starts(&self) -> Vec<u64> {
        let start = |number| {
            let at = TopicPartition::new(self.job.changelog(), number);
            self.log.offsets(&at, Isolation::Uncommitted).expect("offsets").start
        };
        (0..PARTITIONS).map(start).collect()
    }
}

fn alive(app: &App) -> Result<()> {
    ensure!(app.status() != AppStatus::Stopped, "the application has stopped");
    Ok(())
}

fn every_task_comes_from_a_checkpoint(app: &App) {
    wait_until("every task to be restored", LONG, || match app.stats().checkpoint_restores {
        restores if restores == u64::from(PARTITIONS) => Ok(()),
        restores => Err(format!("{restores} of them; {:?}; {:?}", app.status(), app.restores())),
    });
}

fn a_lost_disk_is_restored_from_checkpoint_and_tail(on: On) {
    let mut run = Run::new(on);
    let app = run.start();
    run.go_on_until_trimmed(&app);
    // In the middle of words, so that each goes on from a count of before.
    let words = run.words(24);
    let log = Arc::clone(&run.log);
    let app = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| words.feed(log.as_ref(), Duration::from_secs(3)));
        let before = app.stats().records;
        wait_until("some of it to be counted", LONG, || match app.stats().records - before {
            records if records > 100 => Ok(()),
            records => Err(records),
        });
        let app = run.lose_the_disk(app);
        feeding.join().expect("no panic").expect("fed");
        app
    });
    run.check(&words, &app);
    every_task_comes_from_a_checkpoint(&app);
    app.stop().expect("stopped in good order");
}

fn storage_that_is_away_costs_no_commit_and_the_checkpoint_comes_after(on: On) {
    let mut run = Run::new(on);
    let app = run.start();
    run.go_on_until_trimmed(&app);
    run.stage.weather().set(Weather::Down);
    let failures = app.stats().checkpoint_failures;
    let started = std::time::Instant::now();
    while app.stats().checkpoint_failures == failures {
        assert!(started.elapsed() < LONG, "nobody notices that storage is away");
        run.go_on(&app);
    }
    let during = app.stats();
    run.go_on(&app);
    assert_eq!((app.stats().checkpoints, app.stats().aborts), (during.checkpoints, 0));
    run.stage.weather().set(Weather::Calm);
    wait_until("a checkpoint after the outage", LONG, || match app.stats().checkpoints {
        checkpoints if checkpoints > during.checkpoints => Ok(()),
        checkpoints => Err(checkpoints),
    });
    let app = run.lose_the_disk(app);
    run.go_on(&app);
    every_task_comes_from_a_checkpoint(&app);
    app.stop().expect("stopped in good order");
}

fn a_damaged_newest_checkpoint_falls_back_along_the_chain(on: On) {
    let mut run = Run::new(on);
    let app = run.start();
    run.go_on_until_trimmed(&app);
    app.stop().expect("stopped in good order");
    let store = &run.stage.store;
    let mut newest = BTreeMap::new();
    for object in store.list(&format!("{}/", run.job.application())).expect("listed") {
        if let Some((task, _)) = object.name.split_once("/manifests/") {
            // In the order of their offsets: the last one stays.
            newest.insert(task.to_owned(), object.name.clone());
        }
    }
    assert_eq!(newest.len(), PARTITIONS as usize, "{newest:?}");
    for name in newest.values() {
        let bytes = store.get(name).expect("read");
        let half = &bytes[..bytes.len() / 2];
        store.upload(name, &mut &half[..], half.len() as u64).expect("damaged");
    }
    std::fs::remove_dir_all(run.state()).expect("it was there");
    let app = run.start();
    every_task_comes_from_a_checkpoint(&app);
    run.go_on(&app);
    app.stop().expect("stopped in good order");
}
