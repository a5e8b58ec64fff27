//! One Beacon installation under test: on the embedded log one process, on Kafka gateway, worker and notifier apart.
//!
//! What it deliberately does not do: it never reaches into a process. It starts them with their documented flags, speaks
//! HTTP to them, sends signals, and reads topics.
//!
//! Invariant: at any time at most one world of a test program is on stage (the second waits), because scenarios under
//! load on two cores disturb each other. So a test that needs two runs must drop the first world before the second.

mod ledger;
mod members;
mod records;
mod running;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

pub use ledger::Ledger;
pub use members::Role;

use crate::alert::{self, Alert};
use crate::binaries::workspace;
use crate::http;
use crate::kafka::Kafka;
use crate::metric;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::topic;
use crate::wait::wait_until;
use members::{Place, Shape};

/// The installation. Dropping it kills what runs; after a failed test its directory is kept, and its path printed.
pub struct World {
    shape: Shape,
    port: u16,
    config: PathBuf,
    members: Vec<Member>,
    directory: Option<TempDir>,
    _stage: MutexGuard<'static, ()>,
}

struct Member {
    role: Role,
    /// Where it serves its metrics.
    port: u16,
    launch: Launch,
    process: Option<Process>,
}

impl World {
    /// `beacon alertmanager` on an embedded log, with this `alertmanager.yml`; returns when it is ready.
    ///
    /// # Panics
    /// As all constructors: when a program is not built, or does not get ready; its output is shown.
    #[track_caller]
    pub fn embedded(config: &str) -> Self {
        Self::set_up(config, |directory| Shape::Embedded { storage: directory.join("storage") })
    }

    /// Gateway, one worker and notifier as processes of their own on the shared Kafka.
    #[track_caller]
    pub fn kafka(config: &str) -> Self {
        Self::kafka_with(Kafka::shared(), config, &[])
    }

    /// The same on a given Kafka, which the test may kill.
    #[track_caller]
    pub fn kafka_on(kafka: &Kafka, config: &str) -> Self {
        Self::kafka_with(kafka, config, &[])
    }

    /// The same with these flags for workers and notifier.
    #[track_caller]
    pub fn kafka_with(kafka: &Kafka, config: &str, flags: &[&str]) -> Self {
        let bootstrap = kafka.bootstrap().to_owned();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self::set_up(config, |directory| Shape::Kafka {
            bootstrap,
            prefix: unique_prefix(),
            states: directory.join("state"),
            flags,
        })
    }

    #[track_caller]
    fn set_up(config: &str, shape: impl FnOnce(&Path) -> Shape) -> Self {
        static STAGE: Mutex<()> = Mutex::new(());
        let stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory =
            tempfile::Builder::new().prefix("beacon-scenario-").tempdir().expect("a temporary directory can be made");
        let config_file = directory.path().join("alertmanager.yml");
        fs::write(&config_file, config).expect("the directory can be written");
        let mut world = Self {
            shape: shape(directory.path()),
            port: free_port(),
            config: config_file,
            members: Vec::new(),
            directory: Some(directory),
            _stage: stage,
        };
        world.members = world.shape.roles().into_iter().map(|role| world.member(role)).collect();
        world.start_all();
        world
    }

    fn member(&self, role: Role) -> Member {
        let port = if role == Role::Gateway { self.port } else { free_port() };
        Member { role, port, launch: self.launch(role, port), process: None }
    }

    fn launch(&self, role: Role, port: u16) -> Launch {
        let checkpoints = self.checkpoints();
        let place = Place { logs: self.directory(), config: &self.config, checkpoints: &checkpoints, port };
        self.shape.launch(role, &place)
    }

    /// The folder that checkpoints are kept in; names below it are those of objects.
    pub fn checkpoints(&self) -> PathBuf {
        self.directory().join("checkpoints")
    }

    /// Base URL of its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Base URL of what this member serves: API, or metrics only.
    ///
    /// # Panics
    /// When it is not in this world.
    #[track_caller]
    pub fn url_of(&self, role: Role) -> String {
        format!("http://127.0.0.1:{}", self.members[self.index(role)].port)
    }

