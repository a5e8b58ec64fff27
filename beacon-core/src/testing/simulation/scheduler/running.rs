//! The run of a thread: how the calls of its processes reach the scheduler.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::super::Fault;
use super::super::hands::Hands;
use super::super::world::{Incarnation, enter};
use super::lives::Place;
use super::{Event, Scheduler};
use crate::runtime::{Background, Environment};

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
pub(in crate::testing::simulation) fn others_run_for(duration: Duration) {
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

pub(in crate::testing::simulation) fn crashed(process: usize, incarnation: Incarnation) {
    if let Some(scheduler) = running() {
        scheduler.bury(process, incarnation);
    }
}

pub(in crate::testing::simulation) fn start_twin(process: usize) {
    if let Some(scheduler) = running() {
        scheduler.start_twin(process);
    }
}

pub(in crate::testing::simulation) fn sleeps_until(hands: &Hands, deadline: Duration) {
    if let Some(scheduler) = running() {
        let mut places = scheduler.places.borrow_mut();
        let place = &mut places[hands.process];
        if place.incarnation == hands.incarnation {
            let lane = &mut place.lanes[hands.thread];
            lane.sleeps_until = lane.sleeps_until.max(deadline);
        }
    }
}

/// Calls `act` after a while by the seed's choice, or at once when no simulation runs on this thread.
pub(in crate::testing::simulation) fn later(act: Box<dyn FnOnce()>) {
    match running() {
        Some(scheduler) => {
            let delay = enter(&scheduler.world).random.between(Duration::ZERO, Duration::from_millis(300));
            scheduler.schedule(delay, Event::Act(act));
        }
        None => act(),
    }
}

/// Steps what a process does beside its stream thread, at times the seed chooses, as long as that process lives.
pub(in crate::testing::simulation) fn work_beside(hands: Hands, mut work: Box<dyn Background>, wait: Duration) {
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
pub(in crate::testing::simulation) fn drops_an_answer() -> bool {
    running().is_some_and(|scheduler| {
        let mut world = enter(&scheduler.world);
        let drops = world.draws(Fault::FailedCall);
        if drops {
            world.strike(None, Fault::FailedCall, "a call is dropped without an answer", 0);
        }
        drops
    })
}

/// Sets the scheduler aside when a run is over, however it ends.
pub(in crate::testing::simulation) struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        let scheduler = RUNNING.with_borrow_mut(Option::take);
        // Outside of the borrow: what goes now may look for the scheduler once more.
        if let Some(scheduler) = scheduler {
            let machines: Vec<_> = scheduler.places.borrow_mut().iter_mut().flat_map(Place::clear).collect();
            drop(machines);
            let events = std::mem::take(&mut *scheduler.events.borrow_mut());
            drop(events);
        }
    }
}

impl Scheduler {
    /// Makes this the run of the thread.
    pub(super) fn enter_thread(self: &Rc<Self>) -> Running {
        RUNNING.with_borrow_mut(|running| *running = Some(Rc::clone(self)));
        Running
    }
}
