//! The other process: this test program again, running the job until SIGTERM.

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use beacon_core::checkpoint::storage::{StorageOptions, Variables, open_with};
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::runtime::{App, AppStatus, Membership, StateLocation};
use scenari::process::Launch;
use scenari::s3::S3;

use crate::job::Job;
use crate::plan::{SESSION, Setting, Worker};

/// What a worker says when it can be asked to stop; before, SIGTERM ends it as it does any process.
pub const LISTENING: &str = "listens to signals";

/// What a worker says when it has tasks and all of them run.
pub const WORKING: &str = "all tasks run";

/// What it says before the number of its warm standby copies, whenever that has changed.
pub const COPIES: &str = "standby copies: ";

/// What the engine says when a task's files come from a checkpoint.
pub const FROM_A_CHECKPOINT: &str = "restoring from a checkpoint";

const BOOTSTRAP: &str = "CHAOS_BOOTSTRAP";
const PREFIX: &str = "CHAOS_PREFIX";
const INSTANCE: &str = "CHAOS_INSTANCE";
const STATE: &str = "CHAOS_STATE";
const STORAGE: &str = "CHAOS_STORAGE";
const THREADS: &str = "CHAOS_THREADS";
const DYNAMIC: &str = "CHAOS_DYNAMIC";
const STANDBYS: &str = "CHAOS_STANDBYS";

/// How to start a worker. Worker B has two threads: what moves between threads of one process moves, too.
pub fn launch(bootstrap: &str, storage: &str, job: &Job, who: Worker, state: &Path, logs: &Path) -> Result<Launch> {
    let program = env::current_exe().context("this test program")?;
    Ok(Launch::new(format!("worker-{}", instance(who)), program, logs)
        .args(["--exact", "worker::works_until_told", "--ignored", "--nocapture"])
        .env(BOOTSTRAP, bootstrap)
        .env(STORAGE, storage)
        .env(PREFIX, &job.prefix)
        .env(INSTANCE, instance(who))
        .env(STATE, state)
        .env(THREADS, threads(who).to_string()))
}

/// What its sessions are named after.
pub fn instance(who: Worker) -> &'static str {
    match who {
        Worker::A => "a",
        Worker::B => "b",
    }
}

/// How many stream threads it has.
pub fn threads(who: Worker) -> u32 {
    match who {
        Worker::A => 1,
        Worker::B => 2,
    }
}

/// The same worker, set like this.
pub fn set(launch: Launch, setting: Setting) -> Launch {
    launch.env(DYNAMIC, setting.dynamic.to_string()).env(STANDBYS, setting.standbys.to_string())
}

/// The login, and so little patience that an outage is met by the engine and not hidden inside of one call.
pub fn storage_options() -> StorageOptions {
    let mut options = StorageOptions::default();
    options.variables = Variables::only(S3::variables());
    options.patience.connect = Duration::from_secs(1);
    options.patience.answer = Duration::from_secs(1);
    options.patience.tries = 2;
    options.patience.first_wait = Duration::from_millis(50);
    options
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn works_until_told() {
    let Ok(bootstrap) = env::var(BOOTSTRAP) else { return };
    let variable = |name: &str| env::var(name).expect("set by the parent");
    tracing_subscriber::fmt().with_ansi(false).init();
    let job = Job { prefix: variable(PREFIX) };
    let storage = open_with(&variable(STORAGE), &storage_options()).expect("a valid address");
    let mut config = job.config(storage);
    config.instance = variable(INSTANCE);
    config.threads = variable(THREADS).parse().expect("a number");
    let dynamic: bool = variable(DYNAMIC).parse().expect("true or false");
    config.membership = if dynamic { Membership::Dynamic } else { Membership::Static };
    config.standbys = variable(STANDBYS).parse().expect("a number");
    config.state = StateLocation::Directory(variable(STATE).into());
    config.session_timeout = SESSION;
    config.transaction_timeout = SESSION;
    let log = connect(&bootstrap);
    let app = App::start(log, job.topology(), config).expect("started");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut told = tokio::signal::unix::signal(kind).expect("signals can be handled");
        println!("{LISTENING}");
        let (mut working, mut copies) = (false, 0);
        while app.status() != AppStatus::Stopped {
            let stats = app.stats();
            if !working && stats.tasks > 0 && stats.restoring + stats.waiting == 0 {
                working = true;
                println!("{WORKING}");
            }
            if stats.standbys != copies {
                copies = stats.standbys;
                println!("{COPIES}{copies}");
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), told.recv()).await.inspect(|_| app.request_stop());
        }
    });
    println!("{:?}", app.stats());
    app.wait().expect("it ends in good order");
}

/// A worker that starts while the broker is away waits for it.
fn connect(bootstrap: &str) -> Arc<KafkaLog> {
    loop {
        match KafkaLog::connect(KafkaConfig::new(bootstrap)) {
            Ok(log) => return log,
            Err(error) => tracing::warn!(%error, "no broker yet"),
        }
    }
}
