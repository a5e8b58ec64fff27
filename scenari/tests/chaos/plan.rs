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

/// What becomes of the way to the checkpoints. The cuts are inside of a file and of its upload.
const SPOILT: [Weather; 6] = [
    Weather::Down,
    Weather::Unavailable,
    Weather::Stalled,
    Weather::Slow,
    Weather::CutAnswers(1000),
    Weather::CutRequests(1000),
];

/// An act and the earliest time for it, from the begin of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
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

/// The seed of a round of a run.
pub fn seed_of_round(run: u64, round: u64) -> u64 {
    Dice::new(run ^ round.wrapping_mul(0xd1b5_4a32_d192_ed03)).next()
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

/// Two to four incidents within five seconds, with their mending.
pub fn plan(seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let mut steps = Vec::new();
    // Worker A, worker B, the broker, the storage: when each is whole again.
    let mut whole = [Duration::ZERO; 4];
    for _ in 0..2 + dice.next() % 3 {
        let begin = dice.millis(200, 5000);
        let (part, acts) = match dice.next() % 13 {
            0..=3 => incident_of_a_worker(&mut dice, Worker::A),
            4..=7 => incident_of_a_worker(&mut dice, Worker::B),
            8 => (2, vec![(Duration::ZERO, Act::KillBroker), (dice.millis(0, 1500), Act::StartBroker)]),
            9 => (2, vec![(Duration::ZERO, Act::FreezeBroker), (dice.millis(200, 5000), Act::ThawBroker)]),
            _ => {
                let weather = SPOILT[(dice.next() % SPOILT.len() as u64) as usize];
                (3, vec![(Duration::ZERO, Act::SpoilStorage(weather)), (dice.millis(500, 5000), Act::MendStorage)])
            }
        };
        let begin = begin.max(whole[part]);
        let mut end = begin;
        for (after, act) in acts {
            end = begin + after;
            steps.push(Step { at: end, act });
        }
        whole[part] = end + Duration::from_millis(300);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn incident_of_a_worker(dice: &mut Dice, worker: Worker) -> (usize, Vec<(Duration, Act)>) {
    let down = dice.millis(1, 1500);
    // With the others' takeover, and without.
    let long_down = SESSION + dice.millis(500, 2000);
    let acts = match dice.next() % 7 {
        0 => vec![(Duration::ZERO, Act::Kill(worker)), (down, Act::Start(worker))],
        1 => vec![(Duration::ZERO, Act::Kill(worker)), (long_down, Act::Start(worker))],
        2 => vec![(Duration::ZERO, Act::Kill(worker)), (down / 2, Act::Empty(worker)), (down, Act::Start(worker))],
        3 => vec![(Duration::ZERO, Act::Stop(worker)), (down, Act::Start(worker))],
        4 => vec![(Duration::ZERO, Act::Freeze(worker)), (down, Act::Thaw(worker))],
        _ => vec![(Duration::ZERO, Act::Freeze(worker)), (long_down, Act::Thaw(worker))],
    };
    (if worker == Worker::A { 0 } else { 1 }, acts)
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
            for Step { act, .. } in plan(seed) {
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
        let acts: HashSet<_> = (0..200).flat_map(plan).map(|step| step.act).collect();
        // Six for each worker, four for the broker, the weathers of the storage and their end.
        assert_eq!(acts.len(), 6 + 6 + 4 + SPOILT.len() + 1, "{acts:?}");
    }
}
