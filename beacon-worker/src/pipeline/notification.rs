//! Puts a notification together: everything rendering needs, and an id that says what it is.

use std::collections::BTreeMap;

use beacon_proto::v1::internal::{Group, Told};
use beacon_proto::v1::{Notification, NotifiedAlert, Reason, Status, Target};
use sha2::{Digest, Sha256};

/// What only fires is of no use once the group is told again; an end, which nothing tells again, is worth a day of trying.
const RESOLVED_LASTS_MS: i64 = 24 * 60 * 60 * 1_000;
/// However short the repeat interval is, a receiver that restarts must not miss a page.
const FIRING_LASTS_AT_LEAST_MS: i64 = 60 * 60 * 1_000;

/// The notification to one target.
///
/// The id is a hash of (group, occurrence, target, n): the same decision always has the same id.
pub fn notification(
    group: &Group,
    target: &Target,
    told: &Told,
    reason: Reason,
    mut alerts: Vec<NotifiedAlert>,
    max_alerts: u64,
    now_ms: i64,
) -> Notification {
    let settings = group.settings.clone().unwrap_or_default();
    let firing = alerts.iter().any(|alert| alert.status() == Status::Firing);
    let ends = alerts.iter().any(|alert| alert.status() == Status::Resolved);
    let common_labels = common(alerts.iter().map(|alert| &alert.labels));
    let common_annotations = common(alerts.iter().map(|alert| &alert.annotations));
    let truncated = match usize::try_from(max_alerts) {
        Ok(max) if max > 0 && alerts.len() > max => alerts.split_off(max).len() as u64,
        _ => 0,
    };
    let fires_for = if firing { settings.repeat_interval_ms.max(FIRING_LASTS_AT_LEAST_MS) } else { 0 };
    let lasts = if ends { fires_for.max(RESOLVED_LASTS_MS) } else { fires_for };
    Notification {
        id: id(group, target, told.n),
        tenant: group.tenant.clone(),
        group_key: group.group_key.clone(),
        target: Some(target.clone()),
        status: if firing { Status::Firing } else { Status::Resolved }.into(),
        group_labels: settings.group_labels,
        common_labels,
        common_annotations,
        alerts,
        truncated_alerts: truncated,
        decided_at_ms: now_ms,
        reason: reason.into(),
        occurrence: group.occurrence,
        n: told.n,
        expires_at_ms: now_ms.saturating_add(lasts),
        max_alerts,
    }
}

fn id(group: &Group, target: &Target, n: u64) -> String {
    let mut hash = Sha256::new();
    for part in [&group.tenant, &group.group_id, &target.receiver, &target.integration] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(target.index.to_be_bytes());
    hash.update(group.occurrence.to_be_bytes());
    hash.update(group.started_by_ms.to_be_bytes());
    hash.update(n.to_be_bytes());
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The pairs all maps have.
fn common<'a>(mut maps: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut shared = maps.next().cloned().unwrap_or_default();
    for map in maps {
        shared.retain(|name, value| map.get(name) == Some(value));
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_in_every_part_and_are_stable() {
        let group = Group { group_key: "g".into(), occurrence: 1, ..Group::default() };
        let target = Target { receiver: "r".into(), integration: "webhook".into(), index: 0 };
        let base = id(&group, &target, 1);
        assert_eq!(base, id(&group, &target, 1));
        assert_ne!(base, id(&group, &target, 2));
        assert_ne!(base, id(&group, &Target { index: 1, ..target.clone() }, 1));
        assert_ne!(base, id(&Group { occurrence: 2, ..group.clone() }, &target, 1));
        assert_ne!(base, id(&Group { started_by_ms: 5, ..group }, &target, 1));
    }

    #[test]
    fn common_pairs_are_those_of_all() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let maps = [map(&[("a", "1"), ("b", "2")]), map(&[("a", "1"), ("b", "3")])];
        assert_eq!(common(maps.iter()), map(&[("a", "1")]));
    }
}
