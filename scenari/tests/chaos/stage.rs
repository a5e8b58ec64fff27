//! The two worker processes, their broker and their storage, and the acts of a plan done to them.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use beacon_core::checkpoint::ObjectStore;
use beacon_core::checkpoint::storage::open_with;
use beacon_core::log::Log;
use scenari::kafka::Kafka;
use scenari::process::{Launch, Process};
use scenari::proxy::{Proxy, Weather};
use scenari::s3::{BUCKET, S3};
use scenari::wait::try_until;

use crate::job::Job;
use crate::plan::{Act, Setting, Worker};
use crate::worker;

const SIGTERM: i32 = 15;

/// Both of them.
pub const WORKERS: [Worker; 2] = [Worker::A, Worker::B];

/// How long a worker may take to end in good order, with a broker that has just come back.
const ENDS_WITHIN: Duration = Duration::from_secs(40);

/// How long one may take to begin.
const WORKS_WITHIN: Duration = Duration::from_secs(40);

/// Where an S3 server on this port has the checkpoints.
fn url(port: u16) -> String {
    format!("s3://{BUCKET}/chaos?endpoint=http://127.0.0.1:{port}")
}

/// A broker of its own, two workers, and an S3 server for their checkpoints with a proxy in front of it.
pub struct Stage {
    pub kafka: Kafka,
    s3: S3,
    way_to_s3: Proxy,
    launches: HashMap<Worker, Launch>,
    settings: HashMap<Worker, Setting>,
    running: HashMap<Worker, Process>,
    /// Tasks that workers which have ended brought up from a checkpoint, copies included.
    restored: usize,
    // Dropped after the processes: a failed round shows what they wrote there.
    directory: tempfile::TempDir,
}

impl Stage {
    /// Starts the broker; workers are started by [`Act::Start`].
    pub fn set(job: &Job) -> Result<Self> {
        let kafka = Kafka::own();
        let s3 = S3::start();
        let way_to_s3 = Proxy::start(s3.port());
        let storage = url(way_to_s3.port());
        let directory = tempfile::Builder::new().prefix("beacon-chaos-").tempdir().context("a temporary directory")?;
        let launches = WORKERS
            .into_iter()
            .map(|who| {
                let state = Self::state_of(directory.path().into(), who);
                Ok((who, worker::launch(kafka.bootstrap(), &storage, job, who, &state, directory.path())?))
            })
            .collect::<Result<_>>()?;
        let (settings, running) = (HashMap::new(), HashMap::new());
        Ok(Self { kafka, s3, way_to_s3, directory, launches, settings, running, restored: 0 })
    }

    /// The checkpoints, whatever the weather is between them and the workers.
    pub fn storage(&self) -> Result<Arc<dyn ObjectStore>> {
        Ok(open_with(&url(self.s3.port()), &worker::storage_options())?)
    }

    /// Copies what everybody has written, data and output of each start, into a directory: for whoever looks for a cause.
    ///
    /// # Errors
    /// They cannot be copied.
    pub fn keep(&self, into: &Path) -> Result<()> {
        std::fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
        let directories = [Some(self.directory.path().to_owned()), self.kafka.directory()];
        let copied = Command::new("cp").arg("-a").args(directories.into_iter().flatten()).arg(into).status()?;
        ensure!(copied.success(), "cp -a into {}: {copied}", into.display());
        Ok(())
    }

    fn state_of(directory: PathBuf, who: Worker) -> PathBuf {
        directory.join(format!("state-{who:?}"))
    }

