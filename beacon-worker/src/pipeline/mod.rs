//! The pipeline as a topology: reads like the table of topics.

mod facts;
mod group;
mod notification;
mod track;

use beacon_core::topology::{BuildErrors, Changed, Topic, Topology, TopologyBuilder};
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::{AlertEvent, AlertState, Notification, Plan, Silence};

use facts::Fact;
use group::GroupAlerts;
use track::{TrackAlerts, Tracked};

/// Name of the application under a topic prefix: its consumer group, and the prefix of its internal topics.
pub fn application(topics: &Topics) -> String {
    topics.name("pipeline")
}

/// Alerts in; states and notifications out.
///
/// # Errors
/// Mistakes in the topology itself, which no input can cause.
pub fn topology(topics: &Topics) -> Result<Topology, BuildErrors> {
    let app = TopologyBuilder::new(application(topics));
    app.dead_letters(topics.name(topics::DEAD_LETTERS));

    let plans = app
        .source_changes::<Plan>("plans", &Topic::new(topics.name(topics::PLANS)))
        .map("plan facts", Fact::Plan)
        .broadcast("plan");
    let silences = app
        .source_changes::<Silence>("silences", &Topic::new(topics.name(topics::SILENCES)))
        .map("silence facts", Fact::Silence)
        .broadcast("silence");
    let facts = plans.merge("facts", &silences);

    let tracked = app
        .source::<AlertEvent>("alerts", &Topic::new(topics.name(topics::ALERTS)))
        .try_flat_map("valid", |event| track::validate(event).map(Some))
        .keyed("by alert", track::key)
        .process_with("track", &facts, TrackAlerts::new);

    tracked
        .flat_map("changes", Tracked::change)
        .key_by("group", |change| beacon_proto::key::group(&change.tenant, &change.group_id))
        .process_with("notify", &facts, GroupAlerts::new)
        .map("by group", |notification: Notification| Changed {
            key: beacon_proto::key::group(&notification.tenant, &notification.group_key).into_bytes(),
            value: Some(notification),
        })
        .sink_changes("notifications", &Topic::new(topics.name(topics::NOTIFICATIONS)));

    // After the changes: the last to take a value gets it without a copy.
    tracked
        .flat_map("states", Tracked::state)
        .sink_changes("alerts.state", &Topic::<AlertState>::new(topics.name(topics::ALERTS_STATE)));

    app.build()
}
