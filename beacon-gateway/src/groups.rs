//! `GET /api/v2/alerts/groups`: firing alerts as the plan in use groups them.
//!
//! Computed from the alerts' labels and the plan, not read from the worker: after a reload the new plan's groups are
//! shown at once, while the worker still takes the new plan over.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use beacon_plan::Plan;
use serde::Serialize;

use crate::alerts::{self, AlertStatus, GettableAlert, ReceiverName};
use crate::app::App;
use crate::error::ApiError;
use crate::query::{AlertQuery, pass};
use crate::row::{AlertRow, PairsOf};
use crate::silences::Muting;

type Labels = BTreeMap<String, String>;

/// A group as the API prints it.
#[derive(Serialize)]
struct Group<'a> {
    alerts: Vec<GettableAlert<'a>>,
    labels: &'a Labels,
    receiver: ReceiverName<'a>,
}

/// Firing alerts by group; none is `[]`.
///
/// # Errors
/// 400 for a filter that is none, 503 while the log is away.
pub async fn get_groups(
    State(app): State<Arc<App>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    alerts::list(app, &pairs, |app, rows, query, muting| render(rows, &app.plan.in_force(), query, muting)).await
}

/// What tells groups apart: the receiver, the labels, and the route, since two routes may agree in both.
type GroupKey = (Labels, String, String);

fn render(rows: &[Arc<AlertRow>], plan: &Plan, query: &AlertQuery, muting: &Muting) -> Vec<u8> {
    let mut groups: BTreeMap<GroupKey, Vec<(&AlertRow, AlertStatus<'_>)>> = BTreeMap::new();
    // Which receivers' groups an alert is in, of those asked for.
    let mut receivers: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in rows {
        let labels = row.labels();
        let status = AlertStatus::of(row, muting);
        if !status.is_wanted(query) || !pass(&query.matchers, |name| labels.get(name)) {
            continue;
        }
        for found in plan.route(&labels.to_map()) {
            let receiver = &found.route.settings().receiver;
            if query.wants_receiver(receiver) {
                receivers.entry(row.fingerprint).or_default().push(receiver.clone());
                let key = (found.group_labels, receiver.clone(), found.route.id().to_owned());
                groups.entry(key).or_default().push((row, status.clone()));
            }
        }
    }
    receivers.values_mut().for_each(|names| names.sort_unstable());
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|((a, a_receiver, _), _), ((b, b_receiver, _), _)| {
        by_labels(a.iter().map(strs), b.iter().map(strs)).then_with(|| a_receiver.cmp(b_receiver))
    });
    let printed: Vec<Group<'_>> = groups.iter_mut().map(|(key, alerts)| print(key, alerts, &receivers)).collect();
    let mut body = serde_json::to_vec(&printed).expect("string keys, and a Vec takes all bytes");
    body.push(b'\n');
    body
}

fn print<'a>(
    (labels, receiver, _): &'a GroupKey,
    alerts: &mut Vec<(&'a AlertRow, AlertStatus<'a>)>,
    receivers: &'a BTreeMap<u64, Vec<String>>,
) -> Group<'a> {
    alerts.sort_by(|(a, _), (b, _)| by_place(a.labels(), b.labels()));
    let print = |(row, status): (&'a AlertRow, AlertStatus<'a>)| {
        let names = receivers.get(&row.fingerprint).into_iter().flatten().map(String::as_str);
        GettableAlert::new(row, status, names)
    };
    Group { alerts: alerts.drain(..).map(print).collect(), labels, receiver: ReceiverName { name: receiver } }
}

fn strs<'a>((name, value): (&'a String, &'a String)) -> (&'a str, &'a str) {
    (name, value)
}

/// Alertmanager's order of alerts in a group: by job, then by instance, what has none of it last; then by all labels.
fn by_place(a: PairsOf<'_>, b: PairsOf<'_>) -> Ordering {
    let by = |name: &str| match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by("job").then_with(|| by("instance")).then_with(|| by_labels(a.iter(), b.iter()))
}

/// Prometheus' order of label sets (`LabelSet.Before`): fewer labels first; then, name by name, who lacks the first name
/// that the two do not share comes first, or who has the smaller value.
fn by_labels<'a>(a: impl Iterator<Item = (&'a str, &'a str)>, b: impl Iterator<Item = (&'a str, &'a str)>) -> Ordering {
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    a.len().cmp(&b.len()).then_with(|| {
        let first_difference = a.iter().zip(&b).find(|(a, b)| a != b);
        first_difference.map_or(Ordering::Equal, |((a_name, a_value), (b_name, b_value))| {
            // The smaller name is the one that the other lacks.
            b_name.cmp(a_name).then_with(|| a_value.cmp(b_value))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: &[(&'static str, &'static str)], b: &[(&'static str, &'static str)]) -> Ordering {
        by_labels(a.iter().copied(), b.iter().copied())
    }

    #[test]
    fn label_sets_are_in_prometheus_order() {
        assert_eq!(order(&[("z", "9")], &[("a", "1"), ("b", "1")]), Ordering::Less);
        assert_eq!(order(&[("a", "1"), ("b", "1")], &[("a", "1"), ("b", "2")]), Ordering::Less);
        // The right one has the label b, the left one lacks it.
        assert_eq!(order(&[("a", "1"), ("c", "1")], &[("a", "1"), ("b", "2")]), Ordering::Less);
        assert_eq!(order(&[("a", "1")], &[("a", "1")]), Ordering::Equal);
    }
}
