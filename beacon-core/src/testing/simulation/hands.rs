//! One process's hold on the world: its clock, and what becomes of what it does.

use std::time::Duration;

use super::Fault;
use super::scheduler;
use super::world::{Incarnation, SharedWorld, World, enter};
use crate::log::simulated::{Call, Fate, Surroundings};
use crate::runtime::{Background, Environment};
use crate::state::StateError;
use crate::time::ProcessingTime;

/// 2026-01-01T00:00:00Z, when every simulation begins.
pub(super) const EPOCH_MS: i64 = 1_767_225_600_000;

/// A stream thread of one start of one process.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) world: SharedWorld,
    pub(super) process: usize,
    /// Which of its stream threads.
    pub(super) thread: usize,
    pub(super) incarnation: Incarnation,
    pub(super) disk: usize,
    /// How far its clock on the wall is ahead.
    pub(super) skew: Duration,
}

/// What a process meets at a call, and how long that takes.
struct Encounter {
    takes: Duration,
    fate: Fate,
    /// Another one is started under the same name meanwhile.
    twin: bool,
}

impl Hands {
    pub(super) fn is_alive(&self) -> bool {
        enter(&self.world).alive.contains(&self.incarnation)
    }

    pub(super) fn strikes(&self, fault: Fault, what: &'static str) -> bool {
        let mut world = enter(&self.world);
        let strikes = world.draws(fault);
        if strikes {
            world.strike(Some(self.process), fault, what, 0);
        }
        strikes
    }

    /// A call of the disk: a place to die at, or to stand still.
    pub(super) fn touch_disk(&self, what: &'static str) -> Result<(), StateError> {
        match self.meet(what, 0, Kind::Disk) {
            Fate::Dead => Err(StateError::Store("the process of this store is gone".into())),
            _ => Ok(()),
        }
    }

    fn meet(&self, what: &'static str, detail: u64, kind: Kind) -> Fate {
        let encounter = {
            let mut world = enter(&self.world);
            if !world.alive.contains(&self.incarnation) {
                return Fate::Dead;
            }
            world.note(Some(self.process), what, detail);
            self.encounter(&mut world, what, kind)
        };
        if encounter.fate == Fate::Dead {
            scheduler::crashed(self.process, self.incarnation);
            return Fate::Dead;
        }
        if encounter.twin {
            scheduler::start_twin(self.process);
        }
        if !encounter.takes.is_zero() {
            scheduler::others_run_for(encounter.takes);
            if !self.is_alive() {
                return Fate::Dead;
            }
        }
        encounter.fate
    }

    fn encounter(&self, world: &mut World, what: &'static str, kind: Kind) -> Encounter {
        let me = Some(self.process);
        let mut met = Encounter { takes: Duration::ZERO, fate: Fate::Done, twin: false };
        if world.calm {
            return met;
        }
        if world.draws(Fault::Crash) {
            world.strike(me, Fault::Crash, what, 0);
            world.kill(self.incarnation, self.disk);
            met.fate = Fate::Dead;
            return met;
        }
        // Where a pause hurts most.
        let chances = if matches!(kind, Kind::Commit | Kind::Rejoin) { 8 } else { 1 };
        if (0..chances).any(|_| world.draws(Fault::Zombie)) {
            let longest = world.session_timeout * 5 / 2;
            met.takes = world.random.between(world.session_timeout / 2, longest);
            world.strike(me, Fault::Zombie, what, met.takes.as_millis() as u64);
            if world.draws(Fault::Twin) {
                world.strike(me, Fault::Twin, what, 0);
                met.twin = true;
            }
        } else if world.draws(Fault::SlowCall) {
            met.takes = world.random.between(Duration::from_millis(5), Duration::from_secs(3));
            world.strike(me, Fault::SlowCall, what, met.takes.as_millis() as u64);
        } else if world.random.once_in(12) {
            met.takes = world.random.between(Duration::ZERO, Duration::from_millis(4));
        }
        if !matches!(kind, Kind::Disk) {
            met.fate = self.answer(world, what, kind);
        }
        met
    }

