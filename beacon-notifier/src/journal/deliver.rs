//! The operator that sees each notification to its end.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::operator::{Ctx, KeyedProcess, OpError, OpResult};
use beacon_core::state::{MapState, Registry};
use beacon_core::time::ProcessingTime;
use beacon_core::timer_tags;
use beacon_proto::v1::internal::{Outbox, Send, Sent};
use beacon_proto::v1::{Delivery, Notification, Outcome, Target};

use super::ledger::entry;
use crate::decide::carry::{Carried, carry_ends};
use crate::decide::retry::{RetryDecision, next_attempt};
use crate::finishing::Attempts;
use crate::metrics::{Failure, Metrics};

timer_tags! {
    /// What a group's deliveries wait for.
    pub(super) enum DeliveryTimer {
        /// The next attempt of some target.
        Retry = 1,
    }
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    Notification(Notification),
    Sent(Sent),
}

/// What goes out.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub(super) enum Output {
    Delivery(Delivery),
    Attempt(Send),
    Dead(Notification, String),
}

impl Output {
    pub(super) fn delivery(self) -> Option<Delivery> {
        if let Self::Delivery(delivery) = self { Some(delivery) } else { None }
    }
    pub(super) fn attempt(self) -> Option<Send> {
        if let Self::Attempt(send) = self { Some(send) } else { None }
    }
    pub(super) fn dead(self) -> Option<(Notification, String)> {
        if let Self::Dead(notification, reason) = self { Some((notification, reason)) } else { None }
    }
}

/// The operator.
pub(super) struct Deliver {
    outboxes: MapState<String, Outbox>,
    metrics: Arc<Metrics>,
    begun: Arc<Attempts>,
}

impl Deliver {
    pub(super) fn new(state: &mut Registry, metrics: Arc<Metrics>, begun: Arc<Attempts>) -> Self {
        Self { outboxes: state.map("outboxes"), metrics, begun }
    }

    fn begin(&self, name: &str, mut outbox: Outbox, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let Some(notification) = outbox.current.clone() else { return Ok(()) };
        outbox.attempt += 1;
        outbox.in_flight = true;
        outbox.next_attempt_at_ms = 0;
        let now_ms = ctx.processing_time().as_millis();
        ctx.emit(Output::Delivery(entry(&notification, Outcome::Intent, outbox.attempt, now_ms, "")))?;
        ctx.emit(Output::Attempt(Send { notification: Some(notification), attempt: outbox.attempt }))?;
        self.outboxes.insert(ctx, &name.to_owned(), &outbox);
        Ok(())
    }

    /// A newer notification, which was not sent yet, takes the place of one that was not delivered.
    fn supersede(
        &self,
        old: &Notification,
        attempt: u32,
        new: Notification,
        ctx: &mut Ctx<'_, Self>,
    ) -> Result<Notification, OpError> {
        let carried = carry_ends(old, new);
        self.metrics.superseded(integration(old));
        let now_ms = ctx.processing_time().as_millis();
        ctx.emit(Output::Delivery(entry(old, Outcome::Superseded, attempt, now_ms, &replaced_by(&carried))))?;
        Ok(carried.notification)
    }

    fn on_notification(&self, notification: Notification, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let Some(target) = &notification.target else {
            return Err(OpError::dead_letter("the notification names no target"));
        };
        if notification.id.is_empty() {
            return Err(OpError::dead_letter("the notification has no id: it could not be told from its repetition"));
        }
        let name = name(target);
        let mut outbox = self.outboxes.get(ctx, &name)?.unwrap_or_default();
        let Some(current) = outbox.current.clone() else {
            outbox.current = Some(notification);
            return self.begin(&name, outbox, ctx);
        };
        if current.id == notification.id || outbox.next.as_ref().is_some_and(|next| next.id == notification.id) {
            return Ok(());
        }
        if outbox.in_flight {
            let next = match outbox.next.take() {
                Some(waiting) => self.supersede(&waiting, 0, notification, ctx)?,
                None => notification,
            };
            outbox.next = Some(next);
        } else {
            // The receiver is in trouble: the schedule of its retries stays, what they carry is the newest.
            outbox.current = Some(self.supersede(&current, outbox.attempt, notification, ctx)?);
        }
        self.outboxes.insert(ctx, &name, &outbox);
        Ok(())
    }

