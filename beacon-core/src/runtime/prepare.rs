//! Before the first thread starts: topics are there, and fit the topology.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::app::{AppError, Shared};
use super::environment::Environment;
use super::{AppConfig, StateLocation};
use crate::log::{CleanupPolicy, Log, LogError, LogErrorKind, TopicDescription, TopicSpec};
use crate::topology::{SourceSpec, Topology};

/// Checks and makes topics, waiting for a log that is away. `false`: asked to stop meanwhile.
pub(super) fn prepare_patiently(
    log: &dyn Log,
    topology: &Topology,
    config: &AppConfig,
    shared: &Shared,
    environment: &dyn Environment,
) -> Result<bool, AppError> {
    let mut wait = Duration::from_millis(100);
    while !shared.stop.load(Ordering::Acquire) {
        match prepare(log, topology, config) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == LogErrorKind::Retriable => {
                tracing::warn!(%error, application = topology.application(), "log is away; trying again");
                environment.wait(wait);
                wait = (wait * 2).min(Duration::from_secs(2));
            }
            Err(source) => return Err(AppError::Log { application: topology.application().into(), source }),
        }
    }
    Ok(false)
}

pub(super) fn prepare(log: &dyn Log, topology: &Topology, config: &AppConfig) -> Result<(), LogError> {
    let maintenance = topology.maintenance_topic();
    if log.describe_topic(&maintenance)?.is_some() {
        let message = format!(
            "a tool is at work on application `{}`, or was killed (topic {maintenance}): call it again to finish its work",
            topology.application()
        );
        return Err(LogError::new(LogErrorKind::Configuration, message));
    }
    if !config.topics.is_empty() {
        log.create_topics(&config.topics)?;
    }
    for source in topology.sources() {
        let topic = existing(log, &source.topic, || format!("source `{}` reads", source.name))?;
        check_partitions(source, &topic, config)?;
    }
    for (name, topic) in topology.sinks() {
        existing(log, topic, || format!("sink `{name}` writes"))?;
    }
    if let Some(topic) = topology.dead_letters() {
        existing(log, topic, || "dead letters go to".to_owned())?;
    }
    log.create_topics(&internal_topics(topology, config.partitions))?;
    if let StateLocation::Directory(directory) = &config.state {
        std::fs::create_dir_all(directory).map_err(|error| {
            LogError::new(LogErrorKind::Configuration, format!("state directory {}: {error}", directory.display()))
        })?;
    }
    Ok(())
}

/// The topics that the engine makes for an application: those between its steps, and its changelog. All of them keep their
/// records until they are trimmed, for however long the application sleeps.
pub fn internal_topics(topology: &Topology, partitions: u32) -> Vec<TopicSpec> {
    let cleanup = CleanupPolicy::Delete { retention: None };
    let spec = |name: &str| TopicSpec { name: name.to_owned(), partitions, cleanup };
    let between = topology.internal_topics().iter();
    between.map(|topic| spec(&topic.name)).chain([spec(&topology.changelog())]).collect()
}

/// The topic, or an error that begins with `who` needs it.
fn existing(log: &dyn Log, topic: &str, who: impl Fn() -> String) -> Result<TopicDescription, LogError> {
    log.describe_topic(topic)?.ok_or_else(|| {
        let message = format!("{} topic {topic}, which does not exist; create it first", who());
        LogError::new(LogErrorKind::UnknownTopic, message)
    })
}

/// Another partition count than the application's is good for stateless steps only.
fn check_partitions(source: &SourceSpec, topic: &TopicDescription, config: &AppConfig) -> Result<(), LogError> {
    let why = if source.copartitioned {
        "relies on its key: use `key_by`"
    } else if source.event_time.is_some() {
        // Its partitions are read by tasks without state, and the tasks with state would wait for it for ever.
        "drives event time, which only tasks with state have: leave `with_event_time` out"
    } else {
        return Ok(());
    };
    if topic.partitions == config.partitions {
        return Ok(());
    }
    Err(LogError::new(
        LogErrorKind::Mismatch,
        format!(
            "topic {} has {} partitions, the application has {}; source `{}` {why}, or give both the same count",
            source.topic, topic.partitions, config.partitions, source.name
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Topic, TopologyBuilder};

    #[test]
    fn an_application_that_sleeps_for_years_loses_nothing_between_its_steps() {
        let app = TopologyBuilder::new("a");
        app.source("in", &Topic::<String>::new("t")).key_by("anew", Clone::clone);
        let specs = internal_topics(&app.build().expect("valid"), 4);
        assert_eq!(specs.len(), 2);
        assert!(specs.iter().all(|spec| spec.cleanup == CleanupPolicy::Delete { retention: None }), "{specs:?}");
    }
}
