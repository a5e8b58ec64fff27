//! Who goes next: one step or event at a time, in virtual time, by one seed.
//!
//! A process that stands still in the middle of a call does so on the stack of this thread: the scheduler is entered
//! again and runs the others until the call's time is over. So any two processes can meet between any two calls, and
//! nothing but the seed decides.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Fault;
use super::disk::{Disk, SimulatedStores};
use super::hands::{Hands, Outside};
use super::world::{Incarnation, SharedWorld, enter};
use crate::log::simulated::SimulatedLog;
use crate::log::{Appender, Isolation, Log, LogError, Record, TopicPartition};
use crate::runtime::{AppConfig, Background, Environment, Next, SteppedProcess};
use crate::topology::Topology;

thread_local! {
    /// The run of this thread. Calls of a process find it here: what they are made through must be [`Send`], and
    /// processes are not.
    static RUNNING: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

fn running() -> Option<Rc<Scheduler>> {
    RUNNING.with_borrow(Clone::clone)
}

/// How many processes may stand still on top of each other. Where one more would, the others do not run meanwhile: the
/// stack of a test thread is not large.
const DEEPEST: u32 = 5;

/// Runs everybody else for this long.
pub(super) fn others_run_for(duration: Duration) {
    if let Some(scheduler) = running() {
        let until = enter(&scheduler.world).now + duration;
        if scheduler.depth.get() < DEEPEST {
            scheduler.depth.set(scheduler.depth.get() + 1);
            scheduler.run_until(until, &|| false);
            scheduler.depth.set(scheduler.depth.get() - 1);
        } else {
            enter(&scheduler.world).now = until;
        }
    }
}

pub(super) fn crashed(process: usize, incarnation: Incarnation) {
    if let Some(scheduler) = running() {
        scheduler.bury(process, incarnation);
    }
}

pub(super) fn start_twin(process: usize) {
    if let Some(scheduler) = running() {
        scheduler.start_twin(process);
    }
}

pub(super) fn sleeps_until(process: usize, incarnation: Incarnation, deadline: Duration) {
    if let Some(scheduler) = running() {
        let mut places = scheduler.places.borrow_mut();
        if places[process].incarnation == incarnation {
            places[process].sleeps_until = places[process].sleeps_until.max(deadline);
        }
    }
}

/// Calls `act` after a while by the seed's choice, or at once when no simulation runs on this thread.
pub(super) fn later(act: Box<dyn FnOnce()>) {
    match running() {
        Some(scheduler) => {
            let delay = enter(&scheduler.world).random.between(Duration::ZERO, Duration::from_millis(300));
            scheduler.schedule(delay, Event::Act(act));
        }
        None => act(),
    }
}

/// Steps what a process does beside its stream thread, at times the seed chooses, as long as that process lives.
pub(super) fn work_beside(hands: Hands, mut work: Box<dyn Background>, wait: Duration) {
    let Some(scheduler) = running() else { return };
    let takes = enter(&scheduler.world).random.between(Duration::ZERO, Duration::from_millis(100));
    let act = move || {
        if !hands.is_alive() {
            return;
        }
        if let Some(wait) = work.step(Environment::now(&hands)) {
            work_beside(hands, work, wait);
        }
    };
    scheduler.schedule(wait + takes, Event::Act(Box::new(act)));
}

/// Whether the world outside forgets the call it was about to answer.
pub(super) fn drops_an_answer() -> bool {
    running().is_some_and(|scheduler| {
        let mut world = enter(&scheduler.world);
        let drops = world.draws(Fault::FailedCall);
        if drops {
            world.strike(None, Fault::FailedCall, "a call is dropped without an answer", 0);
        }
        drops
    })
}

/// What is going to happen without a process.
enum Event {
    Start(usize),
    /// A process is asked to leave.
    Stop(usize),
    /// The input from this index on that is due.
    Feed(usize),
    Blackout,
    BrokerAway,
    StorageAway,
    /// Something of the job's own, such as the answer of a call.
    Act(Box<dyn FnOnce()>),
}

/// Where a process lives, and when it goes on.
struct Place {
    incarnation: Incarnation,
    /// `None`: not running, or being stepped right now.
    machine: Option<SteppedProcess>,
    ready_at: Duration,
    /// Asleep until something happens.
    idle: bool,
    sleeps_until: Duration,
    disk: usize,
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

/// Sets the scheduler aside when a run is over, however it ends.
pub(super) struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        let scheduler = RUNNING.with_borrow_mut(Option::take);
        // Outside of the borrow: what goes now may look for the scheduler once more.
        if let Some(scheduler) = scheduler {
            let machines: Vec<_> =
                scheduler.places.borrow_mut().iter_mut().filter_map(|place| place.machine.take()).collect();
            drop(machines);
            let events = std::mem::take(&mut *scheduler.events.borrow_mut());
            drop(events);
        }
    }
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
        let places = (0..processes).map(|_| Place {
            incarnation: Incarnation(0),
            machine: None,
            ready_at: Duration::ZERO,
            idle: false,
            sleeps_until: Duration::ZERO,
            disk: 0,
        });
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
        RUNNING.with_borrow_mut(|running| *running = Some(Rc::clone(self)));
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
        self.plan(Fault::Blackout, faults_until, 3, &|_| Event::Blackout);
        self.plan(Fault::BrokerAway, faults_until, 2, &|_| Event::BrokerAway);
        self.plan(Fault::StorageAway, faults_until, 3, &|_| Event::StorageAway);
        self.plan(Fault::Rebalance, faults_until, 4, &|pick| Event::Stop((pick % processes as u64) as usize));
        Running
    }

    /// Up to `most` events of a kind that no call brings about.
    fn plan(&self, fault: Fault, until: Duration, most: u64, event: &dyn Fn(u64) -> Event) {
        let mut world = enter(&self.world);
        if !world.rates.uses(fault) {
            return;
        }
        for _ in 0..=world.random.below(most) {
            let at = world.random.between(Duration::ZERO, until);
            let pick = world.random.next();
            drop(world);
            self.schedule(at, event(pick));
            world = enter(&self.world);
        }
    }

    fn new_disk(&self) -> usize {
        let mut world = enter(&self.world);
        world.disks.push(Disk::default());
        world.disks.len() - 1
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
            let process = self.next_process();
            let event_first = match (event, process) {
                (Some((at, ..)), Some((ready, _))) => at <= ready,
                (event, _) => event.is_some(),
            };
            let at = if event_first { event.map(|(at, ..)| at) } else { process.map(|(at, _)| at) };
            let Some(at) = at.filter(|at| *at <= until) else {
                let mut world = enter(&self.world);
                world.now = world.now.max(until);
                return;
            };
            {
                let mut world = enter(&self.world);
                world.now = world.now.max(at);
            }
            match (event.filter(|_| event_first), process) {
                (Some(key), _) => {
                    let event = self.events.borrow_mut().remove(&key);
                    if let Some(event) = event {
                        self.happen(event);
                    }
                }
                (None, Some((_, process))) => self.step(process),
                (None, None) => return,
            }
            self.wake();
        }
    }

    /// The process that is ready first; of several at the same time the one the seed picks.
    fn next_process(&self) -> Option<(Duration, usize)> {
        let places = self.places.borrow();
        let ready = |place: &&Place| place.machine.is_some();
        let first = places.iter().filter(ready).map(|place| place.ready_at).min()?;
        let tied: Vec<usize> =
            (0..places.len()).filter(|index| ready(&&places[*index]) && places[*index].ready_at == first).collect();
        let process = if tied.len() == 1 { tied[0] } else { enter(&self.world).random.pick(&tied) };
        Some((first, process))
    }

    fn step(self: &Rc<Self>, process: usize) {
        let (mut machine, incarnation) = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[process];
            place.sleeps_until = Duration::ZERO;
            place.idle = false;
            let Some(machine) = place.machine.take() else { return };
            (machine, place.incarnation)
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
                enter(&self.world).alive.remove(&incarnation);
                self.restart(process, Duration::from_secs(8));
            }
            Ok(next) => {
                let wait = if let Next::StepAfter(wait) = next { wait } else { Duration::ZERO };
                let (now, takes) = {
                    let mut world = enter(&self.world);
                    (world.now, world.random.between(Duration::from_micros(20), Duration::from_micros(800)))
                };
                let mut places = self.places.borrow_mut();
                let place = &mut places[process];
                place.machine = Some(machine);
                place.idle = wait.is_zero() && place.sleeps_until > now;
                place.ready_at = (now + takes + wait).max(place.sleeps_until);
            }
            Err(error) => {
                drop(machine);
                self.fail(format!("process {process} gave up: {error}"));
            }
        }
    }

    /// Takes what is left of an incarnation out of the world.
    fn end(&self, process: usize, incarnation: Incarnation) {
        let mut world = enter(&self.world);
        if world.alive.contains(&incarnation) {
            // A twin that was replaced: its disk is nobody's any more.
            world.note(Some(process), "the replaced process ends", incarnation.0);
            world.alive.remove(&incarnation);
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
        for place in self.places.borrow_mut().iter_mut().filter(|place| place.idle) {
            let soon = world.now + world.random.between(Duration::ZERO, Duration::from_millis(2));
            place.ready_at = place.ready_at.min(soon);
        }
    }

    fn happen(self: &Rc<Self>, event: Event) {
        match event {
            Event::Start(process) => self.start(process),
            Event::Stop(process) => {
                if enter(&self.world).calm {
                    return;
                }
                let places = self.places.borrow();
                if let Some(machine) = &places[process].machine {
                    enter(&self.world).strike(Some(process), Fault::Rebalance, "is asked to leave", 0);
                    machine.request_stop();
                }
            }
            Event::Feed(index) => self.feed(index),
            Event::Blackout => self.black_out(),
            Event::BrokerAway => {
                let mut world = enter(&self.world);
                if !world.calm {
                    let away = world.random.between(Duration::from_millis(100), Duration::from_secs(5));
                    world.away_until = world.now + away;
                    world.strike(None, Fault::BrokerAway, "broker away", away.as_millis() as u64);
                }
            }
            Event::StorageAway => {
                let mut world = enter(&self.world);
                if !world.calm {
                    let away = world.random.between(Duration::from_millis(500), Duration::from_secs(10));
                    world.storage_away_until = world.now + away;
                    world.strike(None, Fault::StorageAway, "object storage away", away.as_millis() as u64);
                }
            }
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

    fn start(self: &Rc<Self>, process: usize) {
        // One that died outside of its own steps, when an answer came for it, is still here.
        let dead = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[process];
            // A twin may have come first.
            if enter(&self.world).alive.contains(&place.incarnation) {
                return;
            }
            place.machine.take()
        };
        drop(dead);
        let hands = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[process];
            let mut world = enter(&self.world);
            if world.draws(Fault::LostDisk) {
                world.strike(Some(process), Fault::LostDisk, "comes back with an empty disk", 0);
                world.disks[place.disk].clear();
            }
            place.incarnation = world.incarnate();
            let skewed = world.rates.uses(Fault::ClockSkew);
            let most = if skewed { Duration::from_millis(500) } else { Duration::ZERO };
            let skew = world.random.between(Duration::ZERO, most);
            world.note(Some(process), "starts", place.incarnation.0);
            if skewed {
                world.strike(Some(process), Fault::ClockSkew, "clock ahead", skew.as_millis() as u64);
            }
            place.ready_at = world.now;
            Hands { world: Arc::clone(&self.world), process, incarnation: place.incarnation, disk: place.disk, skew }
        };
        let mut config = self.config.clone();
        config.instance = process.to_string();
        let flush_factor = enter(&self.world).flush_factor;
        config.flush_bytes = config.flush_bytes.saturating_mul(flush_factor as usize);
        config.flush_interval = config.flush_interval.saturating_mul(flush_factor);
        let log = Arc::new(self.log.client(Arc::new(hands.clone())));
        let stores = Box::new(SimulatedStores { hands: hands.clone() });
        let machine = SteppedProcess::new(log, self.topology.clone(), config, stores, Arc::new(hands));
        self.places.borrow_mut()[process].machine = Some(machine);
    }

    /// Another process under the same name, on another machine. The first one is on the stack below.
    fn start_twin(self: &Rc<Self>, process: usize) {
        let disk = self.new_disk();
        {
            let mut places = self.places.borrow_mut();
            places[process].disk = disk;
            places[process].incarnation = Incarnation(0);
        }
        let after = enter(&self.world).random.between(Duration::from_millis(100), Duration::from_secs(4));
        self.schedule(after, Event::Start(process));
    }

    /// A crash in the middle of a step: the machine is on the stack and goes when the step returns.
    fn bury(self: &Rc<Self>, process: usize, incarnation: Incarnation) {
        if self.places.borrow()[process].incarnation == incarnation {
            self.restart(process, Duration::from_secs(15));
        }
    }

    fn restart(&self, process: usize, at_most: Duration) {
        let after = {
            let mut world = enter(&self.world);
            let at_most = if world.random.once_in(3) { at_most } else { Duration::from_secs(1) };
            world.random.between(Duration::from_millis(50), at_most)
        };
        self.schedule(after, Event::Start(process));
    }

    fn black_out(self: &Rc<Self>) {
        let (down, calm) = {
            let mut world = enter(&self.world);
            (world.random.between(Duration::from_secs(1), Duration::from_mins(1)), world.calm)
        };
        if calm {
            return;
        }
        enter(&self.world).strike(None, Fault::Blackout, "all processes die", down.as_millis() as u64);
        let processes = self.places.borrow().len();
        let mut gone = Vec::new();
        for process in 0..processes {
            let mut places = self.places.borrow_mut();
            let place = &mut places[process];
            enter(&self.world).kill(place.incarnation, place.disk);
            gone.extend(place.machine.take());
        }
        drop(gone);
        // Who was to come back earlier has no power either.
        self.events.borrow_mut().retain(|_, event| !matches!(event, Event::Start(_)));
        for process in 0..processes {
            let more = enter(&self.world).random.between(Duration::ZERO, Duration::from_secs(4));
            self.schedule(down + more, Event::Start(process));
        }
    }

    pub(super) fn steps(&self) -> u64 {
        self.counters.borrow().steps
    }

    /// No more faults. Whoever was kept from something by one has yet to do it, so the quiet begins anew.
    pub(super) fn calm_down(&self) {
        let mut world = enter(&self.world);
        world.calm = true;
        world.away_until = Duration::ZERO;
        world.storage_away_until = Duration::ZERO;
        world.note(None, "calm from here on", 0);
        self.counters.borrow_mut().changed_at = world.now;
    }

    /// Whether everybody is up and everything visible is read.
    pub(super) fn is_at_rest(&self, quiet: Duration) -> bool {
        let now = enter(&self.world).now;
        if now < self.counters.borrow().changed_at + quiet {
            return false;
        }
        let all_up =
            self.places.borrow().iter().all(|place| place.machine.as_ref().is_some_and(SteppedProcess::is_whole));
        all_up && self.log.is_settled() && self.unread().is_ok_and(|unread| unread.is_empty())
    }

    /// Input partitions the group has not read to their end.
    pub(super) fn unread(&self) -> Result<Vec<String>, LogError> {
        let mut topics: Vec<&str> = self.topology.sources().iter().map(|source| &*source.topic).collect();
        topics.extend(self.topology.internal_topics().iter().map(|topic| &*topic.name));
        let committed: BTreeMap<_, _> = self.log.committed(self.topology.application(), &topics)?.into_iter().collect();
        let mut unread = Vec::new();
        for topic in topics {
            let count = self.log.describe_topic(topic)?.map_or(0, |topic| topic.partitions);
            for number in 0..count {
                let at = TopicPartition::new(topic, number);
                let range = self.log.offsets(&at, Isolation::Uncommitted)?;
                let read = committed.get(&at).copied().unwrap_or(range.start);
                if read < range.end {
                    unread.push(format!("{at} is read to {read} of {}", range.end));
                }
            }
        }
        Ok(unread)
    }
}