    fn answer(&self, world: &mut World, what: &'static str, kind: Kind) -> Fate {
        let me = Some(self.process);
        if world.now < world.away_until {
            return Fate::RequestLost;
        }
        if matches!(kind, Kind::Commit) {
            if world.draws(Fault::AbortedCommit) {
                world.strike(me, Fault::AbortedCommit, what, 0);
                return Fate::Refused;
            }
            if world.draws(Fault::UnknownCommit) {
                let fate = world.random.pick(&[Fate::RequestLost, Fate::AnswerLost, Fate::RefusalLost]);
                world.strike(me, Fault::UnknownCommit, fate_name(fate), 0);
                return fate;
            }
        } else if world.draws(Fault::FailedCall) {
            world.strike(me, Fault::FailedCall, what, 0);
            return world.random.pick(&[Fate::Refused, Fate::RequestLost, Fate::AnswerLost]);
        }
        Fate::Done
    }
}

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Disk,
    Commit,
    /// Between a revocation and an assignment.
    Rejoin,
    Other,
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::RequestLost => "commit: the request is lost",
        Fate::AnswerLost => "commit: done, the answer is lost",
        Fate::RefusalLost => "commit: aborted, the answer is lost",
        Fate::Done | Fate::Refused | Fate::Dead => "commit",
    }
}

fn describe(call: Call<'_>) -> (&'static str, u64, Kind) {
    match call {
        Call::Topics => ("topics", 0, Kind::Other),
        Call::Offsets(partition) => ("offsets", u64::from(partition.partition), Kind::Other),
        Call::Committed => ("committed offsets", 0, Kind::Other),
        Call::Trim(partition) => ("trim", u64::from(partition.partition), Kind::Other),
        Call::Join => ("join", 0, Kind::Other),
        Call::Poll => ("poll", 0, Kind::Other),
        Call::Rejoin => ("poll for the next assignment", 0, Kind::Rejoin),
        Call::Read => ("read", 0, Kind::Other),
        Call::Send => ("send", 0, Kind::Other),
        Call::Commit { offsets } => ("commit", offsets as u64, Kind::Commit),
        Call::Abort => ("abort", 0, Kind::Other),
        Call::Close => ("close", 0, Kind::Other),
        Call::Append => ("append", 0, Kind::Other),
    }
}

impl Surroundings for Hands {
    fn now(&self) -> Duration {
        enter(&self.world).now
    }

    fn wall_ms(&self) -> i64 {
        Environment::wall_clock(self).as_millis()
    }

    fn fate(&self, call: Call<'_>) -> Fate {
        let (what, detail, kind) = describe(call);
        self.meet(what, detail, kind)
    }

    fn wait(&self, deadline: Duration) -> bool {
        scheduler::sleeps_until(self, deadline);
        false
    }

    fn hears_late(&self) -> bool {
        let mut world = enter(&self.world);
        !world.calm && world.random.once_in(4)
    }

    /// Every second start of a process.
    fn holds_back(&self) -> bool {
        self.incarnation.0.is_multiple_of(2)
    }

    fn batch_records(&self) -> usize {
        1 + enter(&self.world).random.below(12) as usize
    }

    fn marker_delay(&self) -> Duration {
        let mut world = enter(&self.world);
        if world.draws(Fault::LateMarkers) {
            let delay = world.random.between(Duration::ZERO, Duration::from_secs(3));
            world.strike(Some(self.process), Fault::LateMarkers, "marker", delay.as_millis() as u64);
            return delay;
        }
        Duration::ZERO
    }
}

impl Environment for Hands {
    fn now(&self) -> Duration {
        enter(&self.world).now
    }

    fn wall_clock(&self) -> ProcessingTime {
        let since_start = enter(&self.world).now + self.skew;
        ProcessingTime::from_millis(EPOCH_MS + since_start.as_millis() as i64)
    }

    fn wait(&self, duration: Duration) {
        scheduler::others_run_for(duration);
    }

    fn start(&self, _: String, work: Box<dyn Background>) -> std::io::Result<()> {
        scheduler::work_beside(self.clone(), work, Duration::ZERO);
        Ok(())
    }
}

/// The world outside of all processes: feeds input and looks at the result. Nothing happens to it.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) world: SharedWorld,
}

impl Surroundings for Outside {
    fn now(&self) -> Duration {
        enter(&self.world).now
    }

    fn wall_ms(&self) -> i64 {
        EPOCH_MS + enter(&self.world).now.as_millis() as i64
    }

    fn wait(&self, _: Duration) -> bool {
        false
    }

    fn batch_records(&self) -> usize {
        1000
    }
}
