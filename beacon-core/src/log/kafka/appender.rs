//! Durable appends outside of any transaction: an idempotent producer with a thread that hears of deliveries.
//!
//! Invariants: every append gets exactly one answer, also when the appender is dropped before its records are written
//! (`tests/log_contract/records.rs: an_answer_may_drop_the_appender_it_came_from`) and when another's answer panics
//! (`tests/log_contract/records.rs: an_answer_that_panics_holds_up_no_other`); appends to a topic are written in the order of their
//! calls, those made before the topic was known included
//! (`tests/kafka/appender.rs: appends_under_way_together_keep_their_order_while_their_topic_is_looked_up`); what ends a producer does not
//! end the appender (`src/log/kafka/appender.rs: a_fatal_error_of_its_producer_is_survived`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::log::{AppendDone, Appender, LogError, LogErrorKind, Record};

use super::admin::Cluster;
use super::config::start;
use super::error::{describe, kind_of, log_error};
use super::outcomes::{Outcomes, Pending};
use super::partitions::native_target;
use super::raw::{CallError, Client, ClientKind, Outgoing, lock};

/// How long the delivery thread sleeps at most before it looks for appends of new topics.
const TICK: Duration = Duration::from_millis(20);
/// How often a producer that cannot go on has a successor at most.
const SUCCEED_EVERY: Duration = Duration::from_secs(1);
/// How long a dropped appender waits for what it still has in flight.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the appender and its thread share.
struct Shared {
    cluster: Arc<Cluster>,
    /// The producer of now: one that has met a fatal error takes nothing any more, and another takes its place.
    client: Mutex<Arc<Client>>,
    outcomes: Arc<Outcomes>,
    /// Topics of appends that wait for the thread, once for each such append: later ones queue up behind them.
    queued: Mutex<Vec<Arc<str>>>,
    stop: AtomicBool,
}

impl Shared {
    /// Queues the records of an append whose topics are known to exist.
    fn enqueue(&self, records: &[Record], pending: &Arc<Pending>) {
        for (index, record) in records.iter().enumerate() {
            let token = self.outcomes.await_record(pending, index);
            if let Err(error) = self.produce(record, token) {
                self.outcomes.settle(token, Err(error));
            }
        }
    }

    fn client(&self) -> Arc<Client> {
        Arc::clone(&lock(&self.client))
    }

    fn produce(&self, record: &Record, token: usize) -> Result<(), LogError> {
        let client = self.client();
        let topic = client
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
        client.produce(&topic, &outgoing).map_err(|error| match client.fatal_error() {
            Some((code, text)) => over(record, code, &text),
            None => refused(record, &error),
        })
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
            Err(error) => self.outcomes.fail(pending, records.len(), &error),
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
        let mut succession = Succession::default();
        while !self.stop.load(Ordering::Acquire) {
            for (records, pending) in unknown.try_iter() {
                self.admit(&records, &pending);
            }
            self.client().poll(TICK);
            self.succeed(&mut succession);
            self.outcomes.give_answers();
        }
        for (records, pending) in unknown.try_iter() {
            self.outcomes.fail(&pending, records.len(), &dropped());
        }
        let deadline = Instant::now() + DROP_TIMEOUT;
        while self.outcomes.in_flight() > 0 && Instant::now() < deadline {
            succession.serve();
            self.client().poll(TICK);
            self.outcomes.give_answers();
        }
        self.outcomes.give_up(dropped);
        self.outcomes.give_answers();
    }

    /// Puts a new producer in the place of one that has met a fatal error, such as numbers of records that do not follow each
    /// other any more after a broker lost some: librdkafka's ends with it, the appender does not.
    fn succeed(&self, succession: &mut Succession) {
        succession.serve();
        let client = self.client();
        let Some((_, text)) = client.fatal_error() else { return };
        if succession.last.is_some_and(|last| last.elapsed() < SUCCEED_EVERY) {
            return;
        }
        succession.last = Some(Instant::now());
        match producer(&self.cluster, &self.outcomes) {
            Ok(next) => {
                tracing::warn!(text, "a producer of appends has met a fatal error; another one takes its place");
                *lock(&self.client) = Arc::new(next);
                succession.old.push(client);
            }
            Err(error) => tracing::warn!(%error, text, "a producer of appends has met a fatal error; no other one yet"),
        }
    }
}

/// Producers that have met a fatal error and whose records are not all answered.
#[derive(Default)]
struct Succession {
    old: Vec<Arc<Client>>,
    last: Option<Instant>,
}

impl Succession {
    fn serve(&mut self) {
        self.old.retain(|client| {
            client.poll(Duration::ZERO);
            client.in_flight() > 0
        });
    }
}

fn producer(cluster: &Cluster, outcomes: &Arc<Outcomes>) -> Result<Client, LogError> {
    let config = cluster.config().producing("appender", cluster.config().append_linger);
    let sink: Arc<Outcomes> = Arc::clone(outcomes);
    start(ClientKind::Producer, &config, "appender".to_owned(), sink)
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
        let client = Mutex::new(Arc::new(producer(&cluster, &outcomes)?));
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
            self.shared.outcomes.succeed_at_once(&pending);
            return;
        }
        if self.shared.may_pass(&records) {
            self.shared.enqueue(&records, &pending);
            return;
        }
        // Asking the broker about a topic may take a while, which is the thread's to wait for.
        if let Err(unsent) = self.unknown.send((records, pending)) {
            let (records, pending) = unsent.0;
            self.shared.outcomes.fail(&pending, records.len(), &dropped());
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

/// A producer that takes nothing any more did not take the record.
fn over(record: &Record, code: Code, text: &str) -> LogError {
    let kind = match kind_of(code) {
        LogErrorKind::Configuration => LogErrorKind::Configuration,
        _ => LogErrorKind::Retriable,
    };
    let topic = &record.topic;
    LogError::new(
        kind,
        format!("appending to {topic}: {text} ({}); another producer takes over: try again", describe(code)),
    )
}

fn dropped() -> LogError {
    LogError::new(LogErrorKind::Retriable, "the appender was closed before the records were written")
}

#[cfg(test)]
mod tests {
    use super::super::KafkaConfig;
    use super::*;
    use crate::log::{CleanupPolicy, TopicSpec};

    #[test]
    fn a_fatal_error_of_its_producer_is_survived() {
        let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").expect("a real Kafka: see `make test`");
        let cluster = Arc::new(Cluster::connect(KafkaConfig::new(servers)).expect("connected"));
        let name = format!("fatal-{:x}", nanos());
        let cleanup = CleanupPolicy::Delete { retention: None };
        cluster.create_topics(&[TopicSpec { name: name.clone(), partitions: 1, cleanup }]).expect("made");
        let appender = KafkaAppender::open(Arc::clone(&cluster)).expect("an appender");
        let append = || appender.append_blocking(vec![Record::new(name.as_str(), "k", "v")]);
        assert_eq!(append().expect("written")[0].offset, 0);

        appender.shared.client().meet_fatal_error();
        let deadline = Instant::now() + Duration::from_secs(20);
        let offset = loop {
            match append() {
                Ok(positions) => break positions[0].offset,
                Err(error) => assert_eq!(error.kind(), LogErrorKind::Retriable, "{error}"),
            }
            assert!(Instant::now() < deadline, "no other producer took over");
            thread::sleep(TICK);
        };
        assert_eq!(offset, 1, "nothing that was refused is written");
    }

    fn nanos() -> u128 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos()
    }
}
