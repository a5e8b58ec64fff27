//! W3: an alert that fires for five minutes is told, and so is its end; state and one timer per fingerprint.

use std::time::Duration;

use beacon_core::codec::{Codec, CodecError};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::{Registry, Value};
use beacon_core::time::EventTime;
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, TopologyBuilder};

use crate::wire::Fields;

const PENDING: Duration = Duration::from_secs(300);

pub fn build(app: &TopologyBuilder, alerts: &Topic<Alert>, transitions: &Topic<Transition>) {
    app.source("alerts", alerts)
        .with_event_time(Duration::ZERO)
        .keyed("fingerprint", |alert| alert.fingerprint)
        .process("lifecycle", AlertLifecycle::new)
        .sink_changes("transitions", transitions);
}

struct AlertLifecycle {
    episode: Value<Episode>,
}

timer_tags! { enum Deadline { Pending = 1 } }

impl AlertLifecycle {
    fn new(state: &mut Registry) -> Self {
        Self { episode: state.value("episode") }
    }

    /// The episode has lasted long enough.
    fn alert(&self, pending: Episode, ctx: &mut Ctx<'_, Self>) -> Result<Episode, beacon_core::operator::OpError> {
        ctx.emit(pending.told(ctx.key(), Kind::Alert, pending.deadline()))?;
        let alerting = Episode { status: Status::Alerting, ..pending };
        self.episode.set(ctx, &alerting);
        Ok(alerting)
    }
}

impl KeyedProcess for AlertLifecycle {
    type Key = u64;
    type In = Alert;
    type Out = Changed<Transition>;
    type Timer = Deadline;

    fn on_record(&self, alert: Alert, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let mut episode = self.episode.get(ctx)?.unwrap_or_default();
        // Timers fire after the record that moved time past them; this key's has to come before it.
        if episode.status == Status::Pending && ctx.watermark() >= Some(episode.deadline()) {
            ctx.cancel_timer(Deadline::Pending)?;
            episode = self.alert(episode, ctx)?;
        }
        match (episode.status, alert.firing) {
            (Status::Idle, true) => {
                let begun = Episode { since: alert.at, status: Status::Pending, number: episode.number + 1 };
                self.episode.set(ctx, &begun);
                ctx.set_timer(Deadline::Pending, begun.deadline())
            }
            (Status::Pending, false) => {
                self.episode.set(ctx, &Episode { status: Status::Idle, ..episode });
                ctx.cancel_timer(Deadline::Pending)
            }
            (Status::Alerting, false) => {
                self.episode.set(ctx, &Episode { status: Status::Idle, ..episode });
                ctx.emit(episode.told(ctx.key(), Kind::Resolved, alert.at))
            }
            _ => Ok(()),
        }
    }

    fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let pending = self.episode.get(ctx)?.unwrap_or_default();
        self.alert(pending, ctx).map(drop)
    }
}

/// What comes in: 200 bytes, of which these are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    fingerprint: u64,
    at: EventTime,
    firing: bool,
}

impl Codec for Alert {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.fingerprint.to_be_bytes());
        out.extend_from_slice(&self.at.as_millis().to_be_bytes());
        out.push(u8::from(self.firing));
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut fields = Fields::of("Alert", bytes);
        let fingerprint = u64::from_be_bytes(fields.take()?);
        let at = EventTime::from_millis(i64::from_be_bytes(fields.take()?));
        Ok(Self { fingerprint, at, firing: fields.byte()? == 1 })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Idle,
    Pending,
    Alerting,
}

/// What is known of a fingerprint; kept when it is idle, for the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Episode {
    since: EventTime,
    status: Status,
    number: u32,
}

impl Episode {
    fn deadline(&self) -> EventTime {
        self.since + PENDING
    }

    fn told(&self, fingerprint: &u64, kind: Kind, at: EventTime) -> Changed<Transition> {
        let value = Some(Transition { kind, episode: self.number, since: self.since, at });
        Changed { key: fingerprint.to_bytes(), value }
    }
}

impl Codec for Episode {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.since.as_millis().to_be_bytes());
        out.push(self.status as u8);
        out.extend_from_slice(&self.number.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut fields = Fields::of("Episode", bytes);
        let since = EventTime::from_millis(i64::from_be_bytes(fields.take()?));
        let status = match fields.byte()? {
            0 => Status::Idle,
            1 => Status::Pending,
            2 => Status::Alerting,
            other => return Err(CodecError::new("Episode", format!("status {other}"))),
        };
        Ok(Self { since, status, number: u32::from_be_bytes(fields.take()?) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alert = 1,
    Resolved = 2,
}

/// What goes out: 21 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    kind: Kind,
    episode: u32,
    since: EventTime,
    at: EventTime,
}

impl Codec for Transition {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        out.extend_from_slice(&self.episode.to_be_bytes());
        out.extend_from_slice(&self.since.as_millis().to_be_bytes());
        out.extend_from_slice(&self.at.as_millis().to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut fields = Fields::of("Transition", bytes);
        let kind = match fields.byte()? {
            1 => Kind::Alert,
            2 => Kind::Resolved,
            other => return Err(CodecError::new("Transition", format!("type {other}"))),
        };
        let episode = u32::from_be_bytes(fields.take()?);
        let since = EventTime::from_millis(i64::from_be_bytes(fields.take()?));
        Ok(Self { kind, episode, since, at: EventTime::from_millis(i64::from_be_bytes(fields.take()?)) })
    }
}

#[cfg(test)]
#[path = "alert_lifecycle_tests.rs"]
mod tests;
