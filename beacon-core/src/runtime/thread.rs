//! One stream thread: polls its session, feeds its tasks, fires their timers.
//!
//! How tasks come and go is in `opening`, how their work is committed or dropped in `committing`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::app::{AppError, Shared};
use super::calls::Calls;
use super::checkpointing::Checkpointing;
use super::commit::{Pending, commit_due, poll_wait};
use super::environment::Environment;
use super::fault::{Blame, Fault, is_passing, panic_text};
use super::link::Link;
use super::memory::TableShare;
use super::opening::Waiting;
use super::removal::Removals;
use super::rivalry::{Fenced, Fences};
use super::slot::Slot;
use super::standby::{Standbys, flush_at_end};
use super::stats::{Gauges, Stats};
use super::stores::TaskStores;
use super::trimming::Trimming;
use super::upkeep::Upkeep;
use super::upstream::Upstream;
use super::{AppConfig, Membership};
use crate::log::{Event, Log, LogError, Offset, RecordBatch, Session, SessionConfig, TopicPartition};
use crate::task::{TaskError, TaskId};
use crate::time::ProcessingTime;
use crate::topology::Topology;

/// Due timers fired per turn and task, so that a storm of them does not starve the input.
const TIMERS_PER_TURN: usize = 4096;

/// Records after which it is looked, in the middle of a batch, whether pending state has grown too large.
const RECORDS_PER_LOOK: usize = 64;

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another step.
    Step,
    /// Another step, after this long.
    StepAfter(Duration),
    /// Nothing: it was asked to stop and has left.
    End,
}

pub(super) struct StreamThread {
    pub(super) log: Arc<dyn Log>,
    pub(super) topology: Topology,
    pub(super) config: AppConfig,
    pub(super) stores: Box<dyn TaskStores>,
    pub(super) environment: Arc<dyn Environment>,
    pub(super) shared: Arc<Shared>,
    pub(super) blame: Blame,
    pub(super) number: u32,
    /// `None`: not in the group.
    link: Option<Link>,
    joined_before: bool,
    /// Partition count of each topic read.
    pub(super) partitions: BTreeMap<Arc<str>, u32>,
    pub(super) slots: BTreeMap<TaskId, Slot>,
    /// Tasks given to this thread and not opened yet.
    pub(super) waiting: BTreeMap<TaskId, Waiting>,
    /// What the timers of newly opened tasks wait for.
    pub(super) upstream: Option<Upstream>,
    /// Tasks kept open that are not this thread's, or not now.
    pub(super) standbys: Standbys,
    pub(super) tables: TableShare,
    pub(super) removals: Removals,
    pub(super) calls: Option<Calls>,
    pub(super) checkpointing: Option<Checkpointing>,
    pub(super) trimming: Trimming,
    pub(super) upkeep: Upkeep,
    pub(super) dirty_since: Option<Duration>,
    pub(super) trailing_since: Option<Duration>,
    /// When the last commit began.
    pub(super) committed_at: Option<Duration>,
    pub(super) gauges: Gauges,
    fences: Fences,
    idle: bool,
    last_now: ProcessingTime,
}

impl StreamThread {
    pub(super) fn new(
        log: Arc<dyn Log>,
        topology: Topology,
        config: AppConfig,
        stores: Box<dyn TaskStores>,
        shared: Arc<Shared>,
        number: u32,
        environment: Arc<dyn Environment>,
    ) -> Self {
        Self {
            checkpointing: config
                .checkpoints
                .clone()
                .map(|checkpoints| Checkpointing::new(checkpoints, &topology, &shared)),
            tables: TableShare::new(stores.tables()),
            blame: Blame { application: topology.application().to_owned() },
            gauges: Gauges::new(Arc::clone(&shared.stats)),
            log,
            topology,
            config,
            stores,
            environment,
            shared,
            number,
            link: None,
            joined_before: false,
            partitions: BTreeMap::new(),
            slots: BTreeMap::new(),
            waiting: BTreeMap::new(),
            upstream: None,
            standbys: Standbys::default(),
            removals: Removals::default(),
            fences: Fences::default(),
            calls: None,
            trimming: Trimming::default(),
            upkeep: Upkeep::default(),
            dirty_since: None,
            trailing_since: None,
            committed_at: None,
            idle: false,
            last_now: ProcessingTime::default(),
        }
    }

    /// Steps until asked to stop.
    pub(super) fn run(mut self) -> Result<(), AppError> {
        loop {
            match self.step()? {
                Next::Step => {}
                Next::StepAfter(wait) => self.environment.wait(wait),
                Next::End => return Ok(()),
            }
        }
    }

    /// Does the next thing: joins, takes one turn, or leaves. Nothing here waits but the log.
    pub(super) fn step(&mut self) -> Result<Next, AppError> {
        match self.link.take() {
            None if self.stopping() => Ok(Next::End),
            None => self.step_apart(),
            Some(link) => self.step_joined(link),
        }
    }

