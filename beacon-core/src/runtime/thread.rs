//! One stream thread: polls its session, feeds its tasks, fires their timers.
//!
//! How it comes into its group and leaves it is in `joining`, how tasks come and go in `opening`, how records come to them in
//! `feeding`, how their work is committed or dropped in `committing`, and begins to be in `head_start`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::AppConfig;
use super::app::{AppError, Shared};
use super::calls::Calls;
use super::checkpointing::Checkpointing;
use super::commit::{Pending, commit_due, poll_wait};
use super::environment::Environment;
use super::fault::{Blame, Fault};
use super::link::Link;
use super::memory::TableShare;
use super::opening::Waiting;
use super::removal::Removals;
use super::rivalry::Fences;
use super::slot::Slot;
use super::standby::Standbys;
use super::stats::{Gauges, Stats};
use super::stores::TaskStores;
use super::trimming::Trimming;
use super::upkeep::Upkeep;
use super::upstream::Upstream;
use crate::log::{Event, Log, Offset, TopicPartition};
use crate::task::TaskId;
use crate::time::ProcessingTime;
use crate::topology::Topology;

/// Due timers fired per turn and task, so that a storm of them does not starve the input.
const TIMERS_PER_TURN: usize = 4096;

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
    pub(super) link: Option<Link>,
    pub(super) joined_before: bool,
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
    pub(super) fences: Fences,
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

    pub(super) fn stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
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
        let wait = self.wait(link)?;
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
        } else if self.until_head_start(pending, link).is_some_and(|left| left.is_zero()) {
            self.send_ahead(link)?;
        }
        self.flush()?;
        self.trim_internal();
        self.checkpoint()
    }

    /// How long to wait for the next event; starts calls on the way, which are made after commits only.
    fn wait(&mut self, link: &Link) -> Result<Duration, Fault> {
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
        let pending = self.pending();
        let head_start = self.until_head_start(pending, link);
        let wait = poll_wait(pending, next_timer, head_start, restoring, &self.config);
        let chores = [next_call, next_open, next_look].into_iter().flatten().min();
        Ok(chores.map_or(wait, |at| wait.min(at.saturating_sub(now))))
    }

    /// The one reading of the clock.
    pub(super) fn now(&mut self) -> ProcessingTime {
        // Never back: a clock that is set back must not make timers wait for it.
        self.last_now = self.last_now.max(self.environment.wall_clock());
        self.last_now
    }

    pub(super) fn pending(&self) -> Pending {
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

    fn fire_timers(&mut self, link: &mut Link) -> Result<(), Fault> {
        let now = self.now();
        let ids: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.may_fire()).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let earliest = slot.task.next_timer().map_err(|source| self.blame.state(id, source))?;
            let (task, mut send) = (&mut slot.task, link.sender());
            let fired = catch_unwind(AssertUnwindSafe(|| task.fire_timers(now, TIMERS_PER_TURN, &mut send)));
            let fired = self.blame.step(id, fired, || format!("timers of task {id}"))?;
            if fired > 0 {
                self.dirty_since.get_or_insert_with(|| self.environment.now());
                Stats::add(&self.shared.stats.timers, fired as u64);
                self.shared.stats.timer_lateness.observe(now.since(earliest.unwrap_or(now)));
            }
        }
        Ok(())
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
}
