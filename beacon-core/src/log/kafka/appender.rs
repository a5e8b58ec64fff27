//! Durable appends outside of any transaction: an idempotent producer with a thread that hears of deliveries.
//!
//! Invariants: every append gets exactly one answer, also when the appender is dropped before its records are written
//! (`tests/log_contract/records.rs: an_answer_may_drop_the_appender_it_came_from`) and when another's answer panics
//! (`tests/kafka/appender.rs: an_answer_that_panics_holds_up_no_other`); appends to a topic are written in the order of their
//! calls, those made before the topic was known included
//! (`tests/kafka/appender.rs: appends_under_way_together_keep_their_order_while_their_topic_is_looked_up`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::log::{AppendDone, Appender, LogError, LogErrorKind, Position, Record};

use super::admin::Cluster;
use super::batch::{offset_of, partition_of};
use super::config::start;
use super::error::{describe, kind_of, log_error};
use super::partitions::native_target;
use super::raw::{CallError, Client, ClientKind, Delivery, DeliverySink, Outgoing, lock};

/// How long the delivery thread sleeps at most before it looks for appends of new topics.
const TICK: Duration = Duration::from_millis(20);
/// How long a dropped appender waits for what it still has in flight.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// An append whose records are on their way.
struct Pending {
    progress: Mutex<Progress>,
}

struct Progress {
    positions: Vec<Position>,
    waiting: usize,
    error: Option<LogError>,
    done: Option<AppendDone>,
}

impl Pending {
    fn new(records: usize, done: AppendDone) -> Arc<Self> {
        let nowhere = Position { partition: 0, offset: 0 };
        Arc::new(Self {
            progress: Mutex::new(Progress {
                positions: vec![nowhere; records],
                waiting: records,
                error: None,
                done: Some(done),
            }),
        })
    }

    /// Notes what became of one record; the answer if it was the last one.
    fn settle(&self, index: usize, outcome: Result<Position, LogError>) -> Option<Answer> {
        let mut progress = lock(&self.progress);
        match outcome {
            Ok(position) => progress.positions[index] = position,
            Err(error) => {
                progress.error.get_or_insert(error);
            }
        }
        progress.waiting -= 1;
        if progress.waiting > 0 {
            return None;
        }
        let done = progress.done.take()?;
        let result = match progress.error.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut progress.positions)),
        };
        Some(Answer { done, result })
    }
}

/// An answer to be given, by the delivery thread and outside of librdkafka's callback.
struct Answer {
    done: AppendDone,
    result: Result<Vec<Position>, LogError>,
}

/// One record of an append.
struct Slot {
    pending: Arc<Pending>,
    index: usize,
}

/// Records in flight, by the token that travels through librdkafka with each.
#[derive(Default)]
struct Slots {
    taken: Vec<Option<Slot>>,
    free: Vec<usize>,
}

impl Slots {
    fn insert(&mut self, slot: Slot) -> usize {
        match self.free.pop() {
            Some(token) => {
                self.taken[token] = Some(slot);
                token
            }
            None => {
                self.taken.push(Some(slot));
                self.taken.len() - 1
            }
        }
    }

    fn remove(&mut self, token: usize) -> Option<Slot> {
        let slot = self.taken.get_mut(token)?.take()?;
        self.free.push(token);
        Some(slot)
    }

    fn in_flight(&self) -> usize {
        self.taken.len() - self.free.len()
    }
}

/// Turns delivery reports into answers.
#[derive(Default)]
struct Outcomes {
    slots: Mutex<Slots>,
    answers: Mutex<Vec<Answer>>,
}

impl Outcomes {
    fn settle(&self, token: usize, outcome: Result<Position, LogError>) {
        // Taken out before it is settled: the lock is not held while the append is locked.
        let slot = lock(&self.slots).remove(token);
        if let Some(slot) = slot {
            lock(&self.answers).extend(slot.pending.settle(slot.index, outcome));
        }
    }

    /// Gives the answers that are due; runs callers' code, so never inside a callback of librdkafka.
    fn give_answers(&self) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        for Answer { done, result } in answers {
            // Its caller's matter: the others still wait for theirs.
            if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                tracing::error!("the answer of an append panicked");
            }
        }
    }
}

impl DeliverySink for Outcomes {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let outcome = match delivery.error {
            None => Ok(Position { partition: partition_of(delivery.partition), offset: offset_of(delivery.offset) }),
            Some(code) => {
                Err(log_error(code, format_args!("appending to {}/{}", delivery.topic.name, delivery.partition)))
            }
        };
        self.settle(delivery.token, outcome);
    }
}

/// What the appender and its thread share.
struct Shared {
    cluster: Arc<Cluster>,
    client: Client,
    outcomes: Arc<Outcomes>,
    /// Topics of appends that wait for the thread, once for each such append: later ones queue up behind them.
    queued: Mutex<Vec<Arc<str>>>,
    stop: AtomicBool,
}

impl Shared {
    /// Queues the records of an append whose topics are known to exist.
    fn enqueue(&self, records: &[Record], pending: &Arc<Pending>) {
        for (index, record) in records.iter().enumerate() {
            let slot = Slot { pending: Arc::clone(pending), index };
            let token = lock(&self.outcomes.slots).insert(slot);
            if let Err(error) = self.produce(record, token) {
                self.outcomes.settle(token, Err(error));
            }
        }
    }

