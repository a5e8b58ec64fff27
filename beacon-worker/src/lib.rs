//! The alert pipeline: alerts in; states, decisions and notifications out.
//!
//! A job on `beacon-core`. It follows each alert ([`pipeline`]: track), groups alerts by the plan, and decides what each
//! receiver is told (notify). The decisions themselves are pure functions in [`decide`]. It deliberately talks to nobody:
//! alerts come from a topic, notifications go to one.

pub mod command;
pub mod decide;
pub mod pipeline;

use std::sync::Arc;

use anyhow::Context;
use beacon_core::log::Log;
use beacon_core::runtime::{App, AppConfig};
use beacon_proto::topics::Topics;

/// Starts the pipeline over a log; see [`App`] for watching and stopping it.
///
/// # Errors
/// When threads cannot be started; what goes wrong later shows in [`App::wait`].
pub fn start(log: Arc<dyn Log>, topics: &Topics, mut config: AppConfig) -> anyhow::Result<App> {
    let topology = pipeline::topology(topics).context("the pipeline's topology")?;
    config.topics = topics.specs(config.partitions);
    Ok(App::start(log, topology, config)?)
}
