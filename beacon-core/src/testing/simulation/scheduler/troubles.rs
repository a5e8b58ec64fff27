//! Troubles that no call brings about: they come at times of their own.

use std::time::Duration;

use super::super::Fault;
use super::super::world::enter;
use super::{Event, Scheduler};
use crate::log::Log;

impl Scheduler {
    pub(super) fn plan_troubles(&self, until: Duration) {
        let processes = self.places.borrow().len() as u64;
        self.plan(Fault::Blackout, until, 3, &|_| Event::Blackout);
        self.plan(Fault::BrokerAway, until, 2, &|_| Event::BrokerAway);
        for fault in [Fault::StorageAway, Fault::DeniedStorage, Fault::FullStorage] {
            self.plan(fault, until, 3, &|_| Event::StorageRefuses(fault));
        }
        self.plan(Fault::Rebalance, until, 4, &|pick| Event::Stop((pick % processes) as usize));
        self.plan(Fault::ExpiredInput, until, 2, &|_| Event::ExpireInput);
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

    pub(super) fn ask_to_leave(&self, process: usize) {
        if enter(&self.world).calm {
            return;
        }
        // Where all are being stepped nobody is asked.
        if let Some(machine) = self.places.borrow()[process].lanes.iter().find_map(|lane| lane.machine.as_ref()) {
            enter(&self.world).strike(Some(process), Fault::Rebalance, "is asked to leave", 0);
            machine.request_stop();
        }
    }

    pub(super) fn broker_goes_away(&self) {
        let mut world = enter(&self.world);
        if !world.calm {
            let away = world.random.between(Duration::from_millis(100), Duration::from_secs(5));
            world.away_until = world.now + away;
            world.strike(None, Fault::BrokerAway, "broker away", away.as_millis() as u64);
        }
    }

    /// The calls that meet it are counted, so here it is only noted.
    pub(super) fn storage_refuses(&self, fault: Fault) {
        let mut world = enter(&self.world);
        if !world.calm {
            let lasts = world.random.between(Duration::from_millis(500), Duration::from_secs(10));
            let until = world.now + lasts;
            world.storage_refuses_until.insert(fault, until);
            world.note(None, "object storage refuses calls", lasts.as_millis() as u64);
        }
    }

    /// Takes some of what the group has not read of an input. Where it has read everything, a little later; and never where it has
    /// not said yet how far it has read: a group that is new to a partition begins where that begins, and misses nothing.
    pub(super) fn expire_input(&self) {
        if enter(&self.world).calm {
            return;
        }
        let topics: Vec<&str> = self.topology.sources().iter().map(|source| &*source.topic).collect();
        let taken = self.unread_of(&topics).and_then(|mut unread| {
            unread.retain(|unread| unread.committed.is_some() && unread.range.start < unread.range.end);
            let mut world = enter(&self.world);
            let pick = world.random.below(unread.len().max(1) as u64);
            let Some(unread) = unread.get(pick as usize) else { return Ok(false) };
            let read = unread.committed.unwrap_or_default().max(unread.range.start);
            let before = read + 1 + world.random.below(unread.range.end - read);
            world.strike(None, Fault::ExpiredInput, "retention takes unread input", before);
            drop(world);
            self.log.trim(&unread.partition, before).map(|()| true)
        });
        match taken {
            Ok(true) => {}
            Ok(false) => self.schedule(Duration::from_millis(100), Event::ExpireInput),
            Err(error) => self.fail(format!("unread input cannot be trimmed: {error}")),
        }
    }
}
