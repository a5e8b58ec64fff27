//! Whether an alert may come in: the judgement of Alertmanager's `POST /api/v2/alerts`, in its words.
//!
//! No label is required by name, not even `alertname`. Times are milliseconds since the epoch.

use beacon_proto::v1::AlertEvent;

use crate::label::{Labels, NameRules};

/// An alert is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// Nothing is left after labels with empty values are dropped.
    #[error(
        "at least one label pair required: an alert is identified by its labels, and those with empty values do not count"
    )]
    NoLabels,
    /// A label's name is not allowed.
    #[error("invalid label set: invalid name {name:?}: {rule}")]
    LabelName {
        /// The name.
        name: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// An annotation's name is not allowed.
    #[error("invalid annotations: invalid name {name:?}: {rule}")]
    AnnotationName {
        /// The name.
        name: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// It ends before it starts.
    #[error("start time must be before end time: it starts at {starts_at_ms} and ends at {ends_at_ms} (ms since 1970)")]
    EndsBeforeStart {
        /// Start.
        starts_at_ms: i64,
        /// End.
        ends_at_ms: i64,
    },
}

/// Drops labels with empty values, which are as good as absent, then judges the alert. An alert that ends when it starts
/// is allowed: it is resolved.
///
/// # Errors
/// The first thing wrong with it; the labels stay without the empty ones.
pub fn accept(alert: &mut AlertEvent, rules: NameRules) -> Result<(), AlertError> {
    alert.labels.retain(|_, value| !value.is_empty());
    // Without a start it starts when it was received, or ends at once if it is said to have ended.
    if let (Some(starts_at_ms), Some(ends_at_ms)) = (alert.starts_at_ms, alert.ends_at_ms)
        && ends_at_ms < starts_at_ms
    {
        return Err(AlertError::EndsBeforeStart { starts_at_ms, ends_at_ms });
    }
    if alert.labels.is_empty() {
        return Err(AlertError::NoLabels);
    }
    let rule = rules.describe();
    let bad = |names: &Labels| names.keys().find(|name| !rules.allow(name)).cloned();
    if let Some(name) = bad(&alert.labels) {
        return Err(AlertError::LabelName { name, rule });
    }
    match bad(&alert.annotations) {
        Some(name) => Err(AlertError::AnnotationName { name, rule }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)], times: (Option<i64>, Option<i64>)) -> AlertEvent {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        AlertEvent {
            labels: map(labels),
            annotations: map(annotations),
            starts_at_ms: times.0,
            ends_at_ms: times.1,
            ..AlertEvent::default()
        }
    }

    #[test]
    fn alerts_are_judged_as_by_alertmanager() {
        let open = (None, None);
        for (mut case, verdict) in [
            (alert(&[("job", "db")], &[("summary", "")], open), Ok(())),
            (alert(&[("job", "db")], &[], (Some(5), Some(5))), Ok(())),
            (alert(&[("job", "db")], &[], (None, Some(1))), Ok(())),
            (alert(&[("a b", "db")], &[("c d", "x")], open), Ok(())),
            (alert(&[("job", "db"), ("", "")], &[], open), Ok(())),
            (alert(&[], &[], open), Err("at least one label pair required")),
            (alert(&[("job", "")], &[], open), Err("at least one label pair required")),
            (alert(&[("", "x")], &[], open), Err("invalid label set: invalid name \"\"")),
            (alert(&[("a", "x")], &[("", "x")], open), Err("invalid annotations: invalid name \"\"")),
            (alert(&[("a", "x")], &[], (Some(6), Some(5))), Err("start time must be before end time")),
        ] {
            match (accept(&mut case, NameRules::Utf8), verdict) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(part)) => assert!(error.to_string().starts_with(part), "{error}"),
                (got, want) => panic!("{case:?}: {got:?}, expected {want:?}"),
            }
        }
    }

    #[test]
    fn classic_rules_refuse_other_names() {
        assert!(accept(&mut alert(&[("a b", "x")], &[], (None, None)), NameRules::Classic).is_err());
        assert!(accept(&mut alert(&[("a", "x")], &[("größe", "x")], (None, None)), NameRules::Classic).is_err());
    }

    #[test]
    fn empty_labels_are_dropped() {
        let mut alert = alert(&[("a", "x"), ("b", "")], &[], (None, None));
        accept(&mut alert, NameRules::Utf8).expect("valid");
        assert_eq!(alert.labels.len(), 1);
    }
}
