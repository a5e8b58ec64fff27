//! How far event time has come in a task: watermarks of its inputs, idle inputs, and what tasks tell each other.
//!
//! A source's watermark is the highest timestamp seen less the lateness it may have. A topic between two steps of the
//! job has none of its own: every task that writes it announces in it how far it has come itself, after the records that
//! belong before, and the topic is as far as the slowest of its writers. An input that is idle, because its source said
//! nothing for a while, is not waited for.
//!
//! So time comes later to operators behind a re-keyed topic than to those before it, in the same task: an operator's
//! *stage* is how many such topics its records passed. A stage is as far as the slowest input up to it; what a task
//! announces in a topic is the stage that writes it, so that results of that stage's timers are never late.
//!
//! Here are the words for it; [`Watermarks`](super::Watermarks) decides.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Codec, CodecError};
use crate::time::EventTime;

/// Re-keyed topics in a row that event time can pass, and one.
pub const STAGES: usize = 4;

/// How far one input, or one writer of it, has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// No earlier record is expected; `None`: nothing was heard yet.
    pub time: Option<EventTime>,
    /// It is not waited for.
    pub idle: bool,
}

impl Progress {
    /// The slowest of those that are not idle; all idle: the furthest of them, idle.
    pub(super) fn slowest(all: impl Iterator<Item = Self>) -> Self {
        let mut idle = Self { time: None, idle: true };
        let mut active: Option<Self> = None;
        for one in all {
            if one.idle {
                idle.time = idle.time.max(one.time);
            } else {
                // `None` is before every time: who was not heard yet holds all up.
                active = Some(active.map_or(one, |slowest| Self { time: slowest.time.min(one.time), idle: false }));
            }
        }
        active.unwrap_or(idle)
    }

    /// How far a stage is whose own inputs are at `self`, behind stages that are at `before`.
    ///
    /// The topics of this stage are written by those before it. Idle there and busy before means that the writers have
    /// not said so yet; they will.
    pub(super) fn behind(self, before: Self) -> Self {
        if before.idle { self } else { Self { time: self.time.min(before.time), idle: false } }
    }
}

/// The time's eight bytes, or none; then a byte `1` when idle.
impl Codec for Progress {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(time) = self.time {
            time.encode(out);
        }
        if self.idle {
            out.push(1);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (time, idle) = match bytes.len() {
            0 | 8 => (bytes, false),
            1 | 9 if bytes.last() == Some(&1) => (&bytes[..bytes.len() - 1], true),
            _ => return Err(CodecError::new("watermark", format!("{} bytes", bytes.len()))),
        };
        let time = (!time.is_empty()).then(|| EventTime::decode(time)).transpose()?;
        Ok(Self { time, idle })
    }
}

/// An input of a task that has event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedInput {
    /// Identity of its topic.
    pub number: u32,
    /// Where its time comes from.
    pub from: TimeFrom,
    /// The stage of the operators that read it: 0 for sources.
    pub stage: u8,
}

/// Where an input's event time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFrom {
    /// Its records' timestamps.
    Records {
        /// How much out of order they may be.
        lateness: Duration,
        /// After how long a silence it is not waited for.
        idle_after: Option<Duration>,
    },
    /// Announcements of the tasks that write it.
    Tasks,
}

/// An internal topic in which this task announces how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Full name.
    pub topic: Arc<str>,
    /// The stage of the operators that write it.
    pub stage: u8,
}

/// What a task tells all tasks that read an internal topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Full name of the topic.
    pub topic: Arc<str>,
    /// The value of the record, which has no key.
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> EventTime {
        EventTime::from_millis(millis)
    }

    #[test]
    fn stored_watermarks_stay_readable() {
        for (bytes, progress) in [
            (&[0x80, 0, 0, 0, 0, 0, 0, 5][..], Progress { time: Some(at(5)), idle: false }),
            (&[0x80, 0, 0, 0, 0, 0, 0, 5, 1], Progress { time: Some(at(5)), idle: true }),
            (&[1], Progress { time: None, idle: true }),
        ] {
            assert_eq!(Progress::decode(bytes), Ok(progress));
            assert_eq!(progress.to_bytes(), bytes);
        }
        assert!(Progress::decode(&[2]).is_err());
    }
}
