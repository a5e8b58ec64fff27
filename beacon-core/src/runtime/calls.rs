//! Makes the calls that commits asked for, and writes their answers to the log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::fault::is_passing;
use crate::log::{Appender, LogError, Record};
use crate::operator::Call;
use crate::task::TaskId;
use crate::topology::{Topology, encode_reply};

/// A call that did not end as it should.
enum Setback {
    /// Its answer could not be written: to be tried again. It still counts as under way.
    Unwritten(Record, LogError),
    /// Whoever had to answer has dropped it: to be made again.
    Unanswered(TaskId, Call),
}

/// Calls of one thread: a bounded number under way, the rest waiting.
pub(super) struct Calls {
    appender: Arc<dyn Appender>,
    /// Whose calls are ours to make.
    tasks: BTreeSet<TaskId>,
    waiting: VecDeque<(TaskId, Call)>,
    under_way: Arc<AtomicUsize>,
    limit: usize,
    reports: (Sender<Setback>, Receiver<Setback>),
    setbacks: Vec<Setback>,
    again_at: Option<Duration>,
    backoff: Duration,
}

impl Calls {
    /// Up to `limit` calls at once; what went wrong is tried again after `backoff`.
    pub(super) fn new(appender: Arc<dyn Appender>, limit: usize, backoff: Duration) -> Self {
        Self {
            appender,
            tasks: BTreeSet::new(),
            waiting: VecDeque::new(),
            under_way: Arc::default(),
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
        self.waiting.extend(calls.into_iter().map(|call| (task, call)));
    }

    /// A task went away: whoever has it now makes its calls. Answers on their way are still written.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        self.waiting.retain(|(owner, _)| *owner != task);
    }

    /// Starts what may be started. Returns when to look again although no record came by then: never, as long as all
    /// goes well, since each answer is a record.
    ///
    /// # Errors
    /// When the log refuses an answer for good; the call stays open.
    pub(super) fn start(&mut self, topology: &Topology, now: Duration) -> Result<Option<Duration>, LogError> {
        self.try_again(now)?;
        while self.under_way.load(Ordering::Acquire) < self.limit {
            let Some((task, call)) = self.waiting.pop_front() else { break };
            self.make(topology, task, call);
        }
        Ok(self.again_at)
    }

    fn try_again(&mut self, now: Duration) -> Result<(), LogError> {
        for setback in self.reports.1.try_iter() {
            if let Setback::Unwritten(record, error) = &setback
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
                Setback::Unwritten(record, error) => {
                    tracing::warn!(%error, "the answer of a call could not be written; trying again");
                    self.ticket().write(record);
                }
                Setback::Unanswered(task, call) if self.tasks.contains(&task) => {
                    tracing::warn!(%task, "a call was dropped without an answer; making it again");
                    self.waiting.push_back((task, call));
                }
                Setback::Unanswered(..) => {}
            }
        }
        Ok(())
    }

    fn ticket(&self) -> Ticket {
        Ticket {
            appender: Arc::clone(&self.appender),
            reports: self.reports.0.clone(),
            under_way: Arc::clone(&self.under_way),
        }
    }

    fn make(&mut self, topology: &Topology, task: TaskId, call: Call) {
        let (Some(site), TaskId::Keyed(partition)) = (topology.call_site(call.operator), task) else {
            tracing::warn!("an open call belongs to an operator this version does not have; it stays open");
            return;
        };
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let topic = Arc::clone(&site.replies);
        let (key, request) = (call.key.clone(), call.request.clone());
        let mut made = Made(Some((task, call, self.ticket())));
        site.caller.call(
            &key,
            &request,
            Box::new(move |answer| {
                let Some((call, ticket)) = made.take() else { return };
                ticket.write(Record::new(topic, call.key, encode_reply(&call.id, &answer)).to_partition(partition));
            }),
        );
    }
}

/// What it takes to write an answer, from any thread.
struct Ticket {
    appender: Arc<dyn Appender>,
    reports: Sender<Setback>,
    under_way: Arc<AtomicUsize>,
}

impl Ticket {
    fn write(self, answer: Record) {
        let again = answer.clone();
        let Self { appender, reports, under_way } = self;
        appender.append(
            vec![answer],
            Box::new(move |result| match result {
                Ok(_) => drop(under_way.fetch_sub(1, Ordering::AcqRel)),
                // The thread is gone when this fails: the call stays open in state and is made again.
                Err(error) => drop(reports.send(Setback::Unwritten(again, error))),
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
