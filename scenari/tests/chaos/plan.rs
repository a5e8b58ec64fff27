//! What goes wrong in a round, when, and how its workers are set: pure functions of the round's seed.
//!
//! Incidents overlap, a frozen worker while the broker dies, but no part is hit again before it is whole.
//! Invariant: every plan mends what it breaks, so that its last step leaves all parts running.

use std::fmt;
use std::time::Duration;

use scenari::proxy::Weather;

/// How long a member may be silent before its tasks go to others. As short as the harness's broker allows members to
/// be moved in a few seconds.
pub const SESSION: Duration = Duration::from_secs(3);

/// The worker processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worker {
    A,
    B,
}

/// One thing done to the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// SIGKILL.
    Kill(Worker),
    /// Its disk is lost; it is dead when that happens.
    Empty(Worker),
    /// SIGTERM, and wait for its end.
    Stop(Worker),
    Start(Worker),
    Freeze(Worker),
    Thaw(Worker),
    KillBroker,
    /// On the same data; returns when it answers, which takes some seconds.
    StartBroker,
    FreezeBroker,
    ThawBroker,
    /// The way to the checkpoints is spoiled.
    SpoilStorage(Weather),
    MendStorage,
}

/// What becomes of the way to the checkpoints: nothing comes through,
const AWAY: [Weather; 3] = [Weather::Down, Weather::Unavailable, Weather::Stalled];
/// or something does. The cuts are inside of a file and of its upload.
const SPOILT: [Weather; 3] = [Weather::Slow, Weather::CutAnswers(1000), Weather::CutRequests(1000)];

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A worker is killed and soon started again.
    Killed,
    /// For longer than its session.
    KilledForLong,
    /// A worker is killed, and its disk is empty when it is started again.
    LostDisk,
    /// A worker is stopped in good order and started again.
    Stopped,
    Frozen,
    /// For longer than its session: others have its tasks when it goes on.
    FrozenPastSession,
    BrokerRestarted,
    BrokerFrozen,
    StorageAway,
    StorageSpoilt,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Killed,
        Self::BrokerRestarted,
        Self::FrozenPastSession,
        Self::LostDisk,
        Self::StorageAway,
        Self::KilledForLong,
        Self::BrokerFrozen,
        Self::Stopped,
        Self::StorageSpoilt,
        Self::Frozen,
    ];

    /// Which one a round of this seed begins its plan with: the seeds of as many rounds in a row as there are kinds have
    /// all of them.
    fn first(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
    }

    /// What bites most comes twice as often as the others.
    fn drawn(dice: &mut Dice) -> Self {
        match dice.next() % (Self::ALL.len() as u64 + 2) {
            0 => Self::FrozenPastSession,
            1 => Self::StorageAway,
            other => Self::ALL[other as usize - 2],
        }
    }
}

/// What goes wrong in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kind of each incident.
    pub kinds: Vec<Kind>,
    /// Of all of them, in their order.
    pub steps: Vec<Step>,
}

/// An act and the earliest time for it, from the begin of the round. When the act before it in the same incident came late,
/// it is as much later: a worker that is frozen past its session is so, though the broker took its time before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
    /// Which of the round's incidents it is part of, from 0.
    pub incident: usize,
    pub act: Act,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s {:?}", self.at.as_secs_f64(), self.act)
    }
}

/// A small generator whose numbers are the same on every machine (SplitMix64, Steele et al. 2014).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from))
    }
}

/// The seed of a round of a run. What is left of it when it is divided by the number of kinds says the first kind of the
/// round, so a round's seed alone gives its plan; from round to round that is the next kind.
pub fn seed_of_round(run: u64, round: u64) -> u64 {
    let kinds = Kind::ALL.len() as u64;
    let drawn = Dice::new(run ^ round.wrapping_mul(0xd1b5_4a32_d192_ed03)).next();
    // Without its highest bits, so that it stays a number of 64 when the rest is added.
    (drawn >> 8) * kinds + (run % kinds + round % kinds) % kinds
}

/// How a worker takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setting {
    /// It is no member that its group knows by name.
    pub dynamic: bool,
    /// Tasks of the other that it keeps copies of.
    pub standbys: u32,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let membership = if self.dynamic { "dynamic" } else { "static" };
        write!(f, "{membership} members, {} standby copies", self.standbys)
    }
}

