//! A log that is away, or refuses appends, when a test says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{
    AppendDone, Appender, Event, Isolation, Log, LogError, LogErrorKind, Offset, OffsetRange, Reader, Record, Session,
    SessionConfig, TopicDescription, TopicPartition, TopicSpec,
};

/// See the module.
pub struct Troubled {
    inner: Arc<EmbeddedLog>,
    away: AtomicBool,
    refusal: Arc<Mutex<Option<LogErrorKind>>>,
    readers_break: Arc<AtomicUsize>,
    readers_wait: Arc<AtomicBool>,
}

impl Troubled {
    /// No trouble yet.
    pub fn new(inner: Arc<EmbeddedLog>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            away: AtomicBool::new(false),
            refusal: Arc::default(),
            readers_break: Arc::default(),
            readers_wait: Arc::default(),
        })
    }

    /// From now on administration fails as if the broker were away, or works again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Makes every reader there is fail for good at its next poll; readers made later work.
    pub fn break_readers(&self) {
        self.readers_break.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on readers are given nothing, or go on.
    pub fn hold_readers(&self, hold: bool) {
        self.readers_wait.store(hold, Ordering::SeqCst);
    }

    /// From now on appends fail with this kind, or work again.
    pub fn refuse(&self, kind: Option<LogErrorKind>) {
        *self.refusal.lock().expect("no panic") = kind;
    }

    fn check(&self) -> Result<(), LogError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(LogError::new(LogErrorKind::Retriable, "the broker does not answer")),
            false => Ok(()),
        }
    }
}

impl Log for Troubled {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.check()?;
        self.inner.create_topics(topics)
    }
    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.check()?;
        self.inner.list_topics()
    }
    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        self.check()?;
        self.inner.describe_topic(topic)
    }
    fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        self.check()?;
        self.inner.offsets(partition, isolation)
    }
    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        self.check()?;
        self.inner.committed(group, topics)
    }
    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.check()?;
        self.inner.trim(partition, before)
    }
    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError> {
        self.check()?;
        self.inner.session(config)
    }
    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>, LogError> {
        self.check()?;
        let breaks = Arc::clone(&self.readers_break);
        let made_at = breaks.load(Ordering::SeqCst);
        let waits = Arc::clone(&self.readers_wait);
        Ok(Box::new(Breaking { inner: self.inner.reader(isolation)?, breaks, made_at, waits }))
    }
    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        self.check()?;
        Ok(Box::new(Refusing { inner: self.inner.appender()?, refusal: Arc::clone(&self.refusal) }))
    }
}

struct Breaking {
    inner: Box<dyn Reader>,
    breaks: Arc<AtomicUsize>,
    made_at: usize,
    waits: Arc<AtomicBool>,
}

impl Reader for Breaking {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.inner.assign(partitions)
    }
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        match self.breaks.load(Ordering::SeqCst) == self.made_at {
            true if self.waits.load(Ordering::SeqCst) => {
                std::thread::sleep(Duration::from_millis(2));
                Ok(Event::Idle)
            }
            true => self.inner.poll(timeout),
            false => Err(LogError::new(LogErrorKind::Fatal, "the reader is broken")),
        }
    }
}

struct Refusing {
    inner: Box<dyn Appender>,
    refusal: Arc<Mutex<Option<LogErrorKind>>>,
}

impl Appender for Refusing {
    fn append(&self, records: Vec<Record>, done: AppendDone) {
        match *self.refusal.lock().expect("no panic") {
            Some(kind) => done(Err(LogError::new(kind, "no space left on the device of the log"))),
            None => self.inner.append(records, done),
        }
    }
}
