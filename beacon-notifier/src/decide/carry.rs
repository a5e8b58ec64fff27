//! What a newer notification takes over from one that was not delivered: the ends of alerts.
//!
//! A notification tells what fires in its group, so a newer one makes an older one's firing alerts stale. Ends are
//! different: an alert that has ended leaves the group with the notification that tells of it, and no later one has it.
//! Whoever was told that it fires would never hear the end.

use std::collections::BTreeSet;

use beacon_proto::v1::{Notification, NotifiedAlert, Status};
use prost::Message as _;

/// Largest notification, encoded, to which ends are added. Logs refuse records above 1 MiB by default (Kafka's
/// `message.max.bytes`), and a dead letter is the notification and its headers.
pub const MAX_BYTES: usize = 768 << 10;

/// Tag and length of an alert within a notification, at most.
const FRAME_BYTES: usize = 8;

/// A notification with the ends it took over.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// The newer one; its id, number and time of decision are as they were.
    pub notification: Notification,
    /// Ends that were added.
    pub ends: usize,
    /// Ends that found no room: the newest go first. They are counted as `truncated_alerts`.
    pub left_out: usize,
}

/// Adds to `newer`, which takes the place of `older`, the ends that only `older` has.
///
/// Bounded by the target's `max_alerts` and by [`MAX_BYTES`]. With ends it is of use as long as `older` was. `newer` must
/// not have been sent yet: under one id a target is always told the same.
pub fn carry_ends(older: &Notification, mut newer: Notification) -> Carried {
    let mut owed = owed(older, &newer);
    let kept = room(&newer, &owed);
    let left_out = owed.len() - kept;
    owed.truncate(kept);
    newer.truncated_alerts += left_out as u64;
    if kept > 0 {
        for alert in &owed {
            newer.common_labels.retain(|name, value| alert.labels.get(name) == Some(value));
            newer.common_annotations.retain(|name, value| alert.annotations.get(name) == Some(value));
        }
        newer.alerts.append(&mut owed);
        newer.alerts.sort_by_cached_key(|alert| (is_end(alert), alert.starts_at_ms, alert.fingerprint.clone()));
        newer.expires_at_ms = newer.expires_at_ms.max(older.expires_at_ms);
    }
    Carried { notification: newer, ends: kept, left_out }
}