    fn on_sent(&self, sent: Sent, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.begun.heard(&sent.notification_id, sent.attempt);
        let Some(target) = &sent.target else {
            return self.on_unreadable(&sent.detail, ctx);
        };
        let name = name(target);
        let Some(mut outbox) = self.outboxes.get(ctx, &name)? else { return Ok(()) };
        let Some(current) = outbox.current.clone() else { return Ok(()) };
        if current.id != sent.notification_id || outbox.attempt != sent.attempt || !outbox.in_flight {
            return Ok(());
        }
        outbox.in_flight = false;
        let now_ms = ctx.processing_time().as_millis();
        let mut delivery = entry(&current, sent.outcome(), sent.attempt, now_ms, &sent.detail);
        match sent.outcome() {
            Outcome::Accepted => {
                self.metrics.taken(integration(&current));
                ctx.emit(Output::Delivery(delivery))?;
                self.next(&name, outbox, ctx)
            }
            Outcome::Retry => {
                let after = sent.retry_after_ms.map(|ms| Duration::from_millis(ms.max(0) as u64));
                match next_attempt(sent.attempt, now_ms, current.expires_at_ms, after, &current.id) {
                    RetryDecision::At(at_ms) => {
                        delivery.next_attempt_at_ms = at_ms;
                        ctx.emit(Output::Delivery(delivery))?;
                        if let Some(next) = outbox.next.take() {
                            outbox.current = Some(self.supersede(&current, sent.attempt, next, ctx)?);
                        }
                        outbox.next_attempt_at_ms = at_ms;
                        self.outboxes.insert(ctx, &name, &outbox);
                        self.wait(ctx)
                    }
                    RetryDecision::GiveUp(reason) => {
                        let reason = format!("{reason}; last: {}", sent.detail);
                        self.give_up(&name, outbox, current, Failure::Expired, reason, ctx)
                    }
                }
            }
            _ => self.give_up(&name, outbox, current, Failure::Refused, sent.detail, ctx),
        }
    }

    /// A request of this group could not be read, and so not even its target is known. Whatever is under way may be the
    /// one: without an end it would be under way for ever, and its target never told of this group again.
    fn on_unreadable(&self, detail: &str, ctx: &mut Ctx<'_, Self>) -> OpResult {
        for (name, mut outbox) in self.outboxes.entries(ctx)? {
            if let (true, Some(current)) = (outbox.in_flight, outbox.current.clone()) {
                outbox.in_flight = false;
                let reason = format!("an attempt of this group cannot be read: {detail}");
                self.give_up(&name, outbox, current, Failure::Refused, reason, ctx)?;
            }
        }
        Ok(())
    }

    fn give_up(
        &self,
        name: &str,
        mut outbox: Outbox,
        notification: Notification,
        failure: Failure,
        reason: String,
        ctx: &mut Ctx<'_, Self>,
    ) -> OpResult {
        // What waits may succeed where this did not, and nothing else would tell these ends.
        outbox.next = outbox.next.map(|next| carry_ends(&notification, next).notification);
        self.metrics.given_up(integration(&notification), failure);
        tracing::warn!(
            id = notification.id,
            group = notification.group_key,
            receiver = name,
            attempts = outbox.attempt,
            reason,
            "a notification is given up: its receiver will not be told"
        );
        let now_ms = ctx.processing_time().as_millis();
        ctx.emit(Output::Delivery(entry(&notification, Outcome::Dead, outbox.attempt, now_ms, &reason)))?;
        ctx.emit(Output::Dead(notification, reason))?;
        self.next(name, outbox, ctx)
    }

    /// Goes on with what waits, if anything does.
    fn next(&self, name: &str, mut outbox: Outbox, ctx: &mut Ctx<'_, Self>) -> OpResult {
        match outbox.next.take() {
            Some(next) => self.begin(name, Outbox { current: Some(next), ..Outbox::default() }, ctx),
            None => {
                self.outboxes.remove(ctx, &name.to_owned());
                Ok(())
            }
        }
    }

    /// Sets the timer to the earliest of all targets' next attempts.
    fn wait(&self, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let outboxes = self.outboxes.entries(ctx)?;
        let due = outboxes.iter().filter(|(_, outbox)| !outbox.in_flight).map(|(_, outbox)| outbox.next_attempt_at_ms);
        match due.min() {
            Some(at_ms) => ctx.set_timer(DeliveryTimer::Retry, ProcessingTime::from_millis(at_ms)),
            None => Ok(()),
        }
    }
}

impl KeyedProcess for Deliver {
    type Key = String;
    type In = Input;
    type Out = Output;
    type Timer = DeliveryTimer;

    fn on_record(&self, input: Input, ctx: &mut Ctx<'_, Self>) -> OpResult {
        match input {
            Input::Notification(notification) => self.on_notification(notification, ctx),
            Input::Sent(sent) => self.on_sent(sent, ctx),
        }
    }

    fn on_timer(&self, _: DeliveryTimer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let now_ms = ctx.processing_time().as_millis();
        for (name, outbox) in self.outboxes.entries(ctx)? {
            if !outbox.in_flight && outbox.next_attempt_at_ms <= now_ms {
                self.begin(&name, outbox, ctx)?;
            }
        }
        self.wait(ctx)
    }
}

/// What the ledger says of a notification whose place another one took.
fn replaced_by(carried: &Carried) -> String {
    let mut text = format!("{} takes its place", carried.notification.id);
    if carried.ends > 0 {
        text += &format!(" and tells {} of its ends", carried.ends);
    }
    if carried.left_out > 0 {
        text += &format!("; {} ends find no room there and are not told", carried.left_out);
    }
    text
}

fn integration(notification: &Notification) -> &str {
    notification.target.as_ref().map_or("", |target| &target.integration)
}

/// The target's name.
pub(super) fn name(target: &Target) -> String {
    format!("{}/{}/{}", target.integration, target.index, target.receiver)
}
