//! A job whose storage refuses its login, has no container, or is slow, stalled or cut off: at work and at a restore. The error
//! names what is wrong and who can mend it, commits go on, and all is used again as soon as it is mended.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use beacon_core::checkpoint::storage::open_with;
use beacon_core::checkpoint::{CheckpointConfig, ObjectStore};
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Event, Isolation, Log, Offset, TopicPartition};
use beacon_core::runtime::{App, AppConfig, AppStatus, StateLocation, StatsSnapshot};
use scenari::azurite::Azurite;
use scenari::proxy::{Proxy, Weather};
use scenari::s3::S3;
use scenari::swift::Swift;
use scenari::wait::wait_until;
use tempfile::TempDir;
use tracing::level_filters::LevelFilter;

use crate::job::{Job, Lines, PARTITIONS, Words};
use crate::stores::{On, options, patience, unique};

/// For what a slow machine may take its time for.
const LONG: Duration = Duration::from_secs(180);

crate::stores::on_servers!(
    a_refused_login_costs_no_commit_is_named_and_used_when_it_is_mended,
    a_missing_container_costs_no_commit_is_named_and_used_when_it_is_made,
    slow_stalled_and_cut_storage_costs_no_commit_and_no_restore,
);

/// Warnings and errors of this program, as lines.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Listener;

impl Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listen() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::WARN);
        subscriber.with_writer(|| Listener).init();
    });
}

/// What was told so far that has all these parts; never a secret.
fn told(parts: &[&str]) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = String::from_utf8_lossy(&lines);
    assert!(!lines.contains("hush"), "a secret was told");
    lines.lines().filter(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned).collect()
}

/// A server behind a proxy, and a container of it that is not made yet.
struct Place {
    on: On,
    proxy: Proxy,
    container: String,
    s3: Option<S3>,
}

impl Place {
    fn start(on: On) -> Self {
        let container = unique("trouble");
        let s3 = (on == On::S3).then(S3::start);
        let port = match on {
            On::S3 => s3.as_ref().expect("just started").port(),
            On::Swift => Swift::shared().port(),
            On::Azure => Azurite::shared().port(),
            On::Folder | On::Google => panic!("{on:?} is no server of these tests"),
        };
        Self { on, proxy: Proxy::start(port), container, s3 }
    }

    fn make_container(&self) {
        match &self.s3 {
            Some(s3) => std::fs::create_dir(s3.folder().with_file_name(&self.container)).expect("a bucket"),
            None if self.on == On::Azure => Azurite::shared().make_container(&self.container),
            None => Swift::shared().make_container(&self.container),
        }
    }

    /// What a message says of the login.
    fn login(&self) -> &'static str {
        match self.on {
            On::S3 => "AWS_SECRET_ACCESS_KEY",
            On::Azure => "AZURE_STORAGE_ACCOUNT_KEY",
            _ => "ST_",
        }
    }

    fn open(&self, login: Login) -> Arc<dyn ObjectStore> {
        let (url, mut variables) = self.on.at(&self.container, self.proxy.port());
        if login == Login::Wrong {
            variables.last_mut().expect("the secret is the last").1 = WRONG.to_owned();
        }
        // The engine tries again: little patience inside of a call.
        let mut patience = patience();
        patience.answer = Duration::from_secs(5);
        patience.tries = 2;
        open_with(&url, &options(&variables, patience)).expect("opened")
    }
}

/// A secret as a person may have mistyped it; for Azure it must be in base64.
const WRONG: &str = "wrong+hush++";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    Right,
    Wrong,
}

struct Run {
    place: Place,
    directory: TempDir,
    job: Job,
    log: Arc<EmbeddedLog>,
    /// Up to where outputs were checked.
    checked: [Offset; PARTITIONS as usize],
    round: u64,
}

