//! Which faults a simulation draws, and how often in one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::random::Random;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A process dies in a call of log or store. Of the writes to its disk since the last flush, some prefix is left.
    Crash,
    /// The disk of a process that died is empty when it comes back. Needs [`Fault::Crash`] or [`Fault::Blackout`].
    LostDisk,
    /// All processes die at once, and come back one by one after up to a minute.
    Blackout,
    /// A process stands still in the middle of a call, for up to two and a half session time-outs, and then goes on as
    /// if nothing had been.
    Zombie,
    /// While a process stands still another one is started under its name, with an empty disk; then the first one
    /// finishes what it was doing.
    Twin,
    /// A process leaves politely and comes back later, so that partitions move twice.
    Rebalance,
    /// A call takes up to three seconds.
    SlowCall,
    /// A call fails and can be tried again: without effect, or with its effect and without an answer.
    FailedCall,
    /// A commit is refused.
    AbortedCommit,
    /// A commit's outcome is unknown: it is committed, it is aborted, or the request never arrived.
    UnknownCommit,
    /// The broker answers nobody for up to five seconds.
    BrokerAway,
    /// Transaction markers get to their partitions up to three seconds after the decision.
    LateMarkers,
    /// A store has no room for a write.
    FullDisk,
    /// The clocks on the walls of processes differ by up to half a second.
    ClockSkew,
    /// A call of the object storage fails: without effect, with its effect and without an answer, or half-way. This one and
    /// the next six need an application with checkpoints; without any they are never drawn.
    FailedStorageCall,
    /// The object storage answers nobody for up to ten seconds.
    StorageAway,
    /// A call of the object storage takes up to eight seconds.
    SlowStorage,
    /// A manifest is stored with one wrong byte, and nobody is told: restores have to pass it over.
    DamagedManifest,
    /// A file of a checkpoint comes with one wrong byte: the restore has to take an older checkpoint. Only while the newest
    /// checkpoint alone has that file, so that there is an older one: what is damaged in all of them is lost, and no engine helps.
    /// Counted when it comes.
    DamagedFile,
    /// The object storage refuses the login for up to ten seconds.
    DeniedStorage,
    /// The object storage has no room for up to ten seconds: writes are refused.
    FullStorage,
    /// Retention takes records of an input that the group has not read. Not among [`Fault::ALL`], because no run outlives it: a
    /// member that has not read them has to end with an error that names the partition and the offsets, and the seed fails
    /// by it. A run that ends well all the same had them at hand already.
    ExpiredInput,
}

impl Fault {
    /// All that a run outlives.
    pub const ALL: [Self; 21] = [
        Self::Crash,
        Self::LostDisk,
        Self::Blackout,
        Self::Zombie,
        Self::Twin,
        Self::Rebalance,
        Self::SlowCall,
        Self::FailedCall,
        Self::AbortedCommit,
        Self::UnknownCommit,
        Self::BrokerAway,
        Self::LateMarkers,
        Self::FullDisk,
        Self::ClockSkew,
        Self::FailedStorageCall,
        Self::StorageAway,
        Self::SlowStorage,
        Self::DamagedManifest,
        Self::DamagedFile,
        Self::DeniedStorage,
        Self::FullStorage,
    ];

    /// Whether it happens to object storage.
    fn is_of_storage(self) -> bool {
        let calls =
            [Self::FailedStorageCall, Self::StorageAway, Self::SlowStorage, Self::DeniedStorage, Self::FullStorage];
        let bytes = [Self::DamagedManifest, Self::DamagedFile];
        calls.contains(&self) || bytes.contains(&self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crash",
            Self::LostDisk => "lost disk",
            Self::Blackout => "blackout",
            Self::Zombie => "zombie",
            Self::Twin => "twin",
            Self::Rebalance => "rebalance",
            Self::SlowCall => "slow call",
            Self::FailedCall => "failed call",
            Self::AbortedCommit => "aborted commit",
            Self::UnknownCommit => "unknown commit",
            Self::BrokerAway => "broker away",
            Self::LateMarkers => "late markers",
            Self::FullDisk => "full disk",
            Self::ClockSkew => "clock skew",
            Self::FailedStorageCall => "failed storage call",
            Self::StorageAway => "storage away",
            Self::SlowStorage => "slow storage",
            Self::DamagedManifest => "damaged manifest",
            Self::DamagedFile => "damaged file",
            Self::DeniedStorage => "denied storage",
            Self::FullStorage => "full storage",
            Self::ExpiredInput => "expired input",
        })
    }
}

/// The kinds of faults a simulation may draw. Each seed uses some of them, at rates of its own, so that rare meetings of
/// few kinds come up as well as all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    kinds: BTreeSet<Fault>,
}

impl Faults {
    /// Every kind of [`Fault::ALL`].
    pub fn all() -> Self {
        Self::only(Fault::ALL)
    }

    /// No fault at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// These kinds.
    pub fn only(kinds: impl IntoIterator<Item = Fault>) -> Self {
        Self { kinds: kinds.into_iter().collect() }
    }

    /// The same and one kind more.
    pub fn with(mut self, kind: Fault) -> Self {
        self.kinds.insert(kind);
        self
    }

    /// The same without one kind.
    pub fn without(mut self, kind: Fault) -> Self {
        self.kinds.remove(&kind);
        self
    }

    /// Whether nothing can go wrong.
    pub fn is_none(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Whether a kind may be drawn.
    pub fn contains(&self, kind: Fault) -> bool {
        self.kinds.contains(&kind)
    }
}

/// How often each kind happens in one seed: once in so many occasions.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    once_in: BTreeMap<Fault, u64>,
}

impl Rates {
    /// Two of three kinds at a rate of their own. With a single kind there is nothing to leave out. Those of object storage
    /// only where there is one: without it, a seed's course does not depend on them.
    pub(super) fn draw(faults: &Faults, has_storage: bool, random: &mut Random) -> Self {
        let mut once_in = BTreeMap::new();
        for kind in faults.kinds.iter().filter(|kind| has_storage || !kind.is_of_storage()) {
            let left_out = random.once_in(3) && faults.kinds.len() > 1;
            let rate = random.pick(rates(*kind));
            if !left_out {
                once_in.insert(*kind, rate);
            }
        }
        Self { once_in }
    }

    pub(super) fn strikes(&self, kind: Fault, random: &mut Random) -> bool {
        self.once_in.get(&kind).is_some_and(|times| random.once_in(*times))
    }

    pub(super) fn uses(&self, kind: Fault) -> bool {
        self.once_in.contains_key(&kind)
    }
}

/// What is possible per occasion. Kinds drawn at each call are rarer than those drawn at each commit or crash.
fn rates(kind: Fault) -> &'static [u64] {
    match kind {
        Fault::Crash | Fault::Zombie => &[60, 200, 600],
        Fault::SlowCall | Fault::FailedCall => &[20, 100, 400],
        Fault::AbortedCommit | Fault::UnknownCommit => &[3, 10, 40],
        Fault::FullDisk => &[20, 100],
        Fault::FailedStorageCall | Fault::SlowStorage => &[5, 20, 100],
        Fault::LostDisk | Fault::Twin | Fault::DamagedManifest | Fault::DamagedFile => &[2, 4],
        Fault::LateMarkers => &[1, 3],
        Fault::Blackout | Fault::Rebalance | Fault::BrokerAway | Fault::ClockSkew | Fault::ExpiredInput => &[1],
        Fault::StorageAway | Fault::DeniedStorage | Fault::FullStorage => &[1],
    }
}
