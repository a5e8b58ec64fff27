//! Who goes next: one step or event at a time, in virtual time, by one seed.
//!
//! A stream thread that stands still in the middle of a call does so on the stack of this thread: the scheduler is entered
//! again and runs the others until the call's time is over. So any two of them, of one process or of two, can meet between
//! any two calls, and nothing but the seed decides.

mod lives;
mod rest;
mod running;
mod troubles;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::lives::Place;
use super::Fault;
use super::hands::Outside;
use super::world::{Incarnation, SharedWorld, enter};
use crate::log::simulated::SimulatedLog;
use crate::log::{Appender, Log, LogError, Record};
use crate::runtime::{AppConfig, Next};
use crate::topology::Topology;

pub(super) use self::running::{
    Running, crashed, drops_an_answer, later, others_run_for, sleeps_until, start_twin, work_beside,
};

/// What is going to happen without a process.
enum Event {
    Start(usize),
    /// A process is asked to leave.
    Stop(usize),
    /// The input from this index on that is due.
    Feed(usize),
    Blackout,
    BrokerAway,
    /// For a while and for the reason of this fault.
    StorageRefuses(Fault),
    ExpireInput,
    /// Something of the job's own, such as the answer of a call.
    Act(Box<dyn FnOnce()>),
}

/// Everything one run is made of.
pub(super) struct Scheduler {
    pub(super) world: SharedWorld,
    /// The view from outside.
    pub(super) log: SimulatedLog,
    topology: Topology,
    config: AppConfig,
    input: Vec<(Duration, Record)>,
    appender: Box<dyn Appender>,
    places: RefCell<Vec<Place>>,
    events: RefCell<BTreeMap<(Duration, u64, u64), Event>>,
    counters: RefCell<Counters>,
    failure: RefCell<Option<String>>,
    /// How many processes stand still right now.
    depth: Cell<u32>,
    step_limit: u64,
}

#[derive(Default)]
struct Counters {
    events: u64,
    steps: u64,
    version: u64,
    changed_at: Duration,
}

impl Scheduler {
    pub(super) fn new(
        world: SharedWorld,
        topology: Topology,
        config: AppConfig,
        input: Vec<(Duration, Record)>,
        processes: usize,
        step_limit: u64,
    ) -> Result<Rc<Self>, LogError> {
        let rebalancing = enter(&world).rebalancing;
        let outside = Arc::new(Outside { world: Arc::clone(&world) });
        let log = SimulatedLog::with_rebalancing(outside, rebalancing);
        log.create_topics(&config.topics)?;
        let places = (0..processes).map(|_| Place { incarnation: Incarnation(0), disk: 0, lanes: Vec::new() });
        Ok(Rc::new(Self {
            appender: log.appender()?,
            log,
            topology,
            config,
            input,
            places: RefCell::new(places.collect()),
            events: RefCell::default(),
            counters: RefCell::default(),
            failure: RefCell::default(),
            depth: Cell::new(0),
            step_limit,
            world,
        }))
    }

    /// Makes this the run of the thread, and plans what begins it.
    pub(super) fn begin(self: &Rc<Self>, faults_until: Duration) -> Running {
        let running = self.enter_thread();
        let processes = self.places.borrow().len();
        for process in 0..processes {
            let disk = self.new_disk();
            self.places.borrow_mut()[process].disk = disk;
            let at = enter(&self.world).random.between(Duration::ZERO, Duration::from_millis(500));
            self.schedule(at, Event::Start(process));
        }
        if let Some((at, _)) = self.input.first() {
            self.schedule(*at, Event::Feed(0));
        }
        self.plan_troubles(faults_until);
        running
    }

    fn schedule(&self, after: Duration, event: Event) {
        let (at, tie) = {
            let mut world = enter(&self.world);
            (world.now + after, world.random.next())
        };
        let number = {
            let mut counters = self.counters.borrow_mut();
            counters.events += 1;
            counters.events
        };
        self.events.borrow_mut().insert((at, tie, number), event);
    }

    /// Runs what is due, in order, until this time, or until `done`, which is asked after each step.
    pub(super) fn run_until(self: &Rc<Self>, until: Duration, done: &dyn Fn() -> bool) {
        while self.failure.borrow().is_none() && !done() {
            let event = self.events.borrow().first_key_value().map(|(key, _)| *key);
            let thread = self.next_thread();
            let event_first = match (event, thread) {
                (Some((at, ..)), Some((ready, _))) => at <= ready,
                (event, _) => event.is_some(),
            };
            let at = if event_first { event.map(|(at, ..)| at) } else { thread.map(|(at, _)| at) };
            let Some(at) = at.filter(|at| *at <= until) else {
                let mut world = enter(&self.world);
                world.now = world.now.max(until);
                return;
            };
            {
                let mut world = enter(&self.world);
                world.now = world.now.max(at);
            }
            match (event.filter(|_| event_first), thread) {
                (Some(key), _) => {
                    let event = self.events.borrow_mut().remove(&key);
                    if let Some(event) = event {
                        self.happen(event);
                    }
                }
                (None, Some((_, thread))) => self.step(thread),
                (None, None) => return,
            }
            self.wake();
        }
    }