    fn step_apart(&mut self) -> Result<Next, AppError> {
        match self.join() {
            Ok(session) => {
                self.link = Some(Link::new(session));
                self.standbys.joined(self.environment.now());
            }
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, application = self.blame.application, "cannot join; trying again");
                return Ok(Next::StepAfter(self.config.retry_backoff));
            }
            Err(error) => return Err(self.blame.log_error(error)),
        }
        if !std::mem::replace(&mut self.joined_before, true) {
            self.shared.joined.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Next::Step)
    }

    fn step_joined(&mut self, mut link: Link) -> Result<Next, AppError> {
        let served = if self.stopping() { self.finish(&mut link) } else { self.serve(&mut link) };
        match served {
            Ok(Next::End) => {
                self.leave(link);
                Ok(Next::End)
            }
            Ok(next) => {
                self.link = Some(link);
                Ok(next)
            }
            Err(fault) => self.fall_out(link, fault),
        }
    }

    /// The session is over; whether another one helps is up to the fault.
    fn fall_out(&mut self, mut link: Link, fault: Fault) -> Result<Next, AppError> {
        // Before the session goes: whoever is given these tasks next finds their directories free.
        self.forget_all();
        let application = &self.blame.application;
        match fault {
            Fault::Fenced(reason) => {
                Stats::add(&self.shared.stats.fenced, 1);
                match self.fences.note(self.environment.now()) {
                    Fenced::Once => tracing::warn!(reason, application, "fenced by a newer owner; joining again"),
                    Fenced::Again { say, wait } => {
                        if say {
                            tracing::error!(
                                reason,
                                application,
                                instance = self.config.instance,
                                "fenced again and again: another live process uses this instance name, and neither can \
                                 work; give each process a name of its own"
                            );
                        }
                        return Ok(Next::StepAfter(wait));
                    }
                }
            }
            Fault::Abort(reason) | Fault::Rejoin(reason) => {
                Stats::add(&self.shared.stats.rejoined, 1);
                tracing::error!(reason, application, "cannot go on as it is; joining again");
            }
            Fault::Fatal(error) => {
                if let Err(error) = link.abort() {
                    tracing::warn!(%error, application, "the open transaction is left to its time-out");
                }
                return Err(error);
            }
        }
        Ok(Next::StepAfter(self.config.retry_backoff))
    }

    pub(super) fn stopping(&self) -> bool {
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
            let appender = self.log.appender()?.into();
            self.calls = Some(Calls::new(appender, self.config.calls_in_flight, self.config.retry_backoff));
        }
        let member = format!("{application}-{}-{}", self.config.instance, self.number);
        let mut config = SessionConfig::new(application, member.clone(), topics);
        config.instance_id = (self.config.membership == Membership::Static).then_some(member);
        config.session_timeout = self.config.session_timeout;
        config.transaction_timeout = self.config.transaction_timeout;
        self.log.session(config)
    }

    /// Commits what can be committed before the end.
    fn finish(&mut self, link: &mut Link) -> Result<Next, Fault> {
        match self.commit(link) {
            // What could not be committed is done again after the restart.
            Err(Fault::Abort(reason)) => {
                tracing::warn!(reason, "the last commit before the stop was dropped");
                self.go_back(link)?;
            }
            other => other?,
        }
        Ok(Next::End)
    }

    /// One turn. Aborts are mended here; what comes out is worse.
    fn serve(&mut self, link: &mut Link) -> Result<Next, Fault> {
        match self.turn(link) {
            Ok(()) => Ok(Next::Step),
            Err(Fault::Abort(reason)) => {
                Stats::add(&self.shared.stats.aborts, 1);
                tracing::warn!(reason, "commit dropped; doing its work again");
                self.go_back(link)?;
                Ok(Next::StepAfter(self.config.retry_backoff))
            }
            Err(other) => Err(other),
        }
    }

    fn turn(&mut self, link: &mut Link) -> Result<(), Fault> {
        let wait = self.wait()?;
        let event = link.session.poll(wait).map_err(|error| self.unread(error))?;
        self.idle = matches!(event, Event::Idle);
        match event {
            Event::Records(batch) => self.feed(batch.as_ref(), link)?,
            Event::Assigned(partitions) => self.assigned(partitions, link)?,
            Event::Revoked(partitions) => self.revoked(&partitions, link)?,
            Event::Lost(partitions) => self.lost(&partitions, link)?,
            Event::EndOfPartition(partition, end) => self.reached_end(&partition, end),
            Event::Idle => {}
        }
        self.open_waiting(link)?;
        self.restore(link)?;
        self.follow_standbys();
        self.begin_upkeep();
        self.divide_tables();
        self.look_upstream()?;
        self.fire_timers(link)?;
        let pending = self.pending();
        self.gauges.set_overlay(pending.bytes as u64);
        if let Some(reason) = commit_due(pending, &self.config) {
            tracing::trace!(?reason, "commit");
            self.commit(link)?;
        }
        self.flush()?;
        self.trim_internal();
        self.checkpoint()
    }

    /// How long to wait for the next event; starts calls on the way, which are made after commits only.
    fn wait(&mut self) -> Result<Duration, Fault> {
        let now = self.environment.now();
        let next_call = match &mut self.calls {
            Some(calls) => calls.start(&self.topology, now).map_err(|error| self.blame.log(error).not_undone())?,
            None => None,
        };
        let next_open = self.waiting.values().map(|waiting| waiting.try_at).min();
        let next_look = self.upstream.as_ref().map(|upstream| upstream.look_at);
        let clock = self.now();
        let next_timer = self.next_timer(clock)?;
        let restoring = self.standbys.is_behind() || self.slots.values().any(|slot| slot.restore.is_some());
        let wait = poll_wait(self.pending(), next_timer, restoring, &self.config);
        let chores = [next_call, next_open, next_look].into_iter().flatten().min();
        Ok(chores.map_or(wait, |at| wait.min(at.saturating_sub(now))))
    }

    /// The one reading of the clock.
    pub(super) fn now(&mut self) -> ProcessingTime {
        // Never back: a clock that is set back must not make timers wait for it.
        self.last_now = self.last_now.max(self.environment.wall_clock());
        self.last_now
    }

    fn pending(&self) -> Pending {
        let now = self.environment.now();
        Pending {
            age: self.dirty_since.map(|since| now.saturating_sub(since)),
            since_commit: self.committed_at.map(|at| now.saturating_sub(at)),
            bytes: self.slots.values().map(|slot| slot.task.pending_bytes()).sum(),
            idle: self.idle,
            trailing: self.trailing_since.map(|since| now.saturating_sub(since)),
        }
    }

    fn next_timer(&mut self, now: ProcessingTime) -> Result<Option<Duration>, Fault> {
        let mut earliest: Option<ProcessingTime> = None;
        for (id, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.may_fire()) {
            let next = slot.task.next_timer().map_err(|source| self.blame.state(*id, source))?;
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
                return Err(Fault::Rejoin(reason));
            };
            let fed = {
                let (task, mut send) = (&mut slot.task, link.sender());
                catch_unwind(AssertUnwindSafe(|| task.feed(record, now, &mut send)))
            };
            self.dirty_since.get_or_insert_with(|| self.environment.now());
            // The end of an input that never rests may never be told.
            if !slot.backlog.is_empty() {
                slot.backlog.note(&record.topic_partition(), record.offset + 1);
            }
            self.check(id, fed, || format!("{record:?}"))?;
            // A batch may come to far more state than input.
            if index % RECORDS_PER_LOOK == RECORDS_PER_LOOK - 1 && self.pending().bytes >= self.config.commit_bytes {
                self.commit(link)?;
            }
        }
        Ok(())
    }

    fn fire_timers(&mut self, link: &mut Link) -> Result<(), Fault> {
        let now = self.now();
        let ids: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.may_fire()).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let earliest = slot.task.next_timer().map_err(|source| self.blame.state(id, source))?;
            let (task, mut send) = (&mut slot.task, link.sender());
            let fired = catch_unwind(AssertUnwindSafe(|| task.fire_timers(now, TIMERS_PER_TURN, &mut send)));
            let fired = self.check(id, fired, || format!("timers of task {id}"))?;
            if fired > 0 {
                self.dirty_since.get_or_insert_with(|| self.environment.now());
                Stats::add(&self.shared.stats.timers, fired as u64);
                self.shared.stats.timer_lateness.observe(now.since(earliest.unwrap_or(now)));
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
            Ok(result) => result.map_err(|source| self.blame.task(id, source)),
            Err(panic) => {
                let reason = format!("an operator panicked: {}", panic_text(panic.as_ref()));
                Err(self.blame.task(id, TaskError::Stop { at: at(), reason }))
            }
        }
    }

    pub(super) fn task_of(&self, topic: &Arc<str>, partition: u32) -> TaskId {
        if self.partitions.get(topic).is_none_or(|count| *count == self.config.partitions) {
            TaskId::Keyed(partition)
        } else {
            TaskId::Stateless(partition)
        }
    }

    fn reached_end(&mut self, partition: &TopicPartition, end: Offset) {
        let id = self.task_of(&partition.topic, partition.partition);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.backlog.note(partition, end);
        slot.task.positions.reach_end(partition, end);
        if slot.task.positions.trail() {
            self.trailing_since.get_or_insert_with(|| self.environment.now());
        }
    }

    fn leave(&mut self, link: Link) {
        self.forget_all();
        if let Err(error) = link.session.close() {
            tracing::warn!(%error, "could not leave the group; the others wait until the session expires");
        }
    }

    /// Nothing pending may be kept. What is committed is as good on the disk as in the changelog, and quicker to have.
    fn forget_all(&mut self) {
        for (id, mut slot) in std::mem::take(&mut self.slots) {
            if self.stores.outlive_the_process() {
                flush_at_end(id, &mut slot.task);
            }
        }
        self.standbys.close();
        self.waiting.clear();
        self.upstream = None;
        self.dirty_since = None;
        self.trailing_since = None;
        self.calls = None;
        self.gauges.forget_all();
        if let Some(checkpointing) = &mut self.checkpointing {
            checkpointing.forget_all();
        }
    }
}
