//! Follows each alert: merges what sources say, knows since when and until when, and tells its groups.

use std::rc::Rc;
use std::time::Duration;

use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpError, OpResult};
use beacon_core::state::{Registry, Value};
use beacon_core::time::ProcessingTime;
use beacon_core::timer_tags;
use beacon_core::topology::Changed;
use beacon_plan::Plan;
use beacon_proto::v1::internal::{GroupChange, GroupMembership, TrackedAlert};
use beacon_proto::v1::{AlertEvent, AlertState, NotifiedAlert, Status};
use beacon_proto::{fingerprint, key as keys};

use super::facts::{Fact, PlanState};
use crate::decide::{merge, reroute};

/// How long the state of a resolved alert stays for those who look.
const KEEP_RESOLVED: Duration = Duration::from_secs(15 * 60);

/// An end that comes later than this was slept through: nobody could have renewed it.
const SLEPT_THROUGH: Duration = Duration::from_secs(30);

/// Where no plan says otherwise; Alertmanager's default.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

timer_tags! {
    /// What an alert waits for.
    pub enum AlertTimer {
        /// Its end, unless a source renews it.
        End = 1,
        /// The end of the interest in it.
        Forget = 2,
    }
}

/// What comes out of the tracking step.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Tracked {
    /// Shared, because every value goes to the states and to the changes.
    State(Rc<Changed<AlertState>>),
    Change(GroupChange),
}

impl Tracked {
    pub fn state(self) -> Option<Changed<AlertState>> {
        match self {
            Self::State(state) => Some(Rc::unwrap_or_clone(state)),
            Self::Change(_) => None,
        }
    }

    pub fn change(self) -> Option<GroupChange> {
        match self {
            Self::Change(change) => Some(change),
            Self::State(_) => None,
        }
    }
}

/// Refuses what the gateway would have refused, and takes empty labels off as it does: anybody may write to the topic.
pub fn validate(mut event: AlertEvent) -> Result<AlertEvent, OpError> {
    // An empty value is the same as no label, to Prometheus and so to the fingerprint.
    event.labels.retain(|_, value| !value.is_empty());
    if event.labels.is_empty() {
        return Err(OpError::dead_letter("an alert needs at least one label: its labels are its identity"));
    }
    if event.labels.contains_key("") {
        return Err(OpError::dead_letter("a label has no name"));
    }
    if !event.tenant.is_empty() {
        // It would be routed by the plan of all and muted by the silences of all, and no API would show it.
        return Err(OpError::dead_letter(format!("there are no tenants yet: `{}` must be empty", event.tenant)));
    }
    if event.received_at_ms <= 0 {
        return Err(OpError::dead_letter("received_at_ms is missing: milliseconds since the epoch"));
    }
    if let (Some(start), Some(end)) = (event.starts_at_ms, event.ends_at_ms)
        && end < start
    {
        return Err(OpError::dead_letter(format!("the alert ends ({end}) before it starts ({start})")));
    }
    Ok(event)
}

/// The key of an alert's record and state.
pub fn key(event: &AlertEvent) -> String {
    keys::alert(&event.tenant, &fingerprint::hex(&event.labels))
}

/// The fingerprint at the end of a [`key`].
fn fingerprint_in(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, print)| print)
}

/// The operator.
pub struct TrackAlerts {
    tracked: Value<TrackedAlert>,
    plan: PlanState,
}

impl TrackAlerts {
    pub fn new(state: &mut Registry) -> Self {
        Self { tracked: state.value("alert"), plan: PlanState::new(state) }
    }

    /// Tells each of the groups what the alert is now.
    fn tell(&self, alert: &AlertState, groups: &[GroupMembership], left: bool, ctx: &mut Ctx<'_, Self>) -> OpResult {
        for group in groups {
            ctx.emit(Tracked::Change(GroupChange {
                tenant: alert.tenant.clone(),
                group_id: group.group_id.clone(),
                group_key: group.group_key.clone(),
                settings: group.settings.clone(),
                alert: Some(notified(alert)),
                left,
            }))?;
        }
        Ok(())
    }

    fn publish(&self, alert: AlertState, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let key = ctx.key().clone().into_bytes();
        ctx.emit(Tracked::State(Rc::new(Changed { key, value: Some(alert) })))
    }

    /// Moves a firing alert to the groups of a plan. Says whether anything changed.
    fn reroute(&self, tracked: &mut TrackedAlert, plan: &Plan, ctx: &mut Ctx<'_, Self>) -> Result<bool, OpError> {
        let Some(alert) = tracked.alert.as_mut() else { return Ok(false) };
        let groups = reroute::memberships(plan, &alert.labels);
        if groups == tracked.groups {
            return Ok(false);
        }
        alert.receivers = reroute::receivers(&groups);
        let (left, told) = reroute::difference(&tracked.groups, &groups);
        let (left, told) =
            (left.into_iter().cloned().collect::<Vec<_>>(), told.into_iter().cloned().collect::<Vec<_>>());
        self.tell(alert, &left, true, ctx)?;
        self.tell(alert, &told, false, ctx)?;
        tracked.groups = groups;
        Ok(true)
    }
}

impl KeyedProcess for TrackAlerts {
    type Key = String;
    type In = AlertEvent;
    type Out = Tracked;
    type Timer = AlertTimer;

