//! What an observation makes of an alert: Alertmanager's merge, on milliseconds.
//!
//! Source: `types.Alert.Merge`, `provider/mem.Alerts.Put` and the POST handler of API v2 in prometheus/alertmanager.

use beacon_proto::v1::internal::TrackedAlert;
use beacon_proto::v1::{AlertEvent, AlertState};

/// An observation with its gaps filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    starts_at_ms: i64,
    ends_at_ms: i64,
    /// Nobody said when it ends.
    timeout: bool,
}

fn interval(event: &AlertEvent, resolve_timeout_ms: i64) -> Interval {
    let received = event.received_at_ms;
    let starts_at_ms = event.starts_at_ms.or(event.ends_at_ms).unwrap_or(received);
    match event.ends_at_ms {
        Some(ends_at_ms) => Interval { starts_at_ms, ends_at_ms, timeout: false },
        None => Interval { starts_at_ms, ends_at_ms: received.saturating_add(resolve_timeout_ms), timeout: true },
    }
}

/// The alert after an observation. `old` is what was known; `offset` the observation's place in the topic.
///
/// Overlapping intervals are one episode: the earliest start stays, and a later end that a source gave explicitly
/// beats an earlier one. Whether it is resolved is judged at the time it was received, so that doing the record again
/// gives the same answer; a timer sees to ends that pass later.
pub fn merge(
    old: Option<&TrackedAlert>,
    event: AlertEvent,
    fingerprint: String,
    offset: u64,
    resolve_timeout_ms: i64,
) -> TrackedAlert {
    let new = interval(&event, resolve_timeout_ms);
    let received = event.received_at_ms;
    let (mut merged, mut groups, mut receivers) = (new, Vec::new(), Vec::new());
    if let Some(TrackedAlert { alert: Some(alert), ends_by_timeout, groups: known }) = old {
        groups.clone_from(known);
        receivers.clone_from(&alert.receivers);
        let old_interval =
            Interval { starts_at_ms: alert.starts_at_ms, ends_at_ms: alert.ends_at_ms, timeout: *ends_by_timeout };
        if overlaps(new, old_interval) {
            merged = join(old_interval, new, received);
        }
    }
    TrackedAlert {
        alert: Some(AlertState {
            tenant: event.tenant,
            fingerprint,
            labels: event.labels,
            annotations: event.annotations,
            starts_at_ms: merged.starts_at_ms,
            ends_at_ms: merged.ends_at_ms,
            updated_at_ms: received,
            generator_url: event.generator_url,
            receivers,
            reflects_offset: offset,
            resolved: merged.ends_at_ms <= received,
        }),
        ends_by_timeout: merged.timeout,
        groups,
    }
}

fn overlaps(new: Interval, old: Interval) -> bool {
    let inside = |at: i64| at > old.starts_at_ms && at < old.ends_at_ms;
    // A repeated observation with the very same start is the same episode while the old one lasts.
    inside(new.ends_at_ms)
        || inside(new.starts_at_ms)
        || (new.starts_at_ms == old.starts_at_ms && new.ends_at_ms >= old.ends_at_ms)
}

fn join(old: Interval, new: Interval, now: i64) -> Interval {
    let starts_at_ms = old.starts_at_ms.min(new.starts_at_ms);
    let resolved = |interval: Interval| interval.ends_at_ms <= now;
    let keep_old_end = if resolved(new) {
        resolved(old) && old.ends_at_ms > new.ends_at_ms
    } else {
        old.ends_at_ms > new.ends_at_ms && !old.timeout
    };
    if keep_old_end { Interval { starts_at_ms, ..old } } else { Interval { starts_at_ms, ..new } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const T: i64 = 1_000 * MINUTE;

    fn event(received: i64, starts: Option<i64>, ends: Option<i64>) -> AlertEvent {
        AlertEvent { received_at_ms: received, starts_at_ms: starts, ends_at_ms: ends, ..AlertEvent::default() }
    }

    fn after(events: &[AlertEvent]) -> AlertState {
        let mut tracked: Option<TrackedAlert> = None;
        for (offset, event) in events.iter().enumerate() {
            tracked = Some(merge(tracked.as_ref(), event.clone(), "f".into(), offset as u64, 5 * MINUTE));
        }
        tracked.and_then(|tracked| tracked.alert).expect("at least one event")
    }

    #[test]
    fn without_times_it_starts_when_received_and_ends_by_timeout() {
        let alert = after(&[event(T, None, None)]);
        assert_eq!((alert.starts_at_ms, alert.ends_at_ms, alert.resolved), (T, T + 5 * MINUTE, false));
    }

    #[test]
    fn with_an_end_only_it_starts_at_that_end() {
        let alert = after(&[event(T, None, Some(T - 1))]);
        assert_eq!((alert.starts_at_ms, alert.resolved), (T - 1, true));
    }

    #[test]
    fn a_renewal_keeps_the_earliest_start_and_moves_the_timeout() {
        let alert = after(&[event(T, None, None), event(T + MINUTE, None, None)]);
        assert_eq!((alert.starts_at_ms, alert.ends_at_ms), (T, T + 6 * MINUTE));
    }

    #[test]
    fn an_explicit_later_end_beats_a_timeout() {
        let alert = after(&[event(T, Some(T), Some(T + 60 * MINUTE)), event(T + MINUTE, None, None)]);
        assert_eq!(alert.ends_at_ms, T + 60 * MINUTE);
    }

    #[test]
    fn resolved_by_its_source_ends_there() {
        let alert = after(&[event(T, Some(T), Some(T + 4 * MINUTE)), event(T + MINUTE, Some(T), Some(T + MINUTE))]);
        assert_eq!((alert.ends_at_ms, alert.resolved), (T + MINUTE, true));
    }

    #[test]
    fn firing_again_after_its_end_is_a_new_episode() {
        let alert = after(&[
            event(T, Some(T), Some(T + MINUTE)),
            event(T + MINUTE, Some(T), Some(T + MINUTE)),
            event(T + 9 * MINUTE, Some(T + 9 * MINUTE), Some(T + 13 * MINUTE)),
        ]);
        assert_eq!((alert.starts_at_ms, alert.resolved), (T + 9 * MINUTE, false));
    }
}
