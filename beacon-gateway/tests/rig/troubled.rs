//! A log that is away, or refuses appends, when a test says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{
    AppendDone, Appender, Isolation, Log, LogError, LogErrorKind, Offset, OffsetRange, Reader, Record, Session,
    SessionConfig, TopicDescription, TopicPartition, TopicSpec,
};

/// See the module.
pub struct Troubled {
    inner: Arc<EmbeddedLog>,
    away: AtomicBool,
    refusal: Arc<Mutex<Option<LogErrorKind>>>,
}

impl Troubled {
    /// No trouble yet.
    pub fn new(inner: Arc<EmbeddedLog>) -> Arc<Self> {
        Arc::new(Self { inner, away: AtomicBool::new(false), refusal: Arc::default() })
    }

    /// From now on administration fails as if the broker were away, or works again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
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
        self.inner.reader(isolation)
    }
    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        self.check()?;
        Ok(Box::new(Refusing { inner: self.inner.appender()?, refusal: Arc::clone(&self.refusal) }))
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
