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
//! What it deliberately does not do: it asks no clock. That a source is idle is decided in a step, with the step's
//! time, and is state like the watermarks themselves, so a restart decides nothing again.
//!
//! Invariant: no watermark goes back, not by an idle input that speaks again (it goes on from there, and
//! what it brings from before is late), and not by a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Codec, CodecError};
use crate::state::layout::WATERMARKS;
use crate::state::{StateError, TaskState};
use crate::time::{EventTime, ProcessingTime};

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
    fn slowest(all: impl Iterator<Item = Self>) -> Self {
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
    fn behind(self, before: Self) -> Self {
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

/// The event time of one task.
#[derive(Debug, Default)]
pub struct Watermarks {
    inputs: Vec<TimedInput>,
    announced: Vec<Announced>,
    /// Tasks that write internal topics.
    writers: u32,
    /// Of each stage; what state says, remembered.
    current: [Option<EventTime>; STAGES],
    /// When sources with idleness spoke last, or since when they are listened to.
    heard: BTreeMap<u32, ProcessingTime>,
    /// What was announced last, by place in `announced`.
    said: BTreeMap<usize, Progress>,
}

impl Watermarks {
    /// The event time of a task among `writers`.
    pub fn new(inputs: Vec<TimedInput>, announced: Vec<Announced>, writers: u32) -> Self {
        Self { inputs, announced, writers, ..Self::default() }
    }

    /// The watermark of operators at a stage.
    pub fn current(&self, stage: u8) -> Option<EventTime> {
        self.current.get(usize::from(stage)).copied().flatten()
    }

    /// A record of a source was read.
    ///
    /// # Errors
    /// The store's.
    pub fn observe(
        &mut self,
        state: &mut TaskState,
        number: u32,
        at: EventTime,
        now: ProcessingTime,
    ) -> Result<(), StateError> {
        if let Some(heard) = self.heard.get_mut(&number) {
            *heard = now;
        }
        self.advance(state, number, None, Progress { time: Some(at), idle: false })
    }

    /// A task announced in an internal topic how far it has come.
    ///
    /// # Errors
    /// When the bytes are no announcement; the store's.
    pub fn hear(&mut self, state: &mut TaskState, number: u32, announcement: &[u8]) -> Result<(), StateError> {
        let codec = |source| StateError::Codec { store: "watermarks announced by other tasks".into(), source };
        let (writer, progress) = announcement
            .split_at_checked(4)
            .ok_or_else(|| codec(CodecError::new("watermark", format!("{} bytes", announcement.len()))))?;
        let writer = u32::decode(writer).map_err(codec)?;
        self.advance(state, number, Some(writer), Progress::decode(progress).map_err(codec)?)
    }

    fn advance(
        &mut self,
        state: &mut TaskState,
        number: u32,
        writer: Option<u32>,
        to: Progress,
    ) -> Result<(), StateError> {
        let key = key(number, writer);
        let before = read(state, &key)?;
        let after = Progress { time: before.time.max(to.time), idle: to.idle };
        if after != before {
            state.put(&key, after.to_bytes());
            self.move_on(state)?;
        }
        Ok(())
    }

    /// Brings the stages to where their inputs are, and notes it where that could go back.
    fn move_on(&mut self, state: &mut TaskState) -> Result<(), StateError> {
        let may_go_back = self.may_go_back();
        let stages = self.stages(state)?;
        for ((stage, current), progress) in (0u8..).zip(&mut self.current).zip(stages) {
            if progress.time > *current {
                *current = progress.time;
                if may_go_back {
                    state.put(&reached_key(stage), Progress { idle: false, ..progress }.to_bytes());
                }
            }
        }
        Ok(())
    }

    /// Whether inputs can be left out and come back.
    fn may_go_back(&self) -> bool {
        self.inputs
            .iter()
            .any(|input| matches!(input.from, TimeFrom::Tasks | TimeFrom::Records { idle_after: Some(_), .. }))
    }

    /// Sets the watermarks to what state says: after a restore, and when steps were taken back.
    ///
    /// # Errors
    /// The store's.
    pub fn recall(&mut self, state: &TaskState) -> Result<(), StateError> {
        let may_go_back = self.may_go_back();
        let stages = self.stages(state)?;
        for ((stage, current), progress) in (0u8..).zip(&mut self.current).zip(stages) {
            let reached = if may_go_back { read(state, &reached_key(stage))?.time } else { None };
            *current = progress.time.max(reached);
        }
        Ok(())
    }

    /// How far each stage is by its inputs.
    fn stages(&self, state: &TaskState) -> Result<[Progress; STAGES], StateError> {
        let mut stages = [Progress::default(); STAGES];
        let mut before: Option<Progress> = None;
        for (number, stage) in (0u8..).zip(&mut stages) {
            let own = self.inputs.iter().filter(|input| input.stage == number);
            let own = own.map(|input| self.progress(state, input)).collect::<Result<Vec<_>, _>>()?;
            let own = (!own.is_empty()).then(|| Progress::slowest(own.into_iter()));
            before = match (own, before) {
                (Some(own), Some(before)) => Some(own.behind(before)),
                (own, before) => own.or(before),
            };
            *stage = before.unwrap_or_default();
        }
        Ok(stages)
    }

    fn progress(&self, state: &TaskState, input: &TimedInput) -> Result<Progress, StateError> {
        match input.from {
            TimeFrom::Records { .. } => read(state, &key(input.number, None)),
            TimeFrom::Tasks => {
                let writers = (0..self.writers).map(|writer| read(state, &key(input.number, Some(writer))));
                Ok(Progress::slowest(writers.collect::<Result<Vec<_>, _>>()?.into_iter()))
            }
        }
    }

    /// Decides which sources are idle now. Whether any became so.
    ///
    /// # Errors
    /// The store's.
    pub fn find_idle(&mut self, state: &mut TaskState, now: ProcessingTime) -> Result<bool, StateError> {
        let mut found = false;
        for (number, idle_after) in self.with_idleness() {
            // Silence counts from when somebody listens.
            let heard = *self.heard.entry(number).or_insert(now);
            let before = read(state, &key(number, None))?;
            if !before.idle && now >= heard + idle_after {
                state.put(&key(number, None), Progress { idle: true, ..before }.to_bytes());
                found = true;
            }
        }
        if found {
            self.move_on(state)?;
        }
        Ok(found)
    }

    fn with_idleness(&self) -> Vec<(u32, Duration)> {
        let idleness = |input: &TimedInput| match input.from {
            TimeFrom::Records { idle_after: Some(after), .. } => Some((input.number, after)),
            _ => None,
        };
        self.inputs.iter().filter_map(idleness).collect()
    }

    /// When a source will be idle, if it stays silent.
    ///
    /// # Errors
    /// The store's.
    pub fn next_idle(&self, state: &TaskState) -> Result<Option<ProcessingTime>, StateError> {
        let mut next: Option<ProcessingTime> = None;
        for (number, idle_after) in self.with_idleness() {
            if let Some(heard) = self.heard.get(&number)
                && !read(state, &key(number, None))?.idle
            {
                let at = *heard + idle_after;
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        Ok(next)
    }

    /// What there is to announce in this commit, to each partition of the topics.
    ///
    /// # Errors
    /// The store's.
    pub fn announcements(&mut self, state: &TaskState, writer: u32) -> Result<Vec<Announcement>, StateError> {
        let mut news = Vec::new();
        if self.announced.is_empty() {
            return Ok(news);
        }
        let stages = self.stages(state)?;
        for (place, announced) in self.announced.iter().enumerate() {
            let stage = usize::from(announced.stage);
            let idle = stages[stage].idle;
            let progress = Progress { time: self.current[stage], idle };
            if self.said.get(&place) == Some(&progress) || progress == Progress::default() {
                continue;
            }
            self.said.insert(place, progress);
            let mut bytes = writer.to_bytes();
            progress.encode(&mut bytes);
            news.push(Announcement { topic: Arc::clone(&announced.topic), bytes });
        }
        Ok(news)
    }

    /// The commit was dropped: what was announced in it was not.
    pub fn forget_announced(&mut self) {
        self.said.clear();
    }
}

fn key(number: u32, writer: Option<u32>) -> Vec<u8> {
    let mut key = vec![WATERMARKS];
    number.encode(&mut key);
    if let Some(writer) = writer {
        writer.encode(&mut key);
    }
    key
}

/// Where it stands how far a stage has come.
fn reached_key(stage: u8) -> Vec<u8> {
    vec![WATERMARKS, stage]
}

fn read(state: &TaskState, key: &[u8]) -> Result<Progress, StateError> {
    let decode = |bytes: Vec<u8>| {
        Progress::decode(&bytes).map_err(|source| StateError::Codec { store: "watermarks".into(), source })
    };
    Ok(state.get(key)?.map(decode).transpose()?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn at(millis: i64) -> EventTime {
        EventTime::from_millis(millis)
    }

    fn clock(millis: i64) -> ProcessingTime {
        ProcessingTime::from_millis(millis)
    }

    fn source(number: u32) -> TimedInput {
        let idle_after = Some(Duration::from_millis(100));
        TimedInput { number, from: TimeFrom::Records { lateness: Duration::ZERO, idle_after }, stage: 0 }
    }

    fn state() -> TaskState {
        TaskState::new(Box::new(MemoryStore::default()))
    }

    #[test]
    fn the_slowest_input_counts_and_an_idle_one_does_not() {
        let mut state = state();
        let mut marks = Watermarks::new(vec![source(1), source(2)], Vec::new(), 1);
        marks.find_idle(&mut state, clock(0)).expect("memory");
        marks.observe(&mut state, 1, at(500), clock(10)).expect("memory");
        assert_eq!(marks.current(1), None, "the other was not heard");
        assert_eq!(marks.next_idle(&state).expect("memory"), Some(clock(100)));
        assert!(!marks.find_idle(&mut state, clock(99)).expect("memory"));
        assert!(marks.find_idle(&mut state, clock(100)).expect("memory"));
        assert_eq!(marks.current(1), Some(at(500)));
        // It speaks again, of long ago: nothing goes back, and it is waited for.
        marks.observe(&mut state, 2, at(3), clock(105)).expect("memory");
        assert_eq!(marks.current(1), Some(at(500)));
        marks.observe(&mut state, 1, at(900), clock(106)).expect("memory");
        assert_eq!(marks.current(1), Some(at(500)));
        marks.observe(&mut state, 2, at(700), clock(107)).expect("memory");
        assert_eq!(marks.current(1), Some(at(700)));
    }

    #[test]
    fn all_idle_is_as_far_as_the_furthest() {
        let mut state = state();
        let mut marks = Watermarks::new(vec![source(1), source(2)], Vec::new(), 1);
        marks.find_idle(&mut state, clock(0)).expect("memory");
        marks.observe(&mut state, 1, at(500), clock(10)).expect("memory");
        marks.observe(&mut state, 2, at(300), clock(10)).expect("memory");
        assert_eq!(marks.current(1), Some(at(300)));
        marks.find_idle(&mut state, clock(110)).expect("memory");
        assert_eq!(marks.current(1), Some(at(500)));
        assert_eq!(marks.next_idle(&state).expect("memory"), None);
    }

    #[test]
    fn a_topic_between_tasks_is_as_far_as_its_slowest_writer() {
        let mut state = state();
        let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
        let mut marks = Watermarks::new(vec![inner], Vec::new(), 2);
        let says = |writer: u32, progress: Progress| [writer.to_bytes(), progress.to_bytes()].concat();
        marks.hear(&mut state, 7, &says(0, Progress { time: Some(at(50)), idle: false })).expect("heard");
        assert_eq!(marks.current(1), None);
        marks.hear(&mut state, 7, &says(1, Progress { time: Some(at(20)), idle: false })).expect("heard");
        assert_eq!(marks.current(1), Some(at(20)));
        marks.hear(&mut state, 7, &says(1, Progress { time: Some(at(20)), idle: true })).expect("heard");
        assert_eq!(marks.current(1), Some(at(50)));
        assert!(marks.hear(&mut state, 7, &[1, 2]).is_err());
    }

    #[test]
    fn a_task_announces_what_is_new_and_again_after_a_dropped_commit() {
        let mut state = state();
        let announced = Announced { topic: "inner".into(), stage: 0 };
        let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
        let mut marks = Watermarks::new(vec![source(1), inner], vec![announced], 4);
        assert!(marks.announcements(&state, 3).expect("memory").is_empty());
        marks.observe(&mut state, 1, at(500), clock(10)).expect("memory");
        let news = marks.announcements(&state, 3).expect("memory");
        assert_eq!(news.len(), 1, "the stage that writes it has come somewhere, whatever the stage behind it did");
        assert!(marks.announcements(&state, 3).expect("memory").is_empty());
        marks.forget_announced();
        assert_eq!(marks.announcements(&state, 3).expect("memory"), news);
    }

    #[test]
    fn a_stage_waits_for_writers_that_have_not_said_that_they_are_busy_again() {
        let mut state = state();
        let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
        let mut marks = Watermarks::new(vec![source(1), inner.clone()], Vec::new(), 1);
        marks.find_idle(&mut state, clock(0)).expect("memory");
        marks.observe(&mut state, 1, at(500), clock(10)).expect("memory");
        marks.find_idle(&mut state, clock(110)).expect("memory");
        let says = |progress: Progress| [0u32.to_bytes(), progress.to_bytes()].concat();
        marks.hear(&mut state, 7, &says(Progress { time: Some(at(500)), idle: true })).expect("heard");
        assert_eq!((marks.current(0), marks.current(1)), (Some(at(500)), Some(at(500))));
        marks.observe(&mut state, 1, at(900), clock(120)).expect("memory");
        assert_eq!((marks.current(0), marks.current(1)), (Some(at(900)), Some(at(500))));
        let mut restored = Watermarks::new(vec![source(1), inner], Vec::new(), 1);
        restored.recall(&state).expect("memory");
        assert_eq!((restored.current(0), restored.current(1)), (Some(at(900)), Some(at(500))));
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
