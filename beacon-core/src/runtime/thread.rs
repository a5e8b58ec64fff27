//! One stream thread: polls its session, feeds its tasks, commits.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::app::{AppError, Shared};
use super::calls::Calls;
use super::commit::{Pending, commit_due, poll_wait};
use super::restore::{self, Plan, Restore};
use super::stats::Stats;
use super::stores::Stores;
use super::{AppConfig, StateLocation};
use crate::log::{
    CommitError, Event, Isolation, Log, LogError, LogErrorKind, Offset, RecordBatch, SendRecord, Session,
    SessionConfig, TopicPartition,
};
use crate::operator::Outgoing;
use crate::state::StateError;
use crate::task::{Task, TaskError, TaskId, TaskSettings};
use crate::time::ProcessingTime;
use crate::topology::Topology;

/// Due timers fired per turn and task, so that a storm of them does not starve the input.
const TIMERS_PER_TURN: usize = 4096;

/// What interrupts the normal course of a thread.
enum Fault {
    /// Drop the commit at hand, go back to the last one, wait a little.
    Abort(String),
    /// Somebody newer exists: forget everything and join again.
    Fenced(String),
    /// End the thread.
    Fatal(AppError),
}

struct Slot {
    task: Task,
    /// `None`: whole.
    restore: Option<Restore>,
    /// Inputs not yet read up to where they ended when the task was given to us. Until there is none, due timers
    /// wait: the backlog may cancel them.
    behind: HashMap<TopicPartition, Offset>,
    last_flush: Instant,
}

pub(super) struct StreamThread {
    log: Arc<dyn Log>,
    topology: Topology,
    config: AppConfig,
    stores: Stores,
    shared: Arc<Shared>,
    number: u32,
    /// Partition count of each topic read.
    partitions: HashMap<Arc<str>, u32>,
    slots: BTreeMap<TaskId, Slot>,
    calls: Option<Calls>,
    dirty_since: Option<Instant>,
    idle: bool,
    last_now: ProcessingTime,
}

/// The session and whether a transaction is open on it.
struct Link {
    session: Box<dyn Session>,
    open: bool,
}

impl Link {
    fn send(&mut self, record: &Outgoing) -> Result<(), LogError> {
        if !self.open {
            self.session.begin()?;
            self.open = true;
        }
        self.session.send(SendRecord {
            topic: &record.topic,
            partition: record.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            timestamp_ms: Some(record.timestamp.as_millis()),
        })
    }
}

impl StreamThread {
    pub(super) fn new(
        log: Arc<dyn Log>,
        topology: Topology,
        config: AppConfig,
        stores: Stores,
        shared: Arc<Shared>,
        number: u32,
    ) -> Self {
        Self {
            log,
            topology,
            config,
            stores,
            shared,
            number,
            partitions: HashMap::new(),
            slots: BTreeMap::new(),
            calls: None,
            dirty_since: None,
            idle: false,
            last_now: ProcessingTime::default(),
        }
    }