/// How worker A and worker B are set in a round: both are dynamic members in half of them, and independently of that worker
/// B keeps copies of all that is not its own in half of them.
pub fn settings(seed: u64, tasks: u32) -> [Setting; 2] {
    // Not the numbers of the plan, which stays what it was.
    let drawn = Dice::new(!seed).next();
    let a = Setting { dynamic: drawn & 1 == 1, standbys: 0 };
    [a, Setting { standbys: if drawn & 2 == 2 { tasks } else { 0 }, ..a }]
}

/// Two to four incidents within five seconds, with their mending. The first kind goes round by the seed, the others are drawn.
pub fn plan(seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    let mut steps = Vec::new();
    // Worker A, worker B, the broker, the storage: when each is whole again.
    let mut whole = [Duration::ZERO; 4];
    let mut kinds = vec![Kind::first(seed)];
    for _ in 0..1 + dice.next() % 3 {
        kinds.push(Kind::drawn(&mut dice));
    }
    for (incident, kind) in kinds.iter().enumerate() {
        let (part, acts) = incident_of(*kind, &mut dice);
        let begin = dice.millis(200, 5000).max(whole[part]);
        let mut end = begin;
        for (after, act) in acts {
            end = begin + after;
            steps.push(Step { at: end, incident, act });
        }
        whole[part] = end + Duration::from_millis(300);
    }
    steps.sort_by_key(|step| step.at);
    Plan { kinds, steps }
}