    /// Does one thing.
    pub fn act(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Start(who) => {
                let setting = self.settings.get(&who).copied().unwrap_or_default();
                let process = worker::set(self.launches[&who].clone(), setting).start()?;
                self.running.insert(who, process);
            }
            Act::Kill(who) => {
                self.alive(who)?;
                let mut process = self.running.remove(&who).context("it was running")?;
                process.kill9();
                self.restored += restored(&process);
            }
            Act::Empty(who) => {
                let state = Self::state_of(self.directory.path().into(), who);
                if state.exists() {
                    std::fs::remove_dir_all(&state).with_context(|| format!("removing {}", state.display()))?;
                }
            }
            Act::Stop(who) => {
                self.alive(who)?;
                let mut process = self.running.remove(&who).context("it was running")?;
                let listened = process.output().contains(worker::LISTENING);
                let status = process.terminate(ENDS_WITHIN);
                // One that has just been started, or waits for a broker, cannot be asked yet.
                let too_early = !listened && status.signal() == Some(SIGTERM);
                ensure!(status.success() || too_early, "worker {who:?} ended with {status}\n{}", process.tail());
                self.restored += restored(&process);
            }
            Act::Freeze(who) => self.process(who)?.freeze(),
            Act::Thaw(who) => self.process(who)?.thaw(),
            Act::KillBroker => self.kafka.kill9(),
            Act::StartBroker => self.kafka.restart(),
            Act::FreezeBroker => self.kafka.pause(),
            Act::ThawBroker => self.kafka.resume(),
            Act::SpoilStorage(weather) => self.way_to_s3.set(weather),
            Act::MendStorage => self.way_to_s3.set(Weather::Calm),
        }
        Ok(())
    }

    fn process(&mut self, who: Worker) -> Result<&mut Process> {
        self.running.get_mut(&who).with_context(|| format!("worker {who:?} does not run"))
    }

    fn alive(&mut self, who: Worker) -> Result<()> {
        let process = self.process(who)?;
        match process.ended() {
            None => Ok(()),
            // A fence, a loss, a broker away: none of them may end a process.
            Some(status) => anyhow::bail!("worker {who:?} ended by itself: {status}\n{}", process.tail()),
        }
    }

    /// Waits until a worker has its share of the tasks, restored.
    pub fn wait_until_working(&mut self, who: Worker) -> Result<()> {
        let process = self.process(who)?;
        try_until(&format!("worker {who:?} to work"), WORKS_WITHIN, || {
            if process.output().contains(worker::WORKING) { Ok(()) } else { Err("it does not say so") }
        })
        .map_err(|message| anyhow::anyhow!("{message}\n{}", process.tail()))
    }

    /// Waits until the two workers have warm copies of this many tasks between them.
    pub fn wait_until_copied(&mut self, tasks: u32) -> Result<()> {
        let running = &self.running;
        let copies = |process: &Process| {
            let said = process.output().lines().rev().find_map(|line| line.strip_prefix(worker::COPIES)?.parse().ok());
            said.unwrap_or(0)
        };
        try_until(&format!("copies of {tasks} tasks"), WORKS_WITHIN, || {
            let found: u32 = running.values().map(copies).sum();
            if found >= tasks { Ok(()) } else { Err(format!("there are {found}")) }
        })
        .map_err(|message| anyhow::anyhow!(message))
    }

    /// Sets workers A and B like this from now on: who is set otherwise is restarted, who does not run is started.
    pub fn set_workers(&mut self, log: &dyn Log, group: &str, settings: [Setting; 2]) -> Result<()> {
        let wanted: HashMap<_, _> = WORKERS.into_iter().zip(settings).collect();
        // One group takes all its members in one way: the old ones must be gone, the ghosts of those it knows by name, too.
        let another_way =
            WORKERS.iter().any(|who| self.settings.get(who).is_some_and(|old| old.dynamic != wanted[who].dynamic));
        for who in WORKERS {
            if self.running.contains_key(&who) && (another_way || self.settings.get(&who) != wanted.get(&who)) {
                self.act(Act::Stop(who))?;
            }
        }
        if another_way {
            try_until("the group to be empty", WORKS_WITHIN, || match log.members(group) {
                Ok(members) if members.is_empty() => Ok(()),
                Ok(members) => Err(format!("{members:?} are in it")),
                Err(error) => Err(error.to_string()),
            })
            .map_err(|message| anyhow::anyhow!(message))?;
        }
        self.settings = wanted;
        for who in WORKERS {
            if !self.running.contains_key(&who) {
                self.act(Act::Start(who))?;
            }
        }
        Ok(())
    }

    /// Waits until each thread of both workers is a member of their group.
    pub fn wait_until_all_are_members(&self, log: &dyn Log, group: &str) -> Result<()> {
        let threads = WORKERS.into_iter().flat_map(|who| (0..worker::threads(who)).map(move |thread| (who, thread)));
        let wanted: Vec<_> =
            threads.map(|(who, thread)| format!("{group}-{}-{thread}", worker::instance(who))).collect();
        try_until("every thread to be a member", WORKS_WITHIN, || {
            let members = log.members(group).map_err(|error| error.to_string())?;
            let is_there = |thread: &String| members.iter().any(|member| member.ends_with(thread.as_str()));
            if wanted.iter().all(is_there) { Ok(()) } else { Err(format!("{members:?} are")) }
        })
        .map_err(|message| {
            let tails: Vec<_> = self.running.values().map(Process::tail).collect();
            anyhow::anyhow!("{message}\n{}", tails.join("\n"))
        })
    }

    /// Takes both workers' disks from them, so that all there is comes back from where it was kept; how many tasks workers
    /// restored from checkpoints, before and now.
    pub fn begin_anew(&mut self) -> Result<usize> {
        for who in WORKERS {
            self.act(Act::Kill(who))?;
            self.act(Act::Empty(who))?;
        }
        for who in WORKERS {
            self.act(Act::Start(who))?;
        }
        WORKERS.into_iter().try_for_each(|who| self.wait_until_working(who))?;
        Ok(self.restored + self.running.values().map(restored).sum::<usize>())
    }

    /// No worker may have ended by itself.
    pub fn all_alive(&mut self) -> Result<()> {
        WORKERS.into_iter().try_for_each(|who| self.alive(who))
    }

    /// Stops both workers in good order.
    pub fn close(&mut self) -> Result<()> {
        WORKERS.into_iter().try_for_each(|who| self.act(Act::Stop(who)))
    }
}

/// How often a worker has begun from a checkpoint.
fn restored(process: &Process) -> usize {
    process.output().matches(worker::FROM_A_CHECKPOINT).count()
}
