//! Which silences mute which alerts, at one moment.

use std::sync::Arc;

use beacon_core::view::View;
use beacon_plan::silence::State;

use super::row::SilenceRow;
use crate::row::AlertRow;

/// The silences of a tenant that are in force at one moment, by id.
#[derive(Clone, Debug)]
pub struct Muting(Vec<Arc<SilenceRow>>);

impl Muting {
    /// Those of a view.
    pub fn of(silences: &View<String, SilenceRow>, tenant: &str, now_ms: i64) -> Self {
        let prefix = beacon_proto::key::silence(tenant, "");
        Self(silences.read(|table| {
            let rows = table.prefix(&prefix).map(|(_, row)| row);
            rows.filter(|row| row.state(now_ms) == State::Active).map(Arc::clone).collect()
        }))
    }

    /// The ids of the silences that mute an alert, sorted.
    pub fn silences_of(&self, alert: &AlertRow) -> Vec<&str> {
        self.0.iter().filter(|silence| mutes(silence, alert)).map(|silence| silence.silence.id.as_str()).collect()
    }

    /// Whether any silence mutes an alert.
    pub fn mutes(&self, alert: &AlertRow) -> bool {
        self.0.iter().any(|silence| mutes(silence, alert))
    }
}

/// [`beacon_plan::silence::mutes`] without making a map of the labels: a silence without matchers mutes nothing.
fn mutes(silence: &SilenceRow, alert: &AlertRow) -> bool {
    let labels = alert.labels();
    let matches = |name: &str| labels.get(name).unwrap_or("");
    !silence.matchers.is_empty()
        && silence.matchers.iter().all(|matcher| matcher.matches_value(matches(matcher.name())))
}