    /// `host:port` of its API, as Prometheus wants an Alertmanager's.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` of each process's metrics, at `/metrics`.
    pub fn metrics(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.port)).collect()
    }

    /// What a member says of one of its metrics now: the sum over all labels; nothing while it does not answer.
    pub fn metric(&self, role: Role, name: &str) -> Option<f64> {
        metric::sum(&self.url_of(role), name)
    }

    /// Where it keeps state and configuration.
    pub fn directory(&self) -> &Path {
        self.directory.as_ref().expect("it is kept only when the world ends").path()
    }

    /// How a second process in the same place is started, with everything as the first but its port.
    pub fn rival(&self, role: Role) -> Launch {
        self.launch(role, free_port())
    }

    /// Starts one more worker process. Only on Kafka: an embedded log belongs to one process.
    #[track_caller]
    pub fn add_worker(&mut self) {
        let workers = self.members.iter().filter(|member| matches!(member.role, Role::Worker(_))).count();
        self.add(Role::Worker(u32::try_from(workers).expect("a handful of workers")));
    }

    /// Starts one more process, of a role that this world does not have yet. Only on Kafka.
    #[track_caller]
    pub fn add(&mut self, role: Role) {
        assert!(matches!(self.shape, Shape::Kafka { .. }), "an embedded log has one process");
        assert!(self.members.iter().all(|member| member.role != role), "{role:?} is there already");
        let member = self.member(role);
        self.members.push(member);
        self.start(role);
    }

    /// Posts alerts in one request, which must be answered 200: from then on they are Beacon's responsibility.
    #[track_caller]
    pub fn accept(&self, alerts: &[Alert]) {
        let answer = alert::post(&self.url(), alerts).and_then(|answer| answer.expect_status(200));
        if let Err(answer) = answer {
            panic!("{} alerts were not accepted: {answer}", alerts.len());
        }
    }

    /// Posts alerts in one request; true when they were answered 200, false when the request must be sent again.
    ///
    /// # Panics
    /// When they were refused (4xx): sending them again would not help.
    #[track_caller]
    pub fn offer(&self, alerts: &[Alert]) -> bool {
        match alert::post(&self.url(), alerts) {
            Ok(answer) if answer.status == 200 => true,
            Ok(answer) if (400..500).contains(&answer.status) => panic!("refused: {answer}"),
            Ok(_) | Err(_) => false,
        }
    }

    /// Removes the disk that a member keeps its state on, as if its machine had burnt. On the embedded log the log is on
    /// another one.
    ///
    /// # Panics
    /// When the member runs, or has no state.
    #[track_caller]
    pub fn lose_disk(&mut self, role: Role) {
        assert!(self.process(role).ended().is_some(), "{role:?} runs on the disk that it is to lose");
        let state = self.shape.state(role).unwrap_or_else(|| panic!("{role:?} keeps no state"));
        match fs::remove_dir_all(&state) {
            // On the embedded log all share one.
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("cannot remove {}: {error}", state.display()),
            _ => {}
        }
    }

    /// For each task of an application (its name without prefix), how many checkpoints of it there are.
    pub fn checkpoints_of(&self, application: &str) -> Vec<usize> {
        let partitions: u32 = members::PARTITIONS.parse().expect("a number");
        let histories = self.checkpoints().join(self.name(application));
        let count = |task: u32| -> usize {
            let histories = fs::read_dir(&histories).into_iter().flatten().flatten();
            let manifests = histories.flat_map(|history| {
                fs::read_dir(history.path().join(format!("task-{task}/manifests"))).into_iter().flatten().flatten()
            });
            manifests.filter(|entry| !entry.file_name().to_string_lossy().contains(".part")).count()
        };
        (0..partitions).map(count).collect()
    }

    /// Runs `beacon app` on this installation's log, with these arguments. On the embedded log its process must be stopped.
    ///
    /// # Panics
    /// When the program is not built.
    #[track_caller]
    pub fn app(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(workspace("beacon"));
        command
            .env_remove("KAFKA_BOOTSTRAP_SERVERS")
            .env_remove("BEACON_TOPIC_PREFIX")
            .env_remove("BEACON_CHECKPOINTS");
        command.arg("app").args(arguments);
        match &self.shape {
            Shape::Embedded { storage } => command.arg("--data.dir").arg(storage),
            Shape::Kafka { bootstrap, prefix, .. } => {
                command.args(["--kafka.bootstrap-servers", bootstrap]).args(["--topic-prefix", prefix])
            }
        };
        command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
    }

    /// The folder of its checkpoints as the flag `--checkpoints` takes it.
    pub fn checkpoints_url(&self) -> String {
        format!("file://{}", self.checkpoints().display())
    }

    /// Waits until the API shows `count` active alerts.
    #[track_caller]
    pub fn wait_for_active_alerts(&self, count: usize, timeout: Duration) {
        wait_until(&format!("{count} active alerts in the API"), timeout, || {
            let answer = http::get(&format!("{}/api/v2/alerts", self.url()))?.expect_status(200)?;
            let found = answer.json::<Vec<serde_json::Value>>().len();
            crate::wait::same(found, count)
        });
    }

    fn index(&self, role: Role) -> usize {
        let wanted = self.shape.played_by(role);
        self.members
            .iter()
            .position(|member| member.role == wanted)
            .unwrap_or_else(|| panic!("there is no {role:?} in this world"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failing = thread::panicking();
        // Dropping a process prints its last words when the test is failing.
        self.members.clear();
        if failing {
            if let Some(directory) = self.directory.take() {
                eprintln!("---- all output, state and configuration of this run: {} ----", directory.keep().display());
            }
        } else if let Shape::Kafka { bootstrap, prefix, .. } = &self.shape
            && let Err(error) = topic::delete_kafka(bootstrap, prefix)
        {
            // The broker may be dead by the scenario's own doing; then its topics die with it.
            eprintln!("topics {prefix}* stay on {bootstrap}: {error:#}");
        }
    }
}

/// Differs between runs, also those of other programs on the same Kafka.
fn unique_prefix() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    format!("scenario-{}-{}.", now.as_micros(), std::process::id())
}
