//! Makes the calls that commits asked for, and writes their answers to the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::fault::is_passing;
use crate::log::{Appender, LogError, Record};
use crate::operator::Call;
use crate::task::TaskId;
use crate::topology::{Topology, encode_reply};

/// How many calls of a lane are under way.
type Count = Arc<AtomicUsize>;

/// A call that did not end as it should.
enum Setback {
    /// Its answer could not be written: to be tried again. It still counts as under way.
    Unwritten(Record, LogError, Count),
    /// Whoever had to answer has dropped it: to be made again.
    Unanswered(TaskId, Call),
}

/// Calls that wait for each other and for no other.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<(TaskId, Call)>,
    under_way: Count,
}

/// Calls of one thread: a bounded number of each lane under way, the rest waiting.
///
/// Those that wait are here and not with the caller, so that they go away with their task.
pub(super) struct Calls {
    appender: Arc<dyn Appender>,
    /// Whose calls are ours to make.
    tasks: BTreeSet<TaskId>,
    /// Not sorted into their lanes yet.
    arrived: Vec<(TaskId, Call)>,
    /// By operator and what its caller says; only those with calls.
    lanes: BTreeMap<(u32, Vec<u8>), Lane>,
    limit: usize,
    reports: (Sender<Setback>, Receiver<Setback>),
    setbacks: Vec<Setback>,
    again_at: Option<Duration>,
    backoff: Duration,
}

impl Calls {
    /// Up to `limit` calls of a lane at once; what went wrong is tried again after `backoff`.
    pub(super) fn new(appender: Arc<dyn Appender>, limit: usize, backoff: Duration) -> Self {
        Self {
            appender,
            tasks: BTreeSet::new(),
            arrived: Vec::new(),
            lanes: BTreeMap::new(),
            limit: limit.max(1),
            reports: unbounded(),
            setbacks: Vec::new(),
            again_at: None,
            backoff,
        }
    }

    /// A task is ours now, with these calls open.
    pub(super) fn adopt(&mut self, task: TaskId, open: impl IntoIterator<Item = Call>) {
        self.tasks.insert(task);
        self.add(task, open);
    }

    pub(super) fn add(&mut self, task: TaskId, calls: impl IntoIterator<Item = Call>) {
        self.arrived.extend(calls.into_iter().map(|call| (task, call)));
    }

    /// A task went away: whoever has it now makes its calls. Answers on their way are still written.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        self.arrived.retain(|(owner, _)| *owner != task);
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|(owner, _)| *owner != task);
        }
    }

    /// Starts what may be started. Returns when to look again although no record came by then: never, as long as all
    /// goes well, since each answer is a record.
    ///
    /// # Errors
    /// When the log refuses an answer for good; the call stays open.
    pub(super) fn start(&mut self, topology: &Topology, now: Duration) -> Result<Option<Duration>, LogError> {
        self.try_again(now)?;
        self.sort(topology);
        for lane in self.lanes.values_mut() {
            while lane.under_way.load(Ordering::Acquire) < self.limit {
                let Some((task, call)) = lane.waiting.pop_front() else { break };
                lane.under_way.fetch_add(1, Ordering::AcqRel);
                make(topology, task, call, Ticket::new(&self.appender, &self.reports.0, &lane.under_way));
            }
        }
        self.lanes.retain(|_, lane| !lane.waiting.is_empty() || lane.under_way.load(Ordering::Acquire) > 0);
        Ok(self.again_at)
    }

    fn sort(&mut self, topology: &Topology) {
        for (task, call) in self.arrived.drain(..) {
            let Some(site) = topology.call_site(call.operator) else {
                tracing::warn!("an open call belongs to an operator this version does not have; it stays open");
                continue;
            };
            let lane = (call.operator, site.caller.lane(&call.key, &call.request));
            self.lanes.entry(lane).or_default().waiting.push_back((task, call));
        }
    }

    fn try_again(&mut self, now: Duration) -> Result<(), LogError> {
        for setback in self.reports.1.try_iter() {
            if let Setback::Unwritten(record, error, _) = &setback
                && !is_passing(error)
            {
                let message = format!("the answer of a call cannot be written to {}: {error}", record.topic);
                return Err(LogError::new(error.kind(), message));
            }
            self.setbacks.push(setback);
        }
        if self.setbacks.is_empty() || now < *self.again_at.get_or_insert(now + self.backoff) {
            return Ok(());
        }
        self.again_at = None;
        for setback in std::mem::take(&mut self.setbacks) {
            match setback {
                Setback::Unwritten(record, error, under_way) => {
                    tracing::warn!(%error, "the answer of a call could not be written; trying again");
                    Ticket::new(&self.appender, &self.reports.0, &under_way).write(record);
                }
                Setback::Unanswered(task, call) if self.tasks.contains(&task) => {
                    tracing::warn!(%task, "a call was dropped without an answer; making it again");
                    self.arrived.push((task, call));
                }
                Setback::Unanswered(..) => {}
            }
        }
        Ok(())
    }
}

/// Makes a call that counts as under way until its ticket is given back.
fn make(topology: &Topology, task: TaskId, call: Call, ticket: Ticket) {
    let (Some(site), TaskId::Keyed(partition)) = (topology.call_site(call.operator), task) else {
        tracing::warn!(%task, "an open call belongs to no operator of this version; it stays open");
        ticket.under_way.fetch_sub(1, Ordering::AcqRel);
        return;
    };
    let topic = Arc::clone(&site.replies);
    let (key, request) = (call.key.clone(), call.request.clone());
    let mut made = Made(Some((task, call, ticket)));
    site.caller.call(
        &key,
        &request,
        Box::new(move |answer| {
            let Some((call, ticket)) = made.take() else { return };
            ticket.write(Record::new(topic, call.key, encode_reply(&call.id, &answer)).to_partition(partition));
        }),
    );
}

/// What it takes to write an answer, from any thread.
struct Ticket {
    appender: Arc<dyn Appender>,
    reports: Sender<Setback>,
    under_way: Count,
}

impl Ticket {
    fn new(appender: &Arc<dyn Appender>, reports: &Sender<Setback>, under_way: &Count) -> Self {
        Self { appender: Arc::clone(appender), reports: reports.clone(), under_way: Arc::clone(under_way) }
    }

    fn write(self, answer: Record) {
        let again = answer.clone();
        let Self { appender, reports, under_way } = self;
        appender.append(
            vec![answer],
            Box::new(move |result| match result {
                Ok(_) => drop(under_way.fetch_sub(1, Ordering::AcqRel)),
                // The thread is gone when this fails: the call stays open in state and is made again.
                Err(error) => drop(reports.send(Setback::Unwritten(again, error, under_way))),
            }),
        );
    }
}

/// A call in other hands, which may lose it: a task that panics, a runtime that shuts down.
struct Made(Option<(TaskId, Call, Ticket)>);

impl Made {
    fn take(&mut self) -> Option<(Call, Ticket)> {
        self.0.take().map(|(_, call, ticket)| (call, ticket))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some((task, call, ticket)) = self.0.take() {
            ticket.under_way.fetch_sub(1, Ordering::AcqRel);
            // The thread is gone when this fails, and the call is made again after the restart.
            let _ = ticket.reports.send(Setback::Unanswered(task, call));
        }
    }
}
