//! A log that fails when it is told to; everything else goes to the log below.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use beacon_core::log::{
    Appender, CommitError, CommitReceipt, Event, Isolation, Log, LogError, LogErrorKind, Offset, OffsetRange, Reader,
    SendRecord, Session, SessionConfig, TopicDescription, TopicPartition, TopicSpec,
};

/// How many of the next calls fail; each counts down.
#[derive(Default)]
pub struct Faults {
    /// Commits refused: to be aborted.
    pub aborts: AtomicU32,
    /// Commits that are done and say they do not know.
    pub unknown: AtomicU32,
    /// Commits of a partition that was asked back by the poll before, refused.
    pub aborts_when_revoked: AtomicU32,
    /// Questions for the ends of partitions without an answer for now.
    pub offsets: AtomicU32,
    /// A partition that nobody gets anything of for now.
    silent: Mutex<Option<TopicPartition>>,
    /// Whether a poll stands still.
    pub is_away: AtomicBool,
    away: Mutex<bool>,
    found_trimmed: AtomicBool,
    /// What sessions were asked to give back, each time anew.
    asked_back: Mutex<Vec<TopicPartition>>,
    returned: Condvar,
}

impl Faults {
    /// Who reads a partition waits for its records until told otherwise: its leader is away. Sessions that read it already go on.
    pub fn silence(&self, partition: Option<TopicPartition>) {
        *self.silent.lock().expect("no panic under it") = partition;
    }

    fn is_silent(&self, partition: &TopicPartition) -> bool {
        self.silent.lock().expect("no panic under it").as_ref() == Some(partition)
    }

    /// The next poll stands still, as that of a process that is frozen.
    pub fn goes_away(&self) {
        *self.away.lock().expect("no panic under it") = true;
    }

    /// It goes on as if nothing had been.
    pub fn comes_back(&self) {
        *self.away.lock().expect("no panic under it") = false;
        self.returned.notify_all();
    }

    /// It goes on and finds what it asks for trimmed, before it hears of anything that happened meanwhile: so says Kafka.
    pub fn finds_it_trimmed(&self) {
        self.found_trimmed.store(true, SeqCst);
        self.comes_back();
    }

    /// What sessions were asked to give back since the last time somebody wanted to know.
    pub fn take_asked_back(&self) -> Vec<TopicPartition> {
        std::mem::take(&mut *self.asked_back.lock().expect("no panic under it"))
    }

    /// What a poll has to say after it was away.
    fn stand_still(&self) -> Result<(), LogError> {
        let away = self.away.lock().expect("no panic under it");
        if !*away {
            return Ok(());
        }
        self.is_away.store(true, SeqCst);
        drop(self.returned.wait_while(away, |away| *away).expect("no panic under it"));
        self.is_away.store(false, SeqCst);
        if self.found_trimmed.swap(false, SeqCst) {
            return Err(LogError::new(LogErrorKind::Trimmed, "it is not in the log any more, says the test"));
        }
        Ok(())
    }
}

fn strikes(left: &AtomicU32) -> bool {
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// See the module.
pub struct FaultyLog {
    inner: Arc<dyn Log>,
    pub faults: Arc<Faults>,
}

impl FaultyLog {
    pub fn over(inner: Arc<dyn Log>) -> Arc<Self> {
        Arc::new(Self { inner, faults: Arc::default() })
    }
}

impl Log for FaultyLog {
    fn describe(&self) -> String {
        format!("faulty {}", self.inner.describe())
    }

    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.inner.create_topics(topics)
    }

    fn list_topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.inner.list_topics()
    }

    fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        self.inner.describe_topic(topic)
    }

    fn offsets(&self, partition: &TopicPartition, isolation: Isolation) -> Result<OffsetRange, LogError> {
        if strikes(&self.faults.offsets) {
            return Err(LogError::new(LogErrorKind::Retriable, format!("no answer about {partition}, says the test")));
        }
        self.inner.offsets(partition, isolation)
    }

    fn committed(&self, group: &str, topics: &[&str]) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        self.inner.committed(group, topics)
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        self.inner.trim(partition, before)
    }

    fn session(&self, config: SessionConfig) -> Result<Box<dyn Session>, LogError> {
        let inner = self.inner.session(config)?;
        let faults = Arc::clone(&self.faults);
        Ok(Box::new(FaultySession { inner, faults, revoked: Vec::new(), withheld: Vec::new(), done: None }))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>, LogError> {
        let inner = self.inner.reader(isolation)?;
        Ok(Box::new(FaultyReader { inner, faults: Arc::clone(&self.faults), reads: Vec::new() }))
    }

    fn appender(&self) -> Result<Box<dyn Appender>, LogError> {
        self.inner.appender()
    }
}