    /// The thread that is ready first, and of which process it is; of several at the same time the one the seed picks.
    fn next_thread(&self) -> Option<(Duration, (usize, usize))> {
        let places = self.places.borrow();
        let lanes = || {
            let lanes = places.iter().enumerate().flat_map(|(process, place)| {
                place.lanes.iter().enumerate().map(move |(thread, lane)| ((process, thread), lane))
            });
            lanes.filter(|(_, lane)| lane.machine.is_some())
        };
        let first = lanes().map(|(_, lane)| lane.ready_at).min()?;
        let tied: Vec<_> = lanes().filter(|(_, lane)| lane.ready_at == first).map(|(which, _)| which).collect();
        let which = if tied.len() == 1 { tied[0] } else { enter(&self.world).random.pick(&tied) };
        Some((first, which))
    }

    fn step(self: &Rc<Self>, (process, thread): (usize, usize)) {
        let (mut machine, incarnation) = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[process];
            let incarnation = place.incarnation;
            let lane = &mut place.lanes[thread];
            lane.sleeps_until = Duration::ZERO;
            lane.idle = false;
            let Some(machine) = lane.machine.take() else { return };
            (machine, incarnation)
        };
        {
            let mut counters = self.counters.borrow_mut();
            counters.steps += 1;
            if counters.steps > self.step_limit {
                self.fail(format!("more than {} steps: it does not come to rest", self.step_limit));
            }
        }
        let next = machine.step();
        let is_alive = enter(&self.world).alive.contains(&incarnation);
        if !is_alive || self.places.borrow()[process].incarnation != incarnation {
            // Killed, or replaced while it stood still: this was its last step.
            self.end(process, incarnation);
            drop(machine);
            return;
        }
        match next {
            Ok(Next::End) => {
                drop(machine);
                let all_ended = {
                    let lanes = &mut self.places.borrow_mut()[process].lanes;
                    lanes[thread].ended = true;
                    lanes.iter().all(|lane| lane.ended)
                };
                if all_ended {
                    enter(&self.world).alive.remove(&incarnation);
                    self.restart(process, Duration::from_secs(8));
                }
            }
            Ok(next) => {
                let wait = if let Next::StepAfter(wait) = next { wait } else { Duration::ZERO };
                let (now, takes) = {
                    let mut world = enter(&self.world);
                    (world.now, world.random.between(Duration::from_micros(20), Duration::from_micros(800)))
                };
                let mut places = self.places.borrow_mut();
                let lane = &mut places[process].lanes[thread];
                lane.machine = Some(machine);
                lane.idle = wait.is_zero() && lane.sleeps_until > now;
                lane.ready_at = (now + takes + wait).max(lane.sleeps_until);
            }
            Err(error) => {
                drop(machine);
                self.fail(format!("process {process} gave up: {error}"));
            }
        }
    }

    fn fail(&self, reason: String) {
        self.failure.borrow_mut().get_or_insert(reason);
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.borrow_mut().take()
    }

    /// After a change of the log, sleepers look soon.
    fn wake(&self) {
        let version = self.log.version();
        let mut counters = self.counters.borrow_mut();
        if version == counters.version {
            return;
        }
        counters.version = version;
        let mut world = enter(&self.world);
        counters.changed_at = world.now;
        let mut places = self.places.borrow_mut();
        for lane in places.iter_mut().flat_map(|place| &mut place.lanes).filter(|lane| lane.idle) {
            let soon = world.now + world.random.between(Duration::ZERO, Duration::from_millis(2));
            lane.ready_at = lane.ready_at.min(soon);
        }
    }

    fn happen(self: &Rc<Self>, event: Event) {
        match event {
            Event::Start(process) => self.start(process),
            Event::Stop(process) => self.ask_to_leave(process),
            Event::Feed(index) => self.feed(index),
            Event::Blackout => self.black_out(),
            Event::BrokerAway => self.broker_goes_away(),
            Event::StorageRefuses(fault) => self.storage_refuses(fault),
            Event::ExpireInput => self.expire_input(),
            Event::Act(act) => act(),
        }
    }

    fn feed(&self, index: usize) {
        let now = enter(&self.world).now;
        let due: Vec<_> = self.input[index..].iter().take_while(|(at, _)| *at <= now).map(|(_, r)| r.clone()).collect();
        let next = index + due.len();
        enter(&self.world).note(None, "input", due.len() as u64);
        if let Err(error) = self.appender.append_blocking(due) {
            self.fail(format!("the input cannot be appended: {error}"));
        }
        if let Some((at, _)) = self.input.get(next) {
            self.schedule(at.saturating_sub(now), Event::Feed(next));
        }
    }

    pub(super) fn steps(&self) -> u64 {
        self.counters.borrow().steps
    }
}
