//! Whether a group's flush tells a target anything: the difference between what it was last told and what is now.
//!
//! Pure, and only about *whether*; what is sent, and the times of flushes, are the pipeline's. The alerts passed in are
//! those not silenced. Fingerprints stand for alerts.
//!
//! Source: the semantics of Alertmanager's deduplication stage (`notify.DedupStage`).

use std::collections::BTreeSet;

use beacon_proto::v1;

/// What a target was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Fingerprints of the alerts that fired.
    pub firing: BTreeSet<u64>,
    /// Fingerprints of the alerts that were resolved.
    pub resolved: BTreeSet<u64>,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// What is to be done. After [`Decision::Send`] and [`Decision::Record`] what is now becomes what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Tell the target. If it does not want resolved alerts, only the firing ones.
    Send(Reason),
    /// Everything is resolved, but the target does not want to hear of it: only note that it is, so that the next firing
    /// is news.
    Record,
    /// Neither send nor note anything.
    Quiet(Quiet),
}

/// Why a target is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The target knows of no firing alert of this group, and now there is one.
    First,
    /// Alerts fire that it does not know to be firing.
    NewAlerts,
    /// Some are resolved of which it was not told, others still fire.
    SomeResolved,
    /// None fires any more.
    AllResolved,
    /// Nothing new, but the repeat interval has passed.
    Repeat,
}

impl From<Reason> for v1::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::First => Self::First,
            Reason::NewAlerts => Self::NewAlerts,
            Reason::SomeResolved => Self::SomeResolved,
            Reason::AllResolved => Self::AllResolved,
            Reason::Repeat => Self::Repeat,
        }
    }
}

/// Why a target is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// It knows of no firing alert and none fires: what began and ended in between is not its business.
    NothingFired,
    /// It knows everything, and the repeat interval has not passed.
    NothingNew {
        /// When it will have passed, in milliseconds since the epoch.
        repeat_at_ms: i64,
    },
}

/// Decides for one target of one group.
///
/// `told` is `None` if the target was never told of this group. `firing` and `resolved` are the group's alerts now.
/// A repeat is due once more than `repeat_interval_ms` have passed.
pub fn needs_update(
    told: Option<&Told>,
    firing: &BTreeSet<u64>,
    resolved: &BTreeSet<u64>,
    send_resolved: bool,
    repeat_interval_ms: i64,
    now_ms: i64,
) -> Decision {
    let Some(told) = told.filter(|told| !told.firing.is_empty()) else {
        return if firing.is_empty() { Decision::Quiet(Quiet::NothingFired) } else { Decision::Send(Reason::First) };
    };
    if !firing.is_subset(&told.firing) {
        return Decision::Send(Reason::NewAlerts);
    }
    if firing.is_empty() {
        return if send_resolved { Decision::Send(Reason::AllResolved) } else { Decision::Record };
    }
    if send_resolved && !resolved.is_subset(&told.resolved) {
        return Decision::Send(Reason::SomeResolved);
    }
    let repeat_at_ms = told.at_ms.saturating_add(repeat_interval_ms);
    if repeat_at_ms < now_ms {
        Decision::Send(Reason::Repeat)
    } else {
        Decision::Quiet(Quiet::NothingNew { repeat_at_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fingerprints: &[u64]) -> BTreeSet<u64> {
        fingerprints.iter().copied().collect()
    }

    fn told(firing: &[u64], resolved: &[u64]) -> Option<Told> {
        Some(Told { firing: set(firing), resolved: set(resolved), at_ms: 1000 })
    }

    #[test]
    fn every_difference_has_its_decision() {
        use Decision::{Quiet as Silent, Record, Send};
        let nothing_new = Silent(Quiet::NothingNew { repeat_at_ms: 1100 });
        for (told, firing, resolved, send_resolved, now_ms, want) in [
            (None, &[1][..], &[][..], true, 1000, Send(Reason::First)),
            (None, &[], &[1], true, 1000, Silent(Quiet::NothingFired)),
            (None, &[], &[], true, 1000, Silent(Quiet::NothingFired)),
            (told(&[], &[1]), &[1], &[], true, 1000, Send(Reason::First)),
            (told(&[], &[1]), &[], &[2], true, 9999, Silent(Quiet::NothingFired)),
            (told(&[1], &[]), &[1, 2], &[], true, 1000, Send(Reason::NewAlerts)),
            (told(&[1], &[]), &[2], &[1], false, 1000, Send(Reason::NewAlerts)),
            (told(&[1, 2], &[]), &[], &[1, 2], true, 1000, Send(Reason::AllResolved)),
            (told(&[1, 2], &[]), &[], &[1, 2], false, 1000, Record),
            (told(&[1, 2], &[]), &[], &[], true, 1000, Send(Reason::AllResolved)),
            (told(&[1, 2], &[]), &[1], &[2], true, 1000, Send(Reason::SomeResolved)),
            (told(&[1, 2], &[]), &[1], &[2], false, 1000, nothing_new),
            (told(&[1, 2], &[3]), &[1], &[3], true, 1000, nothing_new),
            (told(&[1, 2], &[]), &[1], &[], true, 1000, nothing_new),
            (told(&[1], &[]), &[1], &[], true, 1100, nothing_new),
            (told(&[1], &[]), &[1], &[], true, 1101, Send(Reason::Repeat)),
            (told(&[1], &[]), &[1], &[2], false, 1101, Send(Reason::Repeat)),
        ] {
            let got = needs_update(told.as_ref(), &set(firing), &set(resolved), send_resolved, 100, now_ms);
            assert_eq!(got, want, "told {told:?}, now {firing:?} {resolved:?} at {now_ms}");
        }
    }

    proptest::proptest! {
        /// Once what is now has been noted, flushing again at once says nothing.
        #[test]
        fn a_decision_carried_out_is_not_taken_again(
            before in proptest::collection::btree_set(0u64..5, 0..5),
            firing in proptest::collection::btree_set(0u64..5, 0..5),
            resolved in proptest::collection::btree_set(5u64..9, 0..4),
            send_resolved: bool,
            now in 0i64..10_000,
        ) {
            let told = Told { firing: before, resolved: BTreeSet::new(), at_ms: 1000 };
            let first = needs_update(Some(&told), &firing, &resolved, send_resolved, 500, now);
            if !matches!(first, Decision::Quiet(_)) {
                let told = Told { firing: firing.clone(), resolved: resolved.clone(), at_ms: now };
                let again = needs_update(Some(&told), &firing, &resolved, send_resolved, 500, now);
                proptest::prop_assert!(matches!(again, Decision::Quiet(_)), "{first:?} then {again:?}");
            }
        }
    }
}
