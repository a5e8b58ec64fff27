//! `kill -9` of the tool that changes the partition count: before each of its steps, and in the middle of each. Called again it
//! goes on, and nobody can tell from what comes of it.
//!
//! A moment is before a step, or before anything that the tool changes in the log. `BEACON_RESCALE_MOMENTS=all` kills it at
//! every one of them, some minutes long.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use beacon_core::log::{
    AppendDone, Appender, Isolation, Log, LogError, Offset, OffsetRange, Reader, Record, Session, SessionConfig,
    TopicDescription, TopicPartition, TopicSpec,
};
use beacon_core::tools::{self, Rescale, ToolError};

use super::rescale::in_directory;
use crate::support::children::{Other, say, wait_for_parent};

const DIRECTORY: &str = "BEACON_TEST_DIRECTORY";
const MOMENT: &str = "BEACON_TEST_MOMENT";
const ALL: &str = "BEACON_RESCALE_MOMENTS";
const HERE: &str = "THE MOMENT HAS COME";

/// What has happened so far, and when to stand still.
#[derive(Default)]
struct Moments {
    so_far: Mutex<Vec<Moment>>,
    last: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Moment {
    Step(String),
    Change(String),
}

impl Moments {
    fn comes(&self, moment: Moment) {
        let mut so_far = self.so_far.lock().expect("no panic under it");
        if self.last == Some(so_far.len()) {
            say(HERE);
            // Killed here.
            wait_for_parent();
        }
        so_far.push(moment);
    }

    fn change(&self, what: impl Into<String>) {
        self.comes(Moment::Change(what.into()));
    }
}

/// A log whose changes are moments.
struct Watched {
    inner: Arc<dyn Log>,
    moments: Arc<Moments>,
}

impl Log for Watched {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.moments.change(format!("make {:?}", topics.iter().map(|topic| &topic.name).collect::<Vec<_>>()));
        self.inner.create_topics(topics)
    }

    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.inner.list_topics()
    }

    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        self.inner.describe_topic(topic)
    }

    fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        self.inner.offsets(partition, isolation)
    }

    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        self.inner.committed(group, topics)
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.moments.change(format!("trim {partition}"));
        self.inner.trim(partition, before)
    }

    fn topic_id(&self, topic: &str) -> Result<Option<String>, LogError> {
        self.inner.topic_id(topic)
    }

    fn delete_topics(&self, topics: &[&str]) -> Result<(), LogError> {
        self.moments.change(format!("delete {topics:?}"));
        self.inner.delete_topics(topics)
    }

    fn members(&self, group: &str) -> Result<Vec<String>, LogError> {
        self.inner.members(group)
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.moments.change(format!("set offsets of {group}"));
        self.inner.set_committed(group, offsets)
    }

    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError> {
        self.inner.session(config)
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>, LogError> {
        self.inner.reader(isolation)
    }

    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        Ok(Box::new(WatchedAppender { inner: self.inner.appender()?, moments: Arc::clone(&self.moments) }))
    }
}

struct WatchedAppender {
    inner: Box<dyn Appender>,
    moments: Arc<Moments>,
}

impl Appender for WatchedAppender {
    fn append(&self, records: Vec<Record>, done: AppendDone) {
        let topic = records.first().map(|record| record.topic.to_string()).unwrap_or_default();
        self.moments.change(format!("append to {topic}"));
        self.inner.append(records, done);
    }
}

/// From four to eight; the moments it had.
fn rescale(directory: &Path, last: Option<usize>) -> Result<Vec<Moment>, ToolError> {
    let rig = in_directory(directory);
    let moments = Arc::new(Moments { last, ..Moments::default() });
    let log: Arc<dyn Log> = Arc::new(Watched { inner: Arc::clone(&rig.log), moments: Arc::clone(&moments) });
    let topology = rig.topology();
    let applications = vec![(&topology, rig.config(4))];
    let plan = Rescale { applications, topics: rig.specs(8), readers: Vec::new(), to: 8 };
    tools::rescale(&log, &plan, &mut |step| moments.comes(Moment::Step(step.to_string())))?;
    let so_far = moments.so_far.lock().expect("no panic under it").clone();
    Ok(so_far)
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let moment = std::env::var(MOMENT).expect("set by the parent").parse().expect("a number");
    rescale(Path::new(&directory), Some(moment)).expect("rescaled");
}

/// Each step, and the change in the middle of it; those before the first step and after the last one, which begin and close
/// the journal, too.
fn chosen(moments: &[Moment]) -> Vec<usize> {
    if std::env::var(ALL).is_ok_and(|all| all == "all") {
        return (0..moments.len()).collect();
    }
    let is_step = |index: &usize| matches!(moments[*index], Moment::Step(_));
    let mut begins: Vec<usize> = (0..moments.len()).filter(is_step).collect();
    begins.push(moments.len());
    let middles = begins.windows(2).map(|step| step[0].midpoint(step[1] + 1));
    let mut chosen: Vec<usize> = begins.iter().copied().chain(middles).chain(0..begins[0]).collect();
    // The last one is that the journal is gone, before it all that tidies up.
    chosen.extend(moments.len().saturating_sub(3)..moments.len());
    chosen.retain(|index| *index < moments.len());
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// All of a directory, once more.
fn copied(from: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(directory.path()).status().expect("cp runs");
    assert!(done.success(), "cp: {done}");
    directory
}

#[test]
fn a_rescale_killed_at_any_step_goes_on_when_it_is_called_again() {
    let before = tempfile::tempdir().expect("a temporary directory");
    in_directory(before.path()).run_phase(4, 0);
    let undisturbed = copied(before.path());
    let moments = rescale(undisturbed.path(), None).expect("rescaled");
    in_directory(undisturbed.path()).check(8, 1);
    let steps = moments.iter().filter(|moment| matches!(moment, Moment::Step(_))).count();
    let chosen = chosen(&moments);
    println!("{} of {} moments, {steps} steps", chosen.len(), moments.len());
    for moment in chosen {
        let place = format!("killed at moment {moment}, {:?}", moments[moment]);
        println!("{place}");
        let directory = copied(before.path());
        let path = directory.path().to_str().expect("text").to_owned();
        let variables = [(DIRECTORY, path.as_str()), (MOMENT, &moment.to_string())];
        let mut child = Other::start("embedded::rescale_kills::child", &variables);
        child.wait_for(HERE);
        child.kill();
        let again = rescale(directory.path(), None).unwrap_or_else(|error| panic!("{place}: {error}"));
        let rig = in_directory(directory.path());
        let passed_over = moments[..moment].iter().filter(|moment| matches!(moment, Moment::Step(_))).count();
        let again = again.iter().filter(|moment| matches!(moment, Moment::Step(_))).count();
        assert!(again <= steps - passed_over + 1, "{place}: {again} steps again, {passed_over} were begun of {steps}");
        rig.check(8, 1);
        assert!(rig.read_to_the_end(), "{place}: something is unread");
        let names: Vec<_> = rig.log.list_topics().expect("listed").into_iter().map(|topic| topic.name).collect();
        let left: Vec<_> =
            names.iter().filter(|name| name.contains("staged") || name.contains("maintenance")).collect();
        assert!(left.is_empty(), "{place}: {left:?}");
        if let Moment::Step(_) = moments[moment] {
            // Nothing is counted twice and nothing is passed over.
            rig.run_phase(8, 1);
            rig.check(8, 2);
        }
    }
}