    /// Runs until asked to stop.
    pub(super) fn run(mut self) -> Result<(), AppError> {
        let mut joined_before = false;
        while !self.stopping() {
            let mut link = match self.join() {
                Ok(session) => Link { session, open: false },
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, application = self.topology.application(), "cannot join; trying again");
                    std::thread::sleep(self.config.retry_backoff);
                    continue;
                }
                Err(error) => return Err(self.log_error(error)),
            };
            if !std::mem::replace(&mut joined_before, true) {
                self.shared.joined.fetch_add(1, Ordering::AcqRel);
            }
            match self.serve(&mut link) {
                Ok(()) => {
                    self.leave(link);
                    return Ok(());
                }
                Err(Fault::Fenced(reason)) => {
                    Stats::add(&self.shared.stats.fenced, 1);
                    tracing::warn!(
                        reason,
                        application = self.topology.application(),
                        "fenced by a newer owner; joining again"
                    );
                    self.forget_all();
                    drop(link);
                    std::thread::sleep(self.config.retry_backoff);
                }
                Err(Fault::Abort(reason)) => {
                    tracing::error!(reason, "a commit could be neither made nor dropped; joining again");
                    self.forget_all();
                    drop(link);
                    std::thread::sleep(self.config.retry_backoff);
                }
                Err(Fault::Fatal(error)) => {
                    if link.open {
                        let _ = link.session.abort();
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    fn join(&mut self) -> Result<Box<dyn Session>, LogError> {
        let application = self.topology.application();
        let mut topics: Vec<String> = self.topology.sources().iter().map(|source| source.topic.to_string()).collect();
        topics.extend(self.topology.internal_topics().iter().map(|topic| topic.name.to_string()));
        for topic in &topics {
            if !self.partitions.contains_key(topic.as_str()) {
                let count = self.log.describe_topic(topic)?.map_or(self.config.partitions, |topic| topic.partitions);
                self.partitions.insert(topic.as_str().into(), count);
            }
        }
        if self.calls.is_none() {
            self.calls = Some(Calls::new(self.log.appender()?.into(), self.config.calls_in_flight));
        }
        let member = format!("{application}-{}-{}", self.config.instance, self.number);
        let mut config = SessionConfig::new(application, member.clone(), topics);
        config.instance_id = Some(member);
        config.session_timeout = self.config.session_timeout;
        config.transaction_timeout = self.config.transaction_timeout;
        self.log.session(config)
    }

    /// Turns until asked to stop. Aborts are mended here; what comes out is worse.
    fn serve(&mut self, link: &mut Link) -> Result<(), Fault> {
        loop {
            if self.stopping() {
                return match self.commit(link) {
                    // What could not be committed is done again after the restart.
                    Err(Fault::Abort(reason)) => {
                        tracing::warn!(reason, "the last commit before the stop was dropped");
                        self.go_back(link)
                    }
                    other => other,
                };
            }
            match self.turn(link) {
                Ok(()) => {}
                Err(Fault::Abort(reason)) => {
                    Stats::add(&self.shared.stats.aborts, 1);
                    tracing::warn!(reason, "commit dropped; doing its work again");
                    self.go_back(link)?;
                    std::thread::sleep(self.config.retry_backoff);
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn turn(&mut self, link: &mut Link) -> Result<(), Fault> {
        let next_call = self.calls.as_mut().and_then(|calls| calls.start(&self.topology));
        let now = self.now();
        let next_timer = self.next_timer(now)?;
        let restoring = self.slots.values().any(|slot| slot.restore.is_some());
        let mut wait = poll_wait(self.pending(), next_timer, restoring, &self.config);
        if let Some(next_call) = next_call {
            wait = wait.min(next_call);
        }
        let event = link.session.poll(wait).map_err(|error| self.fault(error))?;
        self.idle = matches!(event, Event::Idle);
        match event {
            Event::Records(batch) => self.feed(batch.as_ref(), link)?,
            Event::Assigned(partitions) => self.assigned(partitions, link)?,
            Event::Revoked(partitions) => self.revoked(&partitions, link)?,
            Event::Lost(partitions) => self.lost(&partitions, link)?,
            Event::EndOfPartition(partition, end) => self.reached_end(&partition, end),
            Event::Idle => {}
        }
        self.restore(link)?;
        self.fire_timers(link)?;
        if let Some(reason) = commit_due(self.pending(), &self.config) {
            tracing::trace!(?reason, "commit");
            self.commit(link)?;
        }
        Ok(())
    }

    /// The one reading of the clock.
    fn now(&mut self) -> ProcessingTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = ProcessingTime::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
        // Never back: a clock that is set back must not make timers wait for it.
        self.last_now = self.last_now.max(now);
        self.last_now
    }

    fn pending(&self) -> Pending {
        Pending {
            age: self.dirty_since.map(|since| since.elapsed()),
            bytes: self.slots.values().map(|slot| slot.task.pending_bytes()).sum(),
            idle: self.idle,
        }
    }

    fn next_timer(&mut self, now: ProcessingTime) -> Result<Option<Duration>, Fault> {
        let application = self.topology.application();
        let mut earliest: Option<ProcessingTime> = None;
        for (id, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.may_fire()) {
            let next = slot.task.next_timer().map_err(|source| state_fault(application, *id, source))?;
            earliest = [earliest, next].into_iter().flatten().min();
        }
        Ok(earliest.map(|deadline| deadline.since(now)))
    }

    fn feed(&mut self, batch: &dyn RecordBatch, link: &mut Link) -> Result<(), Fault> {
        let now = self.now();
        Stats::add(&self.shared.stats.records, batch.len() as u64);
        for index in 0..batch.len() {
            let record = batch.get(index);
            let id = self.task_of(record.topic, record.partition);
            let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.restore.is_none()) else {
                let reason = format!("a record of {record:?} came for a task that is not running");
                return Err(Fault::Fenced(reason));
            };
            let (task, mut send) = (&mut slot.task, sender(link));
            let fed = catch_unwind(AssertUnwindSafe(|| task.feed(record, now, &mut send)));
            self.dirty_since.get_or_insert_with(Instant::now);
            self.check(id, fed, || format!("{record:?}"))?;
        }
        Ok(())
    }

    fn fire_timers(&mut self, link: &mut Link) -> Result<(), Fault> {
        let now = self.now();
        let ids: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.may_fire()).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let (task, mut send) = (&mut slot.task, sender(link));
            let fired = catch_unwind(AssertUnwindSafe(|| task.fire_timers(now, TIMERS_PER_TURN, &mut send)));
            let fired = self.check(id, fired, || format!("timers of task {id}"))?;
            if fired > 0 {
                self.dirty_since.get_or_insert_with(Instant::now);
                Stats::add(&self.shared.stats.timers, fired as u64);
            }
        }
        Ok(())
    }

    /// Sorts out what an operator did wrong.
    fn check<T>(
        &self,
        id: TaskId,
        result: std::thread::Result<Result<T, TaskError>>,
        at: impl Fn() -> String,
    ) -> Result<T, Fault> {
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(TaskError::Retry { at, reason })) => Err(Fault::Abort(format!("{at}: {reason}"))),
            Ok(Err(TaskError::Log(error))) => Err(self.fault(error)),
            Ok(Err(source)) => Err(self.task_fault(id, source)),
            Err(panic) => {
                let said = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default();
                let reason = format!("an operator panicked: {said}");
                Err(self.task_fault(id, TaskError::Stop { at: at(), reason }))
            }
        }
    }

    fn task_of(&self, topic: &Arc<str>, partition: u32) -> TaskId {
        if self.partitions.get(topic).is_none_or(|count| *count == self.config.partitions) {
            TaskId::Keyed(partition)
        } else {
            TaskId::Stateless(partition)
        }
    }

    fn assigned(&mut self, partitions: Vec<(TopicPartition, Offset)>, link: &mut Link) -> Result<(), Fault> {
        let names: Vec<_> = partitions.iter().map(|(partition, _)| partition.clone()).collect();
        link.session.pause(&names).map_err(|error| self.fault(error))?;
        let mut tasks: BTreeMap<TaskId, Vec<(TopicPartition, Offset)>> = BTreeMap::new();
        for (partition, offset) in partitions {
            let id = self.task_of(&partition.topic, partition.partition);
            tasks.entry(id).or_default().push((partition, offset));
        }
        for (id, inputs) in tasks {
            let mut behind = HashMap::new();
            for (partition, offset) in &inputs {
                let end = self.log.offsets(partition, Isolation::Committed).map_err(|error| self.fault(error))?.end;
                if *offset < end {
                    behind.insert(partition.clone(), end);
                }
            }
            if !self.slots.contains_key(&id) {
                let slot = self.open(id)?;
                self.slots.insert(id, slot);
            }
            let slot = self.slots.get_mut(&id).expect("inserted above");
            slot.behind.extend(behind);
            for (partition, offset) in inputs {
                slot.task.positions.assign(partition, offset);
            }
            if slot.restore.is_none() {
                self.whole(id, link)?;
            }
        }
        self.count_tasks();
        Ok(())
    }

    /// Opens a task over what its store holds, and plans its restore.
    fn open(&self, id: TaskId) -> Result<Slot, Fault> {
        let settings = TaskSettings { id, partitions: self.config.partitions };
        let open = || -> Result<Task, TaskError> { Task::new(&self.topology, &settings, self.stores.open(id)?) };
        let mut task = open().map_err(|source| self.task_fault(id, source))?;
        let mut restore = None;
        if matches!(id, TaskId::Keyed(_)) {
            let mut plan = restore::plan(&task, self.log.as_ref()).map_err(|error| self.fault(error))?;
            if matches!(plan, Plan::Foreign) {
                tracing::warn!(task = %id, "local state is ahead of the changelog: it belongs to another log; removing it");
                drop(task);
                self.stores.wipe(id).map_err(|source| self.task_fault(id, source.into()))?;
                task = open().map_err(|source| self.task_fault(id, source))?;
                plan = restore::plan(&task, self.log.as_ref()).map_err(|error| self.fault(error))?;
            }
            match plan {
                Plan::Current(end) => task.finish_replay(end).map_err(|source| self.task_fault(id, source))?,
                Plan::Replay(replay) => restore = Some(replay),
                Plan::Foreign => {
                    let reason = "local state cannot be removed".into();
                    return Err(self.task_fault(id, TaskError::State(StateError::Store(reason))));
                }
            }
        }
        Ok(Slot { task, restore, behind: HashMap::new(), last_flush: Instant::now() })
    }

    /// A task's state is complete: its inputs flow, its open calls are made again.
    fn whole(&mut self, id: TaskId, link: &mut Link) -> Result<(), Fault> {
        let slot = self.slots.get_mut(&id).expect("asked for a task that is there");
        let partitions: Vec<_> = slot.task.positions.partitions().cloned().collect();
        let calls = slot.task.open_calls().map_err(|source| state_fault(self.topology.application(), id, source))?;
        if let Some(waiting) = &mut self.calls {
            waiting.forget(id);
            waiting.add(id, calls);
        }
        link.session.resume(&partitions).map_err(|error| self.fault(error))
    }

    fn restore(&mut self, link: &mut Link) -> Result<(), Fault> {
        let ids: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.restore.is_some()).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            let Some(Slot { task, restore: Some(restore), .. }) = self.slots.get_mut(&id) else { continue };
            match restore.go_on(task, Duration::from_millis(20)) {
                Ok(true) => {
                    let records = restore.records;
                    Stats::add(&self.shared.stats.restored_records, records);
                    tracing::info!(task = %id, records, application = self.topology.application(), "state restored");
                    if let Some(slot) = self.slots.get_mut(&id) {
                        slot.restore = None;
                    }
                    self.whole(id, link)?;
                }
                Ok(false) => {}
                Err(TaskError::Log(error)) => return Err(self.fault(error)),
                Err(source) => return Err(self.task_fault(id, source)),
            }
        }
        self.count_tasks();
        Ok(())
    }

    fn reached_end(&mut self, partition: &TopicPartition, end: Offset) {
        let id = self.task_of(&partition.topic, partition.partition);
        if let Some(slot) = self.slots.get_mut(&id)
            && slot.behind.get(partition).is_some_and(|wanted| end >= *wanted)
        {
            slot.behind.remove(partition);
        }
    }

    fn revoked(&mut self, partitions: &[TopicPartition], link: &mut Link) -> Result<(), Fault> {
        self.commit(link)?;
        self.give_up(partitions);
        Ok(())
    }

    fn lost(&mut self, partitions: &[TopicPartition], link: &mut Link) -> Result<(), Fault> {
        tracing::warn!(?partitions, "lost to another member; dropping what was not committed");
        // Everything pending of this thread is in one transaction with what was lost.
        self.go_back(link)?;
        self.give_up(partitions);
        Ok(())
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let id = self.task_of(&partition.topic, partition.partition);
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.task.positions.remove(partition);
            slot.behind.remove(partition);
            if slot.task.positions.is_empty() {
                if let Some(mut slot) = self.slots.remove(&id)
                    && let Err(error) = slot.task.flush()
                {
                    tracing::warn!(task = %id, %error, "could not flush a task that was given up; its tail will be read again");
                }
                if let Some(calls) = &mut self.calls {
                    calls.forget(id);
                }
            }
        }
        self.count_tasks();
    }

    fn count_tasks(&self) {
        // Per process, from one thread's view: exact for the usual single thread, and a hint otherwise.
        let restoring = self.slots.values().filter(|slot| slot.restore.is_some()).count();
        self.shared.stats.restoring.store(restoring as u64, Ordering::Relaxed);
        self.shared.stats.tasks.store((self.slots.len() - restoring) as u64, Ordering::Relaxed);
    }

    fn commit(&mut self, link: &mut Link) -> Result<(), Fault> {
        let dirty: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.restore.is_none() && slot.task.is_dirty())
            .map(|(id, _)| *id)
            .collect();
        if dirty.is_empty() {
            self.dirty_since = None;
            return if link.open { self.drop_transaction(link) } else { Ok(()) };
        }
        let started = Instant::now();
        let mut offsets = Vec::new();
        for id in &dirty {
            let slot = self.slots.get_mut(id).expect("listed above");
            let sealed = slot.task.seal(&mut sender(link));
            offsets.extend(match sealed {
                Ok(offsets) => offsets,
                Err(TaskError::Log(error)) => return Err(self.fault(error)),
                Err(source) => return Err(self.task_fault(*id, source)),
            });
        }
        if !link.open {
            link.session.begin().map_err(|error| self.fault(error))?;
            link.open = true;
        }
        let receipt = loop {
            match link.session.commit(&offsets) {
                Ok(receipt) => break receipt,
                Err(CommitError::Unknown(error)) => {
                    // Not an abort: the log may hold it. Only the log can say, so ask until it does.
                    tracing::warn!(%error, "outcome of a commit unknown; asking again");
                    std::thread::sleep(self.config.retry_backoff);
                }
                Err(CommitError::Abortable(error)) => return Err(Fault::Abort(error.to_string())),
                Err(CommitError::Fenced(error)) => return Err(Fault::Fenced(error.to_string())),
                Err(CommitError::Fatal(error)) => return Err(Fault::Fatal(self.log_error(error))),
            }
        };
        link.open = false;
        self.dirty_since = None;
        for id in dirty {
            let slot = self.slots.get_mut(&id).expect("listed above");
            let calls = slot
                .task
                .committed(&receipt.ends)
                .map_err(|source| state_fault(self.topology.application(), id, source))?;
            if let Some(waiting) = &mut self.calls {
                waiting.add(id, calls);
            }
        }
        Stats::add(&self.shared.stats.commits, 1);
        Stats::add(&self.shared.stats.commit_micros, started.elapsed().as_micros() as u64);
        self.flush()
    }

    /// Flushes state by bytes and age, so that the tail read after a crash stays short.
    fn flush(&mut self) -> Result<(), Fault> {
        if self.config.state == StateLocation::Memory {
            return Ok(());
        }
        let (bytes, age) = (self.config.flush_bytes, self.config.flush_interval);
        for (id, slot) in &mut self.slots {
            let unflushed = slot.task.unflushed_bytes();
            if unflushed >= bytes || (unflushed > 0 && slot.last_flush.elapsed() >= age) {
                slot.task.flush().map_err(|source| state_fault(self.topology.application(), *id, source))?;
                slot.last_flush = Instant::now();
            }
        }
        Ok(())
    }

    fn drop_transaction(&self, link: &mut Link) -> Result<(), Fault> {
        if std::mem::take(&mut link.open) {
            link.session.abort().map_err(|error| match self.fault(error) {
                Fault::Abort(reason) => Fault::Fenced(reason),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Drops the commit at hand and reads its records again.
    fn go_back(&mut self, link: &mut Link) -> Result<(), Fault> {
        self.drop_transaction(link)?;
        self.dirty_since = None;
        let mut positions = Vec::new();
        for slot in self.slots.values_mut().filter(|slot| slot.restore.is_none()) {
            positions.extend(slot.task.dropped());
        }
        for (partition, offset) in positions {
            link.session.seek(&partition, offset).map_err(|error| match self.fault(error) {
                Fault::Abort(reason) => Fault::Fenced(reason),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Fenced: nothing pending may be kept, and stores are only as good as the changelog says.
    fn forget_all(&mut self) {
        self.slots.clear();
        self.dirty_since = None;
        self.calls = None;
        self.count_tasks();
    }

    fn leave(&mut self, link: Link) {
        for (id, slot) in &mut self.slots {
            if let Err(error) = slot.task.flush() {
                tracing::warn!(task = %id, %error, "could not flush at the stop; the tail will be read again");
            }
        }
        self.slots.clear();
        self.count_tasks();
        if let Err(error) = link.session.close() {
            tracing::warn!(%error, "could not leave the group; the others wait until the session expires");
        }
    }

    fn fault(&self, error: LogError) -> Fault {
        match error.kind() {
            LogErrorKind::Fenced => Fault::Fenced(error.to_string()),
            LogErrorKind::Abortable | LogErrorKind::Retriable | LogErrorKind::Full => Fault::Abort(error.to_string()),
            _ => Fault::Fatal(self.log_error(error)),
        }
    }

    fn log_error(&self, source: LogError) -> AppError {
        AppError::Log { application: self.topology.application().into(), source }
    }

    fn task_fault(&self, id: TaskId, source: TaskError) -> Fault {
        Fault::Fatal(AppError::Task { application: self.topology.application().into(), task: id.to_string(), source })
    }
}

impl Slot {
    fn may_fire(&self) -> bool {
        self.restore.is_none() && self.behind.is_empty()
    }
}

fn is_passing(error: &LogError) -> bool {
    matches!(
        error.kind(),
        LogErrorKind::Retriable | LogErrorKind::Fenced | LogErrorKind::Abortable | LogErrorKind::Full
    )
}

fn sender(link: &mut Link) -> impl FnMut(Outgoing) -> Result<(), TaskError> + '_ {
    |record| Ok(link.send(&record)?)
}

fn state_fault(application: &str, id: TaskId, source: StateError) -> Fault {
    Fault::Fatal(AppError::State { application: application.into(), task: id.to_string(), source })
}