impl Run {
    fn new(on: On) -> Self {
        listen();
        let place = Place::start(on);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(directory.path().join("log")).expect("opened");
        let job = Job { prefix: unique("troubled") };
        job.make_topics(log.as_ref()).expect("made");
        Self { place, directory, job, log, checked: Default::default(), round: 0 }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn start(&self, login: Login) -> App {
        let mut checkpoints = CheckpointConfig::new(self.place.open(login));
        checkpoints.interval = Duration::from_millis(100);
        checkpoints.keep = 2;
        checkpoints.minimum_age = Duration::ZERO;
        let mut config = AppConfig::new(PARTITIONS);
        config.commit_interval = Duration::from_millis(20);
        config.state = StateLocation::Directory(self.state());
        config.checkpoints = Some(checkpoints);
        App::start(Arc::clone(&self.log) as _, self.job.topology(), config).expect("started")
    }

    fn stop_and_lose_the_disk(&self, app: App) {
        app.stop().expect("stopped in good order");
        std::fs::remove_dir_all(self.state()).expect("it was there");
    }

    /// More input, counted right.
    fn go_on(&mut self, app: &App) {
        self.round += 1;
        let words = Words::new(&self.job, self.round, 8);
        words.feed(self.log.as_ref(), Duration::from_millis(200)).expect("fed");
        let (calm, _) = words.calm();
        let (mut lines, mut seen) = (Lines::new(), 0);
        wait_until("the outputs of a calm run", LONG, || {
            alive(app)?;
            seen += self.read_on(&mut lines);
            if seen < words.outputs() { Err(format!("{seen} of {}", words.outputs())) } else { Ok(()) }
        });
        assert_eq!(lines, calm);
    }

    /// Adds what came since the last time; how many lines that were.
    fn read_on(&mut self, lines: &mut Lines) -> usize {
        let mut seen = 0;
        for (number, checked) in (0..).zip(&mut self.checked) {
            let at = TopicPartition::new(format!("{}-out", self.job.prefix), number);
            let end = self.log.offsets(&at, Isolation::Committed).expect("offsets").end;
            let mut reader = self.log.reader(Isolation::Committed).expect("a reader");
            reader.assign(&[(at, *checked)]).expect("assigned");
            while *checked < end {
                match reader.poll(Duration::from_millis(50)).expect("read") {
                    Event::Records(batch) => {
                        for record in (0..batch.len()).map(|index| batch.get(index)) {
                            *checked = record.offset + 1;
                            let text =
                                |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                            lines.entry(text(record.key)).or_default().push(text(record.value));
                            seen += 1;
                        }
                    }
                    Event::EndOfPartition(_, end) => *checked = (*checked).max(end),
                    _ => {}
                }
            }
        }
        seen
    }

    /// Where the changelog of each task begins.
    fn starts(&self) -> Vec<Offset> {
        let start = |number| {
            let at = TopicPartition::new(self.job.changelog(), number);
            self.log.offsets(&at, Isolation::Uncommitted).expect("offsets").start
        };
        (0..PARTITIONS).map(start).collect()
    }

    fn go_on_until(&mut self, app: &App, what: &str, holds: impl Fn(&Self, StatsSnapshot) -> bool) {
        let started = Instant::now();
        while !holds(self, app.stats()) {
            assert!(started.elapsed() < LONG, "not {what}: {:?}", app.stats());
            self.go_on(app);
        }
    }

    /// State is then in checkpoints, and nowhere else but on the disk.
    fn go_on_until_trimmed(&mut self, app: &App) {
        self.go_on_until(app, "trimmed", |run, _| !run.starts().contains(&0));
    }

    /// What this run's warnings say with these parts.
    fn told(&self, parts: &[&str]) -> Vec<String> {
        told(&[&[self.place.container.as_str(), &self.job.application()], parts].concat())
    }
}

fn alive(app: &App) -> Result<(), String> {
    if app.status() == AppStatus::Stopped { Err("the application has stopped".to_owned()) } else { Ok(()) }
}

fn every_task_comes_from_a_checkpoint(app: &App) {
    wait_until("every task to be restored", LONG, || match app.stats().checkpoint_restores {
        restores if restores == u64::from(PARTITIONS) => Ok(()),
        restores => Err(format!("{restores} of them; {:?}; {:?}", app.status(), app.restores())),
    });
}

fn undisturbed(app: &App) {
    let stats = app.stats();
    assert_eq!((stats.aborts, stats.rejoined, stats.fenced), (0, 0, 0));
}

fn a_refused_login_costs_no_commit_is_named_and_used_when_it_is_mended(on: On) {
    let mut run = Run::new(on);
    run.place.make_container();
    let app = run.start(Login::Wrong);
    run.go_on_until(&app, "refused", |_, stats| stats.checkpoint_failures >= u64::from(PARTITIONS));
    undisturbed(&app);
    assert_eq!(app.stats().checkpoints, 0);
    let lines = run.told(&["upload fails; trying again", run.place.login()]);
    assert!(!lines.is_empty(), "the variable is not named");
    app.stop().expect("stopped in good order");

    let app = run.start(Login::Right);
    run.go_on_until_trimmed(&app);
    run.stop_and_lose_the_disk(app);
    let app = run.start(Login::Wrong);
    wait_until("the restore to say why it waits", LONG, || {
        alive(&app)?;
        match run.told(&["cannot look for checkpoints", run.place.login()]).len() {
            0 => Err("nothing".to_owned()),
            _ => Ok(()),
        }
    });
    assert_eq!(app.stats().tasks, 0, "nobody begins with nothing");
    app.stop().expect("stopped in good order");
    let app = run.start(Login::Right);
    every_task_comes_from_a_checkpoint(&app);
    run.go_on(&app);
    app.stop().expect("stopped in good order");
}

fn a_missing_container_costs_no_commit_is_named_and_used_when_it_is_made(on: On) {
    let mut run = Run::new(on);
    let app = run.start(Login::Right);
    run.go_on_until(&app, "refused", |_, stats| stats.checkpoint_failures > 0);
    assert_eq!(app.stats().checkpoints, 0);
    assert!(!run.told(&["upload fails; trying again", "make it"]).is_empty(), "the way out is not named");
    run.place.make_container();
    run.go_on_until_trimmed(&app);
    undisturbed(&app);
    run.stop_and_lose_the_disk(app);
    let app = run.start(Login::Right);
    every_task_comes_from_a_checkpoint(&app);
    run.go_on(&app);
    app.stop().expect("stopped in good order");
}

fn slow_stalled_and_cut_storage_costs_no_commit_and_no_restore(on: On) {
    let mut run = Run::new(on);
    run.place.make_container();
    let app = run.start(Login::Right);
    run.go_on_until_trimmed(&app);
    for weather in [Weather::Slow, Weather::Stalled, Weather::CutRequests(1500), Weather::CutAnswers(100)] {
        let before = app.stats();
        run.place.proxy.set(weather);
        if weather == Weather::Slow {
            run.go_on_until(&app, "checkpointed", |_, stats| stats.checkpoints > before.checkpoints);
        } else {
            run.go_on_until(&app, "noticed", |_, stats| stats.checkpoint_failures > before.checkpoint_failures);
            run.go_on(&app);
        }
        undisturbed(&app);
        run.place.proxy.set(Weather::Calm);
        let during = app.stats().checkpoints;
        run.go_on_until(&app, "checkpointed again", |_, stats| stats.checkpoints > during);
    }
    run.stop_and_lose_the_disk(app);
    run.place.proxy.set(Weather::CutAnswers(100));
    let app = run.start(Login::Right);
    wait_until("the restore to meet it", LONG, || match run.told(&["trying again", "cannot look for"]).len() {
        0 => Err("nothing was told"),
        _ => Ok(()),
    });
    run.place.proxy.set(Weather::Slow);
    every_task_comes_from_a_checkpoint(&app);
    run.place.proxy.set(Weather::Calm);
    run.go_on(&app);
    app.stop().expect("stopped in good order");
}