/// What it is done to, and its acts by the time after its begin.
fn incident_of(kind: Kind, dice: &mut Dice) -> (usize, Vec<(Duration, Act)>) {
    let (part, worker) = if dice.next().is_multiple_of(2) { (0, Worker::A) } else { (1, Worker::B) };
    let down = dice.millis(1, 1500);
    // With the others' takeover, and without.
    let long_down = SESSION + dice.millis(500, 2000);
    let begin = Duration::ZERO;
    match kind {
        Kind::Killed => (part, vec![(begin, Act::Kill(worker)), (down, Act::Start(worker))]),
        Kind::KilledForLong => (part, vec![(begin, Act::Kill(worker)), (long_down, Act::Start(worker))]),
        Kind::LostDisk => {
            (part, vec![(begin, Act::Kill(worker)), (down / 2, Act::Empty(worker)), (down, Act::Start(worker))])
        }
        Kind::Stopped => (part, vec![(begin, Act::Stop(worker)), (down, Act::Start(worker))]),
        Kind::Frozen => (part, vec![(begin, Act::Freeze(worker)), (down, Act::Thaw(worker))]),
        Kind::FrozenPastSession => (part, vec![(begin, Act::Freeze(worker)), (long_down, Act::Thaw(worker))]),
        Kind::BrokerRestarted => (2, vec![(begin, Act::KillBroker), (down, Act::StartBroker)]),
        Kind::BrokerFrozen => (2, vec![(begin, Act::FreezeBroker), (dice.millis(200, 5000), Act::ThawBroker)]),
        Kind::StorageAway | Kind::StorageSpoilt => {
            let weathers = if kind == Kind::StorageAway { AWAY } else { SPOILT };
            let weather = weathers[(dice.next() % weathers.len() as u64) as usize];
            (3, vec![(begin, Act::SpoilStorage(weather)), (dice.millis(500, 5000), Act::MendStorage)])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_plan() {
        for seed in 0..200 {
            assert_eq!(plan(seed), plan(seed));
        }
        assert_eq!(settings(7, 4), settings(7, 4));
        assert_eq!(seed_of_round(1, 2), seed_of_round(1, 2));
        assert_ne!(seed_of_round(1, 2), seed_of_round(1, 3));
    }

    #[test]
    fn every_plan_mends_what_it_breaks() {
        for seed in 0..2000 {
            let mut broken: HashMap<&str, Act> = HashMap::new();
            for Step { act, .. } in plan(seed).steps {
                let part = match act {
                    Act::Kill(w) | Act::Empty(w) | Act::Stop(w) | Act::Start(w) | Act::Freeze(w) | Act::Thaw(w) => {
                        if w == Worker::A { "a" } else { "b" }
                    }
                    Act::KillBroker | Act::StartBroker | Act::FreezeBroker | Act::ThawBroker => "broker",
                    Act::SpoilStorage(_) | Act::MendStorage => "storage",
                };
                let before = match act {
                    Act::Kill(_)
                    | Act::Stop(_)
                    | Act::Freeze(_)
                    | Act::KillBroker
                    | Act::FreezeBroker
                    | Act::SpoilStorage(_) => {
                        assert_eq!(broken.insert(part, act), None, "seed {seed}: {act:?}");
                        continue;
                    }
                    Act::Empty(_) => broken.get(part).copied(),
                    _ => broken.remove(part),
                };
                let fits = match act {
                    Act::Thaw(w) => before == Some(Act::Freeze(w)),
                    Act::Empty(w) => before == Some(Act::Kill(w)),
                    Act::Start(w) => before == Some(Act::Kill(w)) || before == Some(Act::Stop(w)),
                    Act::StartBroker => before == Some(Act::KillBroker),
                    Act::MendStorage => matches!(before, Some(Act::SpoilStorage(_))),
                    _ => before == Some(Act::FreezeBroker),
                };
                assert!(fits, "seed {seed}: {act:?} after {before:?}");
            }
            assert!(broken.is_empty(), "seed {seed}: {broken:?}");
        }
    }

    #[test]
    fn each_way_to_take_part_has_a_quarter_of_the_rounds() {
        let mut rounds: HashMap<[Setting; 2], u32> = HashMap::new();
        (0..400).for_each(|round| *rounds.entry(settings(seed_of_round(1, round), 4)).or_default() += 1);
        assert_eq!(rounds.len(), 4, "{rounds:?}");
        assert!(rounds.values().all(|count| (70..130).contains(count)), "{rounds:?}");
    }

    #[test]
    fn plans_do_everything_there_is() {
        let acts: HashSet<_> = (0..200).flat_map(|seed| plan(seed).steps).map(|step| step.act).collect();
        // Six for each worker, four for the broker, the weathers of the storage and their end.
        assert_eq!(acts.len(), 6 + 6 + 4 + AWAY.len() + SPOILT.len() + 1, "{acts:?}");
    }

    #[test]
    fn rounds_in_a_row_have_every_kind_whatever_the_run() {
        for run in [0, 1, 7, 0x18ec_61e6_6218_2b4a, u64::MAX] {
            for begin in 0..20 {
                let rounds = begin..begin + Kind::ALL.len() as u64;
                let firsts: HashSet<_> = rounds.map(|round| plan(seed_of_round(run, round)).kinds[0]).collect();
                assert_eq!(firsts.len(), Kind::ALL.len(), "run {run:#x} from round {begin}: {firsts:?}");
            }
        }
    }

    #[test]
    fn kinds_after_the_first_are_drawn_whatever_the_first_is() {
        let kinds = Kind::ALL.len() as u64;
        for first in 0..kinds {
            let seeds = (0..400).map(|number| number * kinds + first);
            let others: HashSet<_> = seeds.flat_map(|seed| plan(seed).kinds.split_off(1)).collect();
            assert_eq!(others.len(), Kind::ALL.len(), "after {:?}: {others:?}", Kind::first(first));
        }
    }

    #[test]
    fn every_incident_is_what_its_kind_says() {
        for seed in 0..2000 {
            let Plan { kinds, steps } = plan(seed);
            for (incident, kind) in kinds.into_iter().enumerate() {
                let of_it: Vec<_> = steps.iter().filter(|step| step.incident == incident).collect();
                let lasts = of_it[of_it.len() - 1].at - of_it[0].at;
                let fits = match (kind, of_it[0].act) {
                    (Kind::Killed, Act::Kill(_)) => of_it.len() == 2,
                    (Kind::LostDisk, Act::Kill(_)) => of_it.len() == 3 && matches!(of_it[1].act, Act::Empty(_)),
                    (Kind::KilledForLong, Act::Kill(_)) | (Kind::FrozenPastSession, Act::Freeze(_)) => lasts > SESSION,
                    (Kind::StorageAway, Act::SpoilStorage(weather)) => AWAY.contains(&weather),
                    (Kind::StorageSpoilt, Act::SpoilStorage(weather)) => SPOILT.contains(&weather),
                    (Kind::Stopped, Act::Stop(_)) | (Kind::Frozen, Act::Freeze(_)) => true,
                    (Kind::BrokerRestarted, Act::KillBroker) | (Kind::BrokerFrozen, Act::FreezeBroker) => true,
                    _ => false,
                };
                assert!(fits, "seed {seed}: {kind:?} by {of_it:?}");
            }
        }
    }
}
