//! The journal: what is to be sent, what was tried, what came of it — as state of the engine and a ledger on a topic.
//!
//! One operator, keyed by group. A notification becomes an INTENT in the ledger and a call to the dispatcher, made after
//! the commit; the answer comes back as a record and becomes ACCEPTED, RETRY, DEAD or SUPERSEDED. A crash in between
//! makes the call again: rather twice than never, and with the same idempotency key.
//!
//! Invariant: per group and target at most one notification is under way and at most one waits; nothing is forgotten
//! without an entry in the ledger.

mod deliver;
mod ledger;

use std::sync::Arc;

use beacon_core::topology::{BuildErrors, Caller, Changed, Topic, Topology, TopologyBuilder};
use beacon_proto::key;
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::Notification;
use beacon_proto::v1::internal::{Send, Sent};

use crate::finishing::Attempts;
use crate::metrics::Metrics;

use deliver::{Deliver, Input, Output};

/// Starts one attempt and returns at once; the answer goes to the function given along.
pub type Deliverer = Arc<dyn Fn(Send, Box<dyn FnOnce(Sent) + std::marker::Send>) + std::marker::Send + Sync>;

/// The target, over all groups.
fn lane(notification: &Notification) -> Vec<u8> {
    notification.target.as_ref().map_or_else(Vec::new, |target| deliver::name(target).into_bytes())
}

/// Notifications in, calls and ledger out; what comes to an end is counted in `metrics`, and `begun` is told of each answer that is
/// heard.
///
/// # Errors
/// Mistakes in the topology itself, which no input can cause.
pub fn topology(
    topics: &Topics,
    deliverer: Deliverer,
    metrics: Arc<Metrics>,
    begun: Arc<Attempts>,
) -> Result<Topology, BuildErrors> {
    let app = TopologyBuilder::new(topics.name("notifier"));
    app.dead_letters(topics.name(topics::DEAD_LETTERS));

    let caller =
        Caller::new(move |send: Result<Send, _>, done: Box<dyn FnOnce(Sent) + std::marker::Send>| match send {
            Ok(send) => deliverer(send, done),
            // Bytes of our own state that do not read any more: answer, or the call would stay open for ever.
            Err(error) => done(ledger::unreadable(&error)),
        })
        // A target that hangs holds up what is for it, and nothing else.
        .in_lanes(|send: &Send| send.notification.as_ref().map_or_else(Vec::new, lane));
    let sent = app.replies::<String, Sent>("send", Arc::new(caller));

    let done = app
        .source::<Notification>("notifications", &Topic::new(topics.name(topics::NOTIFICATIONS)))
        .keyed("by group", |notification| key::group(&notification.tenant, &notification.group_key))
        .map_values("due", Input::Notification)
        .merge("events", &sent.stream().map_values("answers", Input::Sent))
        .process("deliver", move |state| Deliver::new(state, Arc::clone(&metrics), Arc::clone(&begun)));

    done.flat_map("ledger entries", Output::delivery)
        .map("ledger records", |delivery| Changed {
            key: key::group(&delivery.tenant, &delivery.group_key).into_bytes(),
            value: Some(delivery),
        })
        .sink_changes("deliveries", &Topic::new(topics.name(topics::DELIVERIES)));

    done.flat_map("given up", Output::dead)
        .map("letters", |(notification, reason)| ledger::dead_letter(&notification, &reason))
        .sink_records("dead letters", topics.name(topics::DEAD_LETTERS));

    let attempts = done.flat_map("attempts", Output::attempt).keyed("attempts by group", |send| {
        send.notification.as_ref().map_or_else(String::new, |n| key::group(&n.tenant, &n.group_key))
    });
    sent.ask(&attempts, ledger::attempt_id);

    app.build()
}
