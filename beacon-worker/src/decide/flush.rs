//! What a group tells one of its targets when its timer is due.
//!
//! Alertmanager's rules (`notify.DedupStage.needsUpdate`), but for one thing that nobody can want the old way (R3): an
//! alert that was told as firing is told as resolved even when it is muted by then, or the ticket downstream would stay
//! open for ever.

use std::collections::BTreeSet;

use beacon_plan::notify::{self, Decision, needs_update};
use beacon_proto::v1::internal::Told;
use beacon_proto::v1::{NotifiedAlert, Reason, Status};

/// A member of the group as it stands at the flush.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The alert.
    pub alert: NotifiedAlert,
    /// A silence mutes it now.
    pub muted: bool,
}

/// What is known of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetSettings {
    /// Whether it wants to hear of ends.
    pub send_resolved: bool,
    /// How long until the same is told again.
    pub repeat_interval_ms: i64,
}

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Silences mute every alert of the group.
    Muted,
    /// What is to be said was said.
    Said(notify::Quiet),
}

/// The decision for one target.
#[derive(Clone, Debug, PartialEq)]
pub enum FlushDecision {
    /// Nothing is said, and why.
    Quiet(Quiet),
    /// Nothing is said because the target does not want to hear of ends, but it counts as told.
    CountAsTold(Told),
    /// It is told.
    Tell {
        /// Why.
        reason: Reason,
        /// Firing first, then resolved; each by start, then fingerprint.
        alerts: Vec<NotifiedAlert>,
        /// What it has been told, after this.
        told: Told,
    },
}

/// Decides.
pub fn decide(members: &[Member], told: &Told, settings: TargetSettings, now_ms: i64) -> FlushDecision {
    let firing = |member: &&Member| member.alert.status() == Status::Firing;
    let open_prints: BTreeSet<&String> = told.open.iter().collect();
    let open = |member: &&Member| open_prints.contains(&member.alert.fingerprint);
    let mut visible: Vec<&Member> = members
        .iter()
        .filter(|member| if firing(member) { !member.muted } else { !member.muted || open(member) })
        .collect();
    if visible.is_empty() {
        return FlushDecision::Quiet(Quiet::Muted);
    }
    let prints = |want_firing: bool| -> BTreeSet<String> {
        visible
            .iter()
            .filter(|member| firing(member) == want_firing)
            .map(|member| member.alert.fingerprint.clone())
            .collect()
    };
    let (firing_prints, resolved_prints) = (prints(true), prints(false));
    let before = (told.n > 0).then(|| notify::Told {
        firing: numbers(&told.firing),
        resolved: numbers(&told.resolved),
        at_ms: told.at_ms,
    });
    let decision = needs_update(
        before.as_ref(),
        &numbers(&firing_prints),
        &numbers(&resolved_prints),
        settings.send_resolved,
        settings.repeat_interval_ms,
        now_ms,
    );
    let owed = settings.send_resolved && resolved_prints.iter().any(|print| open_prints.contains(print));
    let reason = match decision {
        Decision::Send(reason) => Some(Reason::from(reason)),
        Decision::Record => None,
        // The last notification may have left muted alerts out, so comparing with it alone would lose their ends.
        Decision::Quiet(_) if owed => Some(Reason::SomeResolved),
        Decision::Quiet(why) => return FlushDecision::Quiet(Quiet::Said(why)),
    };
    let sends = |member: &&&Member| settings.send_resolved || firing(member);
    let now_open: BTreeSet<String> =
        told.open.iter().filter(|print| !resolved_prints.contains(*print)).chain(&firing_prints).cloned().collect();
    let after = Told {
        target: told.target.clone(),
        firing: firing_prints.iter().cloned().collect(),
        resolved: resolved_prints.iter().cloned().collect(),
        at_ms: now_ms,
        n: told.n + 1,
        open: now_open.into_iter().collect(),
    };
    visible.sort_by_key(|member| (!firing(member), member.alert.starts_at_ms, member.alert.fingerprint.clone()));
    let alerts: Vec<_> = visible.iter().filter(sends).map(|member| member.alert.clone()).collect();
    match reason {
        Some(reason) if !alerts.is_empty() => FlushDecision::Tell { reason, alerts, told: after },
        _ => FlushDecision::CountAsTold(after),
    }
}