    fn on_record(&self, event: AlertEvent, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let plan = self.plan.current(ctx)?;
        let timeout = plan.as_ref().map_or(RESOLVE_TIMEOUT, |plan| plan.resolve_timeout());
        let old = self.tracked.get(ctx)?;
        let offset = ctx.record().map_or(0, |record| record.offset);
        let print = fingerprint_in(ctx.key()).to_owned();
        let mut tracked = merge::merge(old.as_ref(), event, print, offset, timeout.as_millis() as i64);
        let is_firing = tracked.alert.as_ref().is_some_and(|alert| !alert.resolved);
        let was = old.as_ref().and_then(|old| old.alert.as_ref());
        let was_firing = was.is_some_and(|was| !was.resolved);
        // An alert that was firing is where the plan in force wants it: a new plan moves all that fire when it comes.
        if let Some(plan) = plan.filter(|_| is_firing && !was_firing) {
            self.reroute(&mut tracked, &plan, ctx)?;
        }
        let Some(alert) = &tracked.alert else { return Ok(()) };
        if let Some(old) = &old
            && was.is_some_and(|was| says_something_new(was, alert))
        {
            // Groups joined just now were told by `reroute`.
            let stayed: Vec<_> = tracked.groups.iter().filter(|group| old.groups.contains(group)).cloned().collect();
            self.tell(alert, &stayed, false, ctx)?;
        }
        if alert.resolved {
            ctx.cancel_timer(AlertTimer::End)?;
            ctx.set_timer(AlertTimer::Forget, ctx.processing_time() + KEEP_RESOLVED)?;
        } else {
            ctx.set_timer(AlertTimer::End, ProcessingTime::from_millis(alert.ends_at_ms))?;
            // Only what has ended is waiting to be forgotten; looking for the timer costs two reads.
            if was.is_some() && !was_firing {
                ctx.cancel_timer(AlertTimer::Forget)?;
            }
        }
        self.tracked.set(ctx, &tracked);
        tracked.alert.map_or(Ok(()), |alert| self.publish(alert, ctx))
    }

    fn on_timer(&self, timer: AlertTimer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        match timer {
            AlertTimer::End => {
                let Some(mut tracked) = self.tracked.get(ctx)? else { return Ok(()) };
                let Some(alert) = tracked.alert.as_mut() else { return Ok(()) };
                let due = ctx.timer_deadline_ms().map_or(ctx.processing_time(), ProcessingTime::from_millis);
                if ctx.processing_time().since(due) > SLEPT_THROUGH {
                    // Ending every alert after an outage of ours, only to fire them all again a minute later, would be
                    // a storm of our own making: their sources get the time to say that they still fire.
                    let timeout = self.plan.current(ctx)?.map_or(RESOLVE_TIMEOUT, |plan| plan.resolve_timeout());
                    let end = ctx.processing_time() + timeout;
                    alert.ends_at_ms = end.as_millis();
                    self.publish(alert.clone(), ctx)?;
                    self.tracked.set(ctx, &tracked);
                    return ctx.set_timer(AlertTimer::End, end);
                }
                alert.resolved = true;
                alert.ends_at_ms = alert.ends_at_ms.max(due.as_millis());
                alert.updated_at_ms = ctx.processing_time().as_millis();
                let alert = alert.clone();
                self.tell(&alert, &tracked.groups, false, ctx)?;
                self.publish(alert, ctx)?;
                self.tracked.set(ctx, &tracked);
                ctx.set_timer(AlertTimer::Forget, ctx.processing_time() + KEEP_RESOLVED)
            }
            AlertTimer::Forget => {
                self.tracked.clear(ctx);
                ctx.emit(Tracked::State(Rc::new(Changed { key: ctx.key().clone().into_bytes(), value: None })))
            }
        }
    }
}

impl BroadcastProcess for TrackAlerts {
    type Broadcast = Fact;

    /// A new plan moves every firing alert to the groups it names; groups that stay are not disturbed.
    fn on_broadcast(&self, fact: Fact, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        let Fact::Plan(change) = fact else { return Ok(()) };
        let Some(plan) = self.plan.update(&change, ctx)? else { return Ok(()) };
        ctx.for_each_key(&self.tracked, |mut tracked, ctx| {
            if tracked.alert.as_ref().is_some_and(|alert| !alert.resolved) && self.reroute(&mut tracked, &plan, ctx)? {
                if let Some(alert) = &tracked.alert {
                    self.publish(alert.clone(), ctx)?;
                }
                self.tracked.set(ctx, &tracked);
            }
            Ok(())
        })
    }
}

/// Whether a group must hear of it. A renewed end of a firing alert alone is nobody's news.
fn says_something_new(was: &AlertState, is: &AlertState) -> bool {
    was.resolved != is.resolved
        || was.starts_at_ms != is.starts_at_ms
        || was.annotations != is.annotations
        || was.generator_url != is.generator_url
}

fn notified(alert: &AlertState) -> NotifiedAlert {
    let status = if alert.resolved { Status::Resolved } else { Status::Firing };
    NotifiedAlert {
        status: status.into(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at_ms: alert.starts_at_ms,
        ends_at_ms: if alert.resolved { alert.ends_at_ms } else { 0 },
        generator_url: alert.generator_url.clone(),
        fingerprint: alert.fingerprint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(labels: &[(&str, &str)]) -> AlertEvent {
        AlertEvent {
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            received_at_ms: 1,
            ..AlertEvent::default()
        }
    }

    #[test]
    fn empty_labels_are_no_part_of_an_alert() {
        let valid = validate(event(&[("host", "a"), ("rack", "")])).expect("valid");
        assert_eq!(key(&valid), key(&event(&[("host", "a")])));
        assert!(validate(event(&[("host", "")])).is_err());
        assert!(validate(event(&[("host", "a"), ("", "b")])).is_err());
    }

    #[test]
    fn an_alert_of_a_tenant_is_refused_while_there_are_none() {
        let refused = validate(AlertEvent { tenant: "x".into(), ..event(&[("host", "a")]) });
        assert!(refused.is_err_and(|error| error.to_string().contains("`x` must be empty")));
    }
}
