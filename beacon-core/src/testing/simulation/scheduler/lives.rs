//! How processes begin and end: starts, crashes, twins, blackouts.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::Fault;
use super::super::disk::{Disk, SimulatedStores};
use super::super::hands::Hands;
use super::super::world::{Incarnation, enter};
use super::{Event, Scheduler};
use crate::runtime::{SteppedThread, Surroundings};

/// Where a process lives.
pub(super) struct Place {
    pub(super) incarnation: Incarnation,
    pub(super) disk: usize,
    /// Its stream threads; none before its first start.
    pub(super) lanes: Vec<Lane>,
}

/// A stream thread of a process, and when it goes on.
#[derive(Default)]
pub(super) struct Lane {
    /// `None`: not running, or being stepped right now.
    pub(super) machine: Option<SteppedThread>,
    pub(super) ready_at: Duration,
    /// Asleep until something happens.
    pub(super) idle: bool,
    pub(super) sleeps_until: Duration,
    /// It has left, as it was asked to.
    pub(super) ended: bool,
}

impl Place {
    /// Takes out what is not on the stack.
    pub(super) fn clear(&mut self) -> Vec<SteppedThread> {
        self.lanes.iter_mut().filter_map(|lane| lane.machine.take()).collect()
    }
}

impl Scheduler {
    pub(super) fn new_disk(&self) -> usize {
        let mut world = enter(&self.world);
        world.disks.push(Disk::default());
        world.disks.len() - 1
    }

    /// Takes what is left of an incarnation out of the world.
    pub(super) fn end(&self, process: usize, incarnation: Incarnation) {
        let mut world = enter(&self.world);
        if world.alive.contains(&incarnation) {
            // A twin that was replaced: its disk is nobody's any more.
            world.note(Some(process), "the replaced process ends", incarnation.0);
            world.alive.remove(&incarnation);
        }
    }

    pub(super) fn start(self: &Rc<Self>, process: usize) {
        // One that died outside of its own steps, when an answer came for it, is still here.
        let dead = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[process];
            // A twin may have come first.
            if enter(&self.world).alive.contains(&place.incarnation) {
                return;
            }
            place.clear()
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
            let (incarnation, disk) = (place.incarnation, place.disk);
            Hands { world: Arc::clone(&self.world), process, thread: 0, incarnation, disk, skew }
        };
        let mut config = self.config.clone();
        config.instance = process.to_string();
        let flush_factor = enter(&self.world).flush_factor;
        config.flush_bytes = config.flush_bytes.saturating_mul(flush_factor as usize);
        config.flush_interval = config.flush_interval.saturating_mul(flush_factor);
        let now = enter(&self.world).now;
        let surroundings = |thread| {
            let hands = Hands { thread: thread as usize, ..hands.clone() };
            Surroundings {
                log: Arc::new(self.log.client(Arc::new(hands.clone()))),
                stores: Box::new(SimulatedStores { hands: hands.clone() }),
                environment: Arc::new(hands),
            }
        };
        let lane = |machine| Lane { machine: Some(machine), ready_at: now, ..Lane::default() };
        let threads = SteppedThread::of_a_process(&self.topology, &config, &surroundings);
        self.places.borrow_mut()[process].lanes = threads.into_iter().map(lane).collect();
    }

    /// Another process under the same name, on another machine. A thread of the first one is on the stack below; its others end
    /// with their next step.
    pub(super) fn start_twin(self: &Rc<Self>, process: usize) {
        let disk = self.new_disk();
        {
            let mut places = self.places.borrow_mut();
            places[process].disk = disk;
            places[process].incarnation = Incarnation(0);
        }
        let after = enter(&self.world).random.between(Duration::from_millis(100), Duration::from_secs(4));
        self.schedule(after, Event::Start(process));
    }

    /// A crash in the middle of a step: the thread is on the stack and goes when the step returns; so do the process's others with
    /// their next step, in which no call has an effect.
    pub(super) fn bury(self: &Rc<Self>, process: usize, incarnation: Incarnation) {
        if self.places.borrow()[process].incarnation == incarnation {
            self.restart(process, Duration::from_secs(15));
        }
    }

    pub(super) fn restart(&self, process: usize, at_most: Duration) {
        let after = {
            let mut world = enter(&self.world);
            let at_most = if world.random.once_in(3) { at_most } else { Duration::from_secs(1) };
            world.random.between(Duration::from_millis(50), at_most)
        };
        self.schedule(after, Event::Start(process));
    }

    pub(super) fn black_out(self: &Rc<Self>) {
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
            gone.extend(place.clear());
        }
        drop(gone);
        // Who was to come back earlier has no power either.
        self.events.borrow_mut().retain(|_, event| !matches!(event, Event::Start(_)));
        for process in 0..processes {
            let more = enter(&self.world).random.between(Duration::ZERO, Duration::from_secs(4));
            self.schedule(down + more, Event::Start(process));
        }
    }
}
