//! The two worker processes, their broker and their storage, and the acts of a plan done to them.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use beacon_core::checkpoint::ObjectStore;
use beacon_core::checkpoint::storage::open_with;
use scenari::kafka::Kafka;
use scenari::process::{Launch, Process};
use scenari::proxy::{Proxy, Weather};
use scenari::s3::{BUCKET, S3};
use scenari::wait::try_until;

use crate::job::Job;
use crate::plan::{Act, Worker};
use crate::worker;

const SIGTERM: i32 = 15;

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
    running: HashMap<Worker, Process>,
    // Dropped after the processes: a failed round shows what they wrote there.
    directory: tempfile::TempDir,
}

impl Stage {
    /// Starts the broker; workers are started by [`Act::Start`].
    pub fn set(job: &Job, settings: &[(&str, &str)]) -> Result<Self> {
        let kafka = Kafka::own();
        let s3 = S3::start();
        let way_to_s3 = Proxy::start(s3.port());
        let storage = url(way_to_s3.port());
        let directory = tempfile::Builder::new().prefix("beacon-chaos-").tempdir().context("a temporary directory")?;
        let launches = [Worker::A, Worker::B]
            .into_iter()
            .map(|who| {
                let state = Self::state_of(directory.path().into(), who);
                let launch = worker::launch(kafka.bootstrap(), &storage, job, who, &state, directory.path())?;
                Ok((who, settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value))))
            })
            .collect::<Result<_>>()?;
        Ok(Self { kafka, s3, way_to_s3, directory, launches, running: HashMap::new() })
    }

    /// The checkpoints, whatever the weather is between them and the workers.
    pub fn storage(&self) -> Result<Arc<dyn ObjectStore>> {
        Ok(open_with(&url(self.s3.port()), &worker::storage_options())?)
    }

    fn state_of(directory: PathBuf, who: Worker) -> PathBuf {
        directory.join(format!("state-{who:?}"))
    }

    /// Does one thing.
    pub fn act(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Start(who) => drop(self.running.insert(who, self.launches[&who].start()?)),
            Act::Kill(who) => {
                self.alive(who)?;
                // Dropped after the kill; its output is of no interest.
                self.process(who)?.kill9();
                self.running.remove(&who);
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

    /// No worker may have ended by itself.
    pub fn all_alive(&mut self) -> Result<()> {
        [Worker::A, Worker::B].into_iter().try_for_each(|who| self.alive(who))
    }

    /// Stops both workers in good order.
    pub fn close(&mut self) -> Result<()> {
        [Worker::A, Worker::B].into_iter().try_for_each(|who| self.act(Act::Stop(who)))
    }
}