struct FaultyReader {
    inner: Box<dyn Reader>,
    faults: Arc<Faults>,
    reads: Vec<TopicPartition>,
}

impl Reader for FaultyReader {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.reads = partitions.iter().map(|(partition, _)| partition.clone()).collect();
        self.inner.assign(partitions)
    }

    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        if self.reads.iter().any(|partition| self.faults.is_silent(partition)) {
            std::thread::sleep(timeout);
            return Ok(Event::Idle);
        }
        self.inner.poll(timeout)
    }
}

struct FaultySession {
    inner: Box<dyn Session>,
    faults: Arc<Faults>,
    /// What the last poll asked back.
    revoked: Vec<TopicPartition>,
    /// Taken up again by the caller while they were silent.
    withheld: Vec<TopicPartition>,
    /// A commit that was done and not told.
    done: Option<CommitReceipt>,
}

impl Session for FaultySession {
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        self.faults.stand_still()?;
        let withheld = std::mem::take(&mut self.withheld);
        self.resume(&withheld)?;
        let event = self.inner.poll(timeout)?;
        self.revoked = if let Event::Revoked(partitions) = &event { partitions.clone() } else { Vec::new() };
        if let Event::Revoked(partitions) | Event::Lost(partitions) = &event {
            self.withheld.retain(|withheld| !partitions.contains(withheld));
            self.faults.asked_back.lock().expect("no panic under it").extend(partitions.iter().cloned());
        }
        Ok(event)
    }

    fn revokes_all(&self) -> bool {
        self.inner.revokes_all()
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.withheld.retain(|withheld| !partitions.contains(withheld));
        self.inner.pause(partitions)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let (silent, others): (Vec<_>, Vec<_>) =
            partitions.iter().cloned().partition(|partition| self.faults.is_silent(partition));
        self.withheld.extend(silent);
        if others.is_empty() { Ok(()) } else { self.inner.resume(&others) }
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.inner.seek(partition, offset)
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.inner.begin()
    }

    fn send(&mut self, record: SendRecord<'_>) -> Result<(), LogError> {
        self.inner.send(record)
    }

    fn holds_back(&self) -> bool {
        self.inner.holds_back()
    }

    fn send_ahead(&mut self) -> Result<(), LogError> {
        self.inner.send_ahead()
    }

    fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        let told = |kind| LogError::new(kind, "says the test");
        if let Some(receipt) = self.done.take() {
            return Ok(receipt);
        }
        let goes = offsets.iter().any(|(partition, _)| self.revoked.contains(partition));
        if strikes(&self.faults.aborts) || goes && strikes(&self.faults.aborts_when_revoked) {
            return Err(CommitError::Abortable(told(LogErrorKind::Abortable)));
        }
        let receipt = self.inner.commit(offsets)?;
        if strikes(&self.faults.unknown) {
            self.done = Some(receipt);
            return Err(CommitError::Unknown(told(LogErrorKind::Retriable)));
        }
        Ok(receipt)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.inner.abort()
    }

    fn close(self: Box<Self>) -> Result<(), LogError> {
        self.inner.close()
    }
}
