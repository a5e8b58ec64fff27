//! Bringing one task's state up outside of any thread: for tools.

use std::sync::Arc;
use std::time::Duration;

use super::AppConfig;
use super::environment::RealTime;
use super::restore::{self, Plan};
use super::stores::{Stores, TaskStores};
use crate::log::Log;
use crate::state::StateError;
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
    let open = || Task::new(topology, &settings, stores.open(settings.id)?);
    let mut task = open()?;
    let mut plan = restore::plan(&mut task, log.as_ref())?;
    if matches!(plan, Plan::Foreign) {
        drop(task);
        stores.wipe(settings.id)?;
        task = open()?;
        plan = restore::plan(&mut task, log.as_ref())?;
    }
    match plan {
        Plan::Current(end) => task.finish_replay(end)?,
        Plan::Replay(mut replay) => while !replay.go_on(&mut task, Duration::from_secs(1), &RealTime::new())? {},
        Plan::Foreign => return Err(StateError::Store("local state cannot be removed".into()).into()),
    }
    Ok(task)
}