    fn produce(&self, record: &Record, token: usize) -> Result<(), LogError> {
        let topic = self
            .client
            .topic(&record.topic)
            .map_err(|code| log_error(code, format_args!("appending to {}", record.topic)))?;
        let outgoing = Outgoing {
            partition: native_target(record.partition),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            timestamp_ms: record.timestamp_ms,
            token,
        };
        self.client.produce(&topic, &outgoing).map_err(|error| refused(record, &error))
    }

    /// Fails every record of an append with the same reason.
    fn fail(&self, pending: &Arc<Pending>, records: usize, error: &LogError) {
        for index in 0..records {
            let error = LogError::new(error.kind(), error.to_string());
            lock(&self.outcomes.answers).extend(pending.settle(index, Err(error)));
        }
    }

    /// Whether an append need not wait for the thread: its topics are known, and nothing waits that came before it.
    /// If it has to wait, it is noted as waiting.
    fn may_pass(&self, records: &[Record]) -> bool {
        let mut queued = lock(&self.queued);
        let passes = |record: &Record| self.cluster.knows_topic(&record.topic) && !queued.contains(&record.topic);
        if records.iter().all(passes) {
            return true;
        }
        queued.extend(records.iter().map(|record| Arc::clone(&record.topic)));
        false
    }

    /// Looks up the topics of an append that waited and queues it, or fails it.
    fn admit(&self, records: &[Record], pending: &Arc<Pending>) {
        match records.iter().try_for_each(|record| self.cluster.require_topic(&record.topic).map(drop)) {
            Ok(()) => self.enqueue(records, pending),
            Err(error) => self.fail(pending, records.len(), &error),
        }
        // Only now may later ones pass.
        let mut queued = lock(&self.queued);
        for record in records {
            if let Some(place) = queued.iter().position(|topic| *topic == record.topic) {
                queued.swap_remove(place);
            }
        }
    }

    fn serve(&self, unknown: &Receiver<(Vec<Record>, Arc<Pending>)>) {
        while !self.stop.load(Ordering::Acquire) {
            for (records, pending) in unknown.try_iter() {
                self.admit(&records, &pending);
            }
            self.client.poll(TICK);
            self.outcomes.give_answers();
        }
        for (records, pending) in unknown.try_iter() {
            self.fail(&pending, records.len(), &dropped());
        }
        let deadline = Instant::now() + DROP_TIMEOUT;
        while lock(&self.outcomes.slots).in_flight() > 0 && Instant::now() < deadline {
            self.client.poll(TICK);
            self.outcomes.give_answers();
        }
        let tokens = lock(&self.outcomes.slots).taken.len();
        for token in 0..tokens {
            self.outcomes.settle(token, Err(dropped()));
        }
        self.outcomes.give_answers();
    }
}

/// An appender on Kafka; see [`Appender`].
pub(super) struct KafkaAppender {
    shared: Arc<Shared>,
    unknown: Sender<(Vec<Record>, Arc<Pending>)>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaAppender {
    pub fn open(cluster: Arc<Cluster>) -> Result<Self, LogError> {
        let outcomes = Arc::new(Outcomes::default());
        let config = cluster.config().producing("appender", cluster.config().append_linger);
        let sink: Arc<Outcomes> = Arc::clone(&outcomes);
        let client = start(ClientKind::Producer, &config, "appender".to_owned(), sink)?;
        let shared =
            Arc::new(Shared { cluster, client, outcomes, queued: Mutex::default(), stop: AtomicBool::new(false) });
        let (unknown, receiver) = channel();
        let served = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("kafka-appends".to_owned()).spawn(move || served.serve(&receiver)).map_err(
                |error| LogError::new(LogErrorKind::Fatal, "no thread for deliveries of appends").with_source(error),
            )?;
        Ok(Self { shared, unknown, thread: Some(thread) })
    }
}

impl Appender for KafkaAppender {
    fn append(&self, records: Vec<Record>, done: AppendDone) {
        let pending = Pending::new(records.len().max(1), done);
        if records.is_empty() {
            // Answered by the delivery thread like any other: callers may hold locks here.
            let answer = lock(&pending.progress).done.take().map(|done| Answer { done, result: Ok(Vec::new()) });
            lock(&self.shared.outcomes.answers).extend(answer);
            return;
        }
        if self.shared.may_pass(&records) {
            self.shared.enqueue(&records, &pending);
            return;
        }
        // Asking the broker about a topic may take a while, which is the thread's to wait for.
        if let Err(unsent) = self.unknown.send((records, pending)) {
            let (records, pending) = unsent.0;
            self.shared.fail(&pending, records.len(), &dropped());
        }
    }
}

impl Drop for KafkaAppender {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        // Let go of by one of its answers: the thread cannot wait for itself, and ends after what is in flight.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the delivery thread of an appender panicked");
        }
    }
}

fn refused(record: &Record, error: &CallError) -> LogError {
    match error.code {
        Code::QueueFull => LogError::new(
            LogErrorKind::Retriable,
            format!(
                "appending to {}: the local queue is full, Kafka takes records slower than they come: try again later",
                record.topic
            ),
        ),
        code => {
            LogError::new(kind_of(code), format!("appending to {}: {} ({})", record.topic, error.text, describe(code)))
        }
    }
}

fn dropped() -> LogError {
    LogError::new(LogErrorKind::Retriable, "the appender was closed before the records were written")
}
