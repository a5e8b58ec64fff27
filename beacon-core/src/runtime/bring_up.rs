//! Bringing one task's state up outside of any thread: for tools.

use std::sync::Arc;
use std::time::Duration;

use super::AppConfig;
use super::checkpointing::{Fetch, Fetched, Wanted};
use super::environment::{Environment, RealTime};
use super::progress::Progress;
use super::removal::Removals;
use super::restore::{self, Plan};
use super::stores::{Stores, TaskStores};
use crate::checkpoint::TaskObjects;
use crate::log::{Log, Offset, TopicPartition};
use crate::state::{StateError, Store};
use crate::task::{Task, TaskError, TaskId, TaskSettings};
use crate::topology::Topology;

/// Opens a task where the application keeps its state and reads the changelog to its end, as a thread would at a start.
/// For an application of `partitions` partitions that nobody runs meanwhile.
///
/// # Errors
/// Those of log and store; [`StateError::Locked`] when a process has the task open.
pub fn bring_up(
    log: &Arc<dyn Log>,
    topology: &Topology,
    config: &AppConfig,
    partitions: u32,
    number: u32,
) -> Result<Task, TaskError> {
    let stores = Stores::new(topology.application(), config);
    let settings = TaskSettings { id: TaskId::Keyed(number), partitions };
    let mut removals = Removals::default();
    let mut task = removals.open(topology, &settings, &stores)?;
    let mut plan = restore::plan(&mut task, log.as_ref())?;
    if let Plan::Unusable(why) = &plan {
        drop(task);
        removals.remove(settings.id, why, &stores)?;
        task = removals.open(topology, &settings, &stores)?;
        plan = restore::plan(&mut task, log.as_ref())?;
    }
    if let Plan::Lacking(lack) = &plan {
        let changelog = task.changelog().clone();
        drop(task);
        let fetched = fetch(log, config, &stores, (topology.application(), partitions, number), changelog)?;
        let (store, offset) = fetched.map_err(|passed_over| lack.refuse(&passed_over))?;
        task = restore::over_checkpoint(topology, &settings, store, offset)?;
        plan = restore::plan(&mut task, log.as_ref())?;
    }
    match plan {
        Plan::Current(end) => task.finish_replay(end)?,
        Plan::Replay(mut replay) => while !replay.go_on(&mut task, Duration::from_secs(1), &RealTime::new())? {},
        Plan::Unusable(_) => {
            let reason = "local state cannot be removed, or the newest checkpoint belongs to another changelog";
            return Err(StateError::Store(reason.into()).into());
        }
        Plan::Lacking(lack) => return Err(lack.refuse(&["it was trimmed meanwhile".to_owned()]).into()),
    }
    Ok(task)
}

/// Brings the newest valid checkpoint of a task to where the application keeps its state, replacing what is there, and opens
/// it: the first half of a restore. Returns the changelog offset it is of, or why each checkpoint was passed over.
///
/// # Errors
/// Those of log and store; a store that holds another offset than its manifest says.
pub fn fetch_checkpoint(
    log: &Arc<dyn Log>,
    topology: &Topology,
    config: &AppConfig,
    partitions: u32,
    number: u32,
) -> Result<Result<Offset, Vec<String>>, TaskError> {
    let stores = Stores::new(topology.application(), config);
    let changelog = TopicPartition::new(topology.changelog(), number);
    let fetched = fetch(log, config, &stores, (topology.application(), partitions, number), changelog)?;
    let (store, offset) = match fetched {
        Ok(fetched) => fetched,
        Err(passed_over) => return Ok(Err(passed_over)),
    };
    restore::over_checkpoint(topology, &TaskSettings { id: TaskId::Keyed(number), partitions }, store, offset)?;
    Ok(Ok(offset))
}

/// A store of this changelog offset, or why each checkpoint was passed over.
type Brought = Result<(Box<dyn Store>, Offset), Vec<String>>;

/// Brings the newest checkpoint's files, and waits for them.
fn fetch(
    log: &Arc<dyn Log>,
    config: &AppConfig,
    stores: &Stores,
    (application, partitions, number): (&str, u32, u32),
    changelog: TopicPartition,
) -> Result<Brought, TaskError> {
    let Some(checkpoints) = &config.checkpoints else {
        return Ok(Err(vec!["no checkpoints are set".to_owned()]));
    };
    let history = log.topic_id(&changelog.topic)?;
    let wanted = Wanted {
        config: checkpoints.clone(),
        log: Arc::clone(log),
        objects: TaskObjects { application: application.to_owned(), task: number, history },
        partitions,
        changelog,
        intake: stores.intake(TaskId::Keyed(number))?,
        progress: Arc::new(Progress::default()),
    };
    let environment = RealTime::new();
    let fetch = Fetch::start(wanted, &environment)?;
    loop {
        match fetch.outcome()? {
            Fetched::Pending => environment.wait(Duration::from_millis(20)),
            Fetched::Store { store, offset, .. } => return Ok(Ok((store, offset))),
            Fetched::Nothing { reasons, .. } => return Ok(Err(reasons)),
        }
    }
}
