//! Groups alerts, waits, and decides what each target is told.

use std::time::Duration;

use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpResult};
use beacon_core::state::{MapState, Registry, Value};
use beacon_core::time::ProcessingTime;
use beacon_core::timer_tags;
use beacon_proto::v1::internal::{Group, GroupChange, Told};
use beacon_proto::v1::{Notification, NotifiedAlert, Status, Target};

use super::facts::{Fact, PlanState, SilenceState};
use super::notification::notification;
use crate::decide::flush::{FlushDecision, Member, TargetSettings, decide};

/// How long an empty group's number of occurrences is remembered, so that ids are never used twice.
const REMEMBER_EMPTY: Duration = Duration::from_secs(120 * 60 * 60);

timer_tags! {
    /// What a group waits for.
    pub enum GroupTimer {
        /// The next look at what there is to tell.
        Flush = 1,
        /// The end of the memory of an empty group.
        Forget = 2,
    }
}

/// The operator.
pub struct GroupAlerts {
    group: Value<Group>,
    members: MapState<String, NotifiedAlert>,
    plan: PlanState,
    silences: SilenceState,
}

impl GroupAlerts {
    pub fn new(state: &mut Registry) -> Self {
        Self {
            group: state.value("group"),
            members: state.map("members"),
            plan: PlanState::new(state),
            silences: SilenceState::new(state),
        }
    }

    fn leave(&self, group: &Group, mut alert: NotifiedAlert, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let owed = group.told.iter().any(|told| told.open.contains(&alert.fingerprint));
        if owed && self.members.get(ctx, &alert.fingerprint)?.is_some() {
            // Whoever was told of it here must not be left with an open ticket.
            alert.status = Status::Resolved.into();
            alert.ends_at_ms = ctx.processing_time().as_millis();
            self.members.insert(ctx, &alert.fingerprint.clone(), &alert);
        } else {
            self.members.remove(ctx, &alert.fingerprint);
        }
        Ok(())
    }

    fn flush(&self, group: &mut Group, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let now_ms = ctx.processing_time().as_millis();
        let Some(plan) = self.plan.current(ctx)? else { return Ok(()) };
        let silences = self.silences.current(ctx)?;
        let members: Vec<Member> = self
            .members
            .entries(ctx)?
            .into_iter()
            .map(|(_, alert)| Member { muted: silences.is_muted(&alert.labels, now_ms), alert })
            .collect();
        let settings = group.settings.clone().unwrap_or_default();
        let integrations = plan.receiver(&settings.receiver).map_or(&[][..], |receiver| &receiver.integrations);
        for integration in integrations {
            let target = Target::from(&integration.target);
            let place = group.told.iter().position(|told| told.target.as_ref() == Some(&target));
            let told = place.map_or_else(
                || Told { target: Some(target.clone()), ..Told::default() },
                |place| group.told[place].clone(),
            );
            let wants = TargetSettings {
                send_resolved: integration.send_resolved,
                repeat_interval_ms: settings.repeat_interval_ms,
            };
            let told = match decide(&members, &told, wants, now_ms) {
                FlushDecision::Quiet(reason) => {
                    tracing::debug!(group = group.group_key, receiver = target.receiver, ?reason, "nothing to tell");
                    continue;
                }
                FlushDecision::CountAsTold(told) => told,
                FlushDecision::Tell { reason, alerts, told } => {
                    let max_alerts = integration.max_alerts();
                    ctx.emit(notification(group, &target, &told, reason, alerts, max_alerts, now_ms))?;
                    told
                }
            };
            match place {
                Some(place) => group.told[place] = told,
                None => group.told.push(told),
            }
        }
        for member in members.iter().filter(|member| member.alert.status() == Status::Resolved) {
            self.members.remove(ctx, &member.alert.fingerprint);
        }
        Ok(())
    }
}

impl KeyedProcess for GroupAlerts {
    type Key = String;
    type In = GroupChange;
    type Out = Notification;
    type Timer = GroupTimer;

    fn on_record(&self, change: GroupChange, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let Some(alert) = change.alert else { return Ok(()) };
        let known = self.group.get(ctx)?;
        let running = ctx.timer(GroupTimer::Flush)?.is_some();
        if !running && (change.left || alert.status() == Status::Resolved) {
            // Nobody was told of it here, and nobody will be.
            return Ok(());
        }
        let mut group = known.unwrap_or_default();
        if !running {
            group = Group {
                tenant: change.tenant,
                group_id: change.group_id,
                group_key: change.group_key,
                settings: None,
                occurrence: group.occurrence + 1,
                started_by_ms: alert.starts_at_ms,
                flushed: false,
                told: Vec::new(),
            };
            ctx.cancel_timer(GroupTimer::Forget)?;
        }
        let settings = change.settings.or(group.settings.take()).unwrap_or_default();
        let (starts_at_ms, wait_ms) = (alert.starts_at_ms, settings.group_wait_ms);
        group.settings = Some(settings);
        if change.left {
            self.leave(&group, alert, ctx)?;
        } else {
            self.members.insert(ctx, &alert.fingerprint.clone(), &alert);
        }
        if !group.flushed {
            // An alert that has been waiting longer than the group would wait has waited enough.
            let now = ctx.processing_time();
            if starts_at_ms.saturating_add(wait_ms) < now.as_millis() {
                ctx.set_timer(GroupTimer::Flush, now)?;
            } else if !running {
                ctx.set_timer(GroupTimer::Flush, now + Duration::from_millis(wait_ms.max(0) as u64))?;
            }
        }
        self.group.set(ctx, &group);
        Ok(())
    }

    fn on_timer(&self, timer: GroupTimer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let Some(mut group) = self.group.get(ctx)? else { return Ok(()) };
        if timer == GroupTimer::Forget {
            self.group.clear(ctx);
            return Ok(());
        }
        if !self.members.entries(ctx)?.is_empty() {
            self.flush(&mut group, ctx)?;
        }
        group.flushed = true;
        if self.members.entries(ctx)?.is_empty() {
            group.told.clear();
            ctx.set_timer(GroupTimer::Forget, ctx.processing_time() + REMEMBER_EMPTY)?;
        } else {
            let interval = group.settings.as_ref().map_or(0, |settings| settings.group_interval_ms).max(1);
            ctx.set_timer(GroupTimer::Flush, next_flush(ctx, interval))?;
        }
        self.group.set(ctx, &group);
        Ok(())
    }
}

/// One interval after the deadline that fired, however late it fired; after a long pause, one interval from now.
fn next_flush(ctx: &Ctx<'_, GroupAlerts>, interval_ms: i64) -> ProcessingTime {
    let now = ctx.processing_time();
    let next = ctx.timer_deadline_ms().unwrap_or(now.as_millis()).saturating_add(interval_ms);
    if next > now.as_millis() {
        ProcessingTime::from_millis(next)
    } else {
        now + Duration::from_millis(interval_ms as u64)
    }
}

impl BroadcastProcess for GroupAlerts {
    type Broadcast = Fact;

    fn on_broadcast(&self, fact: Fact, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        match fact {
            Fact::Plan(change) => self.plan.update(&change, ctx).map(drop),
            Fact::Silence(change) => {
                let offset = ctx.record().map_or(0, |record| record.offset);
                self.silences.update(&change, offset, ctx)
            }
        }
    }
}