/// Ends of `older` that `newer` says nothing of, newest first. What fires again in `newer` needs no end before.
fn owed(older: &Notification, newer: &Notification) -> Vec<NotifiedAlert> {
    let told: BTreeSet<&str> = newer.alerts.iter().map(|alert| alert.fingerprint.as_str()).collect();
    let is_owed = |alert: &&NotifiedAlert| is_end(alert) && !told.contains(alert.fingerprint.as_str());
    let mut owed: Vec<_> = older.alerts.iter().filter(is_owed).cloned().collect();
    owed.sort_by(|a, b| b.ends_at_ms.cmp(&a.ends_at_ms).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
    owed
}

/// How many of `owed` may be added, from the first.
fn room(newer: &Notification, owed: &[NotifiedAlert]) -> usize {
    let most = match usize::try_from(newer.max_alerts) {
        Ok(0) if newer.truncated_alerts == 0 => usize::MAX,
        // Decided by a version that did not say how many the target takes: not more than it was given.
        Ok(0) => newer.alerts.len(),
        Ok(most) => most,
        Err(_) => usize::MAX,
    };
    let mut bytes = newer.encoded_len();
    owed.iter()
        .take(most.saturating_sub(newer.alerts.len()))
        .take_while(|alert| {
            bytes += alert.encoded_len() + FRAME_BYTES;
            bytes <= MAX_BYTES
        })
        .count()
}

fn is_end(alert: &NotifiedAlert) -> bool {
    alert.status() == Status::Resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(name: &str, status: Status) -> NotifiedAlert {
        let ends_at_ms = if status == Status::Resolved { 200 } else { 0 };
        let labels = [("alertname", "Down"), ("host", name)];
        NotifiedAlert {
            status: status.into(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            starts_at_ms: 100,
            ends_at_ms,
            fingerprint: name.to_owned(),
            ..NotifiedAlert::default()
        }
    }

    fn notification(id: &str, alerts: Vec<NotifiedAlert>) -> Notification {
        Notification {
            id: id.to_owned(),
            status: Status::Firing.into(),
            common_labels: alerts.first().map(|alert| alert.labels.clone()).unwrap_or_default(),
            alerts,
            expires_at_ms: 1_000,
            ..Notification::default()
        }
    }

    fn names(notification: &Notification) -> Vec<(&str, bool)> {
        notification.alerts.iter().map(|alert| (alert.fingerprint.as_str(), is_end(alert))).collect()
    }

    #[test]
    fn ends_that_only_the_older_has_go_along_behind_what_fires() {
        let ended = vec![alert("a", Status::Resolved), alert("b", Status::Firing)];
        let older = Notification { expires_at_ms: 5_000, ..notification("n2", ended) };
        let newer = notification("n3", vec![alert("c", Status::Firing)]);
        let Carried { notification, ends, left_out } = carry_ends(&older, newer);
        assert_eq!(names(&notification), [("c", false), ("a", true)]);
        assert_eq!((ends, left_out, notification.id.as_str()), (1, 0, "n3"));
        assert_eq!(notification.common_labels, [("alertname".to_owned(), "Down".to_owned())].into());
        assert_eq!((notification.expires_at_ms, notification.status()), (5_000, Status::Firing));
    }

    #[test]
    fn what_the_newer_tells_of_is_its_own() {
        let older = notification("n2", vec![alert("a", Status::Resolved), alert("b", Status::Resolved)]);
        let newer = notification("n3", vec![alert("a", Status::Firing), alert("b", Status::Resolved)]);
        assert_eq!(carry_ends(&older, newer.clone()), Carried { notification: newer, ends: 0, left_out: 0 });
    }

    #[test]
    fn ends_add_up_over_many() {
        let ended = |name| notification(name, vec![alert(name, Status::Resolved)]);
        let all =
            ["a", "b", "c", "d"].map(ended).into_iter().reduce(|older, newer| carry_ends(&older, newer).notification);
        let all = all.unwrap();
        assert_eq!((all.id.as_str(), names(&all)), ("d", ["a", "b", "c", "d"].map(|name| (name, true)).to_vec()));
    }

    #[test]
    fn no_more_alerts_than_the_target_takes() {
        let newest = NotifiedAlert { ends_at_ms: 900, ..alert("z", Status::Resolved) };
        let older = notification("n2", vec![alert("a", Status::Resolved), newest]);
        let newer = Notification { max_alerts: 2, ..notification("n3", vec![alert("c", Status::Firing)]) };
        let carried = carry_ends(&older, newer);
        assert_eq!(names(&carried.notification), [("c", false), ("z", true)]);
        assert_eq!((carried.ends, carried.left_out, carried.notification.truncated_alerts), (1, 1, 1));
        let cut = Notification { truncated_alerts: 3, ..notification("n3", vec![alert("c", Status::Firing)]) };
        assert_eq!(carry_ends(&older, cut).ends, 0, "decided before `max_alerts` was told");
    }

    #[test]
    fn it_never_grows_beyond_what_a_record_may_be() {
        let large = |number: usize| NotifiedAlert {
            annotations: [("text".to_owned(), "x".repeat(10_000))].into(),
            ..alert(&format!("{number:03}"), Status::Resolved)
        };
        let older = notification("n2", (0..200).map(large).collect());
        let carried = carry_ends(&older, notification("n3", vec![alert("c", Status::Firing)]));
        assert!(carried.notification.encoded_len() <= MAX_BYTES);
        assert!(carried.ends > 70 && carried.ends + carried.left_out == 200, "{}", carried.ends);
    }
}