/// Fingerprints as the numbers they print.
fn numbers<'a>(prints: impl IntoIterator<Item = &'a String>) -> BTreeSet<u64> {
    prints.into_iter().filter_map(|print| u64::from_str_radix(print, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: TargetSettings = TargetSettings { send_resolved: true, repeat_interval_ms: 1_000 };

    fn member(print: &str, firing: bool, muted: bool) -> Member {
        let status = if firing { Status::Firing } else { Status::Resolved };
        let alert = NotifiedAlert { fingerprint: print.into(), status: status.into(), ..NotifiedAlert::default() };
        Member { alert, muted }
    }

    fn tell(members: &[Member], told: &Told, now: i64) -> (Reason, usize, Told) {
        match decide(members, told, SETTINGS, now) {
            FlushDecision::Tell { reason, alerts, told } => (reason, alerts.len(), told),
            other => panic!("expected to tell: {other:?}"),
        }
    }

    fn is_quiet(members: &[Member], told: &Told, now: i64) -> bool {
        matches!(decide(members, told, SETTINGS, now), FlushDecision::Quiet(_))
    }

    #[test]
    fn tells_first_then_keeps_quiet_until_something_changes_or_the_repeat() {
        let members = [member("a", true, false)];
        let (reason, _, told) = tell(&members, &Told::default(), 100);
        assert_eq!(reason, Reason::First);
        assert!(is_quiet(&members, &told, 200));
        assert_eq!(tell(&members, &told, 1_101).0, Reason::Repeat);
        let (reason, count, _) = tell(&[member("a", true, false), member("b", true, false)], &told, 200);
        assert_eq!((reason, count), (Reason::NewAlerts, 2));
    }

    #[test]
    fn a_group_that_resolved_before_it_was_told_says_nothing() {
        assert!(is_quiet(&[member("a", false, false)], &Told::default(), 100));
    }

    #[test]
    fn a_told_alert_gets_its_end_though_it_is_muted_by_then() {
        let (_, _, told) = tell(&[member("a", true, false), member("b", true, false)], &Told::default(), 100);
        let (_, _, told) = tell(&[member("a", true, true), member("b", true, false)], &told, 1_200);
        assert_eq!(told.open, ["a", "b"], "a is muted, but its trigger is still out there");
        let (reason, count, told) = tell(&[member("a", false, true), member("b", true, true)], &told, 1_300);
        assert_eq!((reason, count), (Reason::AllResolved, 1));
        assert_eq!(told.open, ["b"]);
        let (_, _, told) = tell(&[member("b", false, true)], &told, 1_400);
        assert!(told.open.is_empty());
    }

    #[test]
    fn a_muted_alert_that_was_never_told_ends_in_silence() {
        assert!(is_quiet(&[member("a", true, true)], &Told::default(), 100));
        assert!(is_quiet(&[member("a", false, true)], &Told::default(), 200));
    }

    #[test]
    fn who_does_not_want_ends_counts_as_told() {
        let settings = TargetSettings { send_resolved: false, ..SETTINGS };
        let members = [member("a", true, false)];
        let FlushDecision::Tell { told, .. } = decide(&members, &Told::default(), settings, 100) else {
            panic!("first is told")
        };
        let FlushDecision::CountAsTold(told) = decide(&[member("a", false, false)], &told, settings, 200) else {
            panic!("the end is not told, but noted")
        };
        assert!(told.firing.is_empty());
        let again = decide(&members, &told, settings, 300);
        assert!(matches!(again, FlushDecision::Tell { reason: Reason::First, .. }), "{again:?}");
    }
}
