//! Makes the calls that commits asked for, and writes their answers to the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::log::{Appender, Record};
use crate::operator::Call;
use crate::task::TaskId;
use crate::topology::{Topology, encode_reply};

/// Calls of one thread: a bounded number under way, the rest waiting.
pub(super) struct Calls {
    appender: Arc<dyn Appender>,
    waiting: VecDeque<(TaskId, Call)>,
    under_way: Arc<AtomicUsize>,
    limit: usize,
    /// Answers that could not be written: to be tried again.
    unwritten: (Sender<Record>, Receiver<Record>),
}

impl Calls {
    pub(super) fn new(appender: Arc<dyn Appender>, limit: usize) -> Self {
        Self {
            appender,
            waiting: VecDeque::new(),
            under_way: Arc::default(),
            limit: limit.max(1),
            unwritten: unbounded(),
        }
    }

    pub(super) fn add(&mut self, task: TaskId, calls: impl IntoIterator<Item = Call>) {
        self.waiting.extend(calls.into_iter().map(|call| (task, call)));
    }

    /// A task went away: whoever has it now makes its calls.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.waiting.retain(|(owner, _)| *owner != task);
    }

    /// Starts what may be started. Returns how soon to look again, if anything waits.
    pub(super) fn start(&mut self, topology: &Topology) -> Option<Duration> {
        while let Ok(answer) = self.unwritten.1.try_recv() {
            write(&self.appender, answer, self.unwritten.0.clone(), Arc::clone(&self.under_way));
        }
        while self.under_way.load(Ordering::Acquire) < self.limit {
            let Some((task, call)) = self.waiting.pop_front() else { break };
            let (Some(site), TaskId::Keyed(partition)) = (topology.call_site(call.operator), task) else {
                tracing::warn!("an open call belongs to an operator this version does not have; it stays open");
                continue;
            };
            self.under_way.fetch_add(1, Ordering::AcqRel);
            let appender = Arc::clone(&self.appender);
            let (unwritten, under_way) = (self.unwritten.0.clone(), Arc::clone(&self.under_way));
            let (topic, key, id) = (Arc::clone(&site.replies), call.key.clone(), call.id);
            site.caller.call(
                &call.key,
                &call.request,
                Box::new(move |answer| {
                    let record = Record::new(topic, key, encode_reply(&id, &answer)).to_partition(partition);
                    write(&appender, record, unwritten, under_way);
                }),
            );
        }
        (!self.waiting.is_empty() || !self.unwritten.1.is_empty()).then_some(Duration::from_millis(10))
    }
}

fn write(appender: &Arc<dyn Appender>, answer: Record, unwritten: Sender<Record>, under_way: Arc<AtomicUsize>) {
    let again = answer.clone();
    appender.append(
        vec![answer],
        Box::new(move |result| match result {
            Ok(_) => drop(under_way.fetch_sub(1, Ordering::AcqRel)),
            Err(error) => {
                tracing::warn!(%error, "the answer of a call could not be written; trying again");
                // The thread is gone when this fails: the call stays open in state and is made again.
                let _ = unwritten.send(again);
            }
        }),
    );
}
