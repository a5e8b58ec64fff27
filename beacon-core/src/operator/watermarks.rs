//! The event time of one task: what its inputs say becomes the watermark of each stage; see
//! [`event_time`](super::event_time) for the words.
//!
//! What it deliberately does not do: it asks no clock. That a source is idle is decided in a step, with the step's
//! time, and is state like the watermarks themselves, so a restart decides nothing again.
//!
//! Invariant: no watermark goes back, not by an idle input that speaks again (it goes on from there, and
//! what it brings from before is late), and not by a restart
//! (`src/operator/watermarks_tests.rs: no_watermark_goes_back`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event_time::{Announced, Announcement, Progress, STAGES, TimeFrom, TimedInput};
use super::marks::Marks;
use crate::codec::{Codec, CodecError};
use crate::state::layout::WATERMARKS;
use crate::state::{StateError, TaskState};
use crate::time::{EventTime, ProcessingTime};

/// An input and where its marks are: one, or one of each writer.
#[derive(Debug)]
struct Input {
    timed: TimedInput,
    first: usize,
    count: usize,
}

/// The event time of one task.
#[derive(Debug, Default)]
pub struct Watermarks {
    inputs: Vec<Input>,
    announced: Vec<Announced>,
    /// How far inputs have come, and then stages, where `reached` says so.
    marks: Marks,
    /// Where the stages' own marks begin. `None`: no input can be left out and come back, so their inputs say it all.
    reached: Option<usize>,
    /// Of each stage.
    current: [Option<EventTime>; STAGES],
    /// When sources with idleness spoke last, or since when they are listened to.
    heard: BTreeMap<u32, ProcessingTime>,
    /// What was announced last, by place in `announced`.
    said: BTreeMap<usize, Progress>,
}

impl Watermarks {
    /// The event time of a task among `writers`, before [`Watermarks::load`].
    pub fn new(inputs: Vec<TimedInput>, announced: Vec<Announced>, writers: u32) -> Self {
        let mut marks = Marks::default();
        let may_go_back =
            |input: &TimedInput| matches!(input.from, TimeFrom::Tasks | TimeFrom::Records { idle_after: Some(_), .. });
        let any_may = inputs.iter().any(may_go_back);
        let place = |timed: TimedInput| {
            let keys: Vec<_> = match timed.from {
                TimeFrom::Records { .. } => vec![key_of_source(timed.number)],
                TimeFrom::Tasks => (0..writers).map(|writer| key_of_writer(timed.number, writer)).collect(),
            };
            let places: Vec<_> = keys.into_iter().map(|key| marks.add(key)).collect();
            Input { timed, first: places.first().copied().unwrap_or_default(), count: places.len() }
        };
        let inputs = inputs.into_iter().map(place).collect();
        let stages: Vec<_> = (0..STAGES as u8).filter(|_| any_may).map(|stage| marks.add(reached_key(stage))).collect();
        Self { inputs, announced, marks, reached: stages.first().copied(), ..Self::default() }
    }

    /// Sets everything to what state says, before the first step and after state was replaced below.
    ///
    /// # Errors
    /// The store's.
    pub fn load(&mut self, state: &TaskState) -> Result<(), StateError> {
        self.marks.load(state)?;
        self.recall();
        Ok(())
    }

    /// The watermark of operators at a stage.
    pub fn current(&self, stage: u8) -> Option<EventTime> {
        self.current.get(usize::from(stage)).copied().flatten()
    }

    /// A record of a source was read.
    pub fn observe(&mut self, number: u32, at: EventTime, now: ProcessingTime) {
        if let Some(heard) = self.heard.get_mut(&number) {
            *heard = now;
        }
        self.advance(number, 0, Progress { time: Some(at), idle: false });
    }

    /// A task announced in an internal topic how far it has come.
    ///
    /// # Errors
    /// When the bytes are no announcement.
    pub fn hear(&mut self, number: u32, announcement: &[u8]) -> Result<(), StateError> {
        let codec = |source| StateError::Codec { store: "watermarks announced by other tasks".into(), source };
        let (writer, progress) = announcement
            .split_at_checked(4)
            .ok_or_else(|| codec(CodecError::new("watermark", format!("{} bytes", announcement.len()))))?;
        let writer = u32::decode(writer).map_err(codec)?;
        self.advance(number, writer as usize, Progress::decode(progress).map_err(codec)?);
        Ok(())
    }

    /// What is said of an input without event time, or by a writer that is none, moves nothing.
    fn advance(&mut self, number: u32, writer: usize, to: Progress) {
        let Some(input) = self.inputs.iter().find(|input| input.timed.number == number) else { return };
        if writer >= input.count {
            return;
        }
        let place = input.first + writer;
        let before = self.marks.get(place);
        if self.marks.set(place, Progress { time: before.time.max(to.time), idle: to.idle }) {
            self.move_on();
        }
    }

    /// Brings the stages to where their inputs are, and notes it where that could go back.
    fn move_on(&mut self) {
        for (stage, progress) in self.stages().into_iter().enumerate() {
            self.current[stage] = self.current[stage].max(progress.time);
            if let Some(reached) = self.reached {
                // Also where it has not moved: inputs that are all idle may have brought it here when it was begun, and
                // go back from there now.
                self.marks.set(reached + stage, Progress { time: self.current[stage], idle: false });
            }
        }
    }

    /// Sets the stages to what the marks say.
    fn recall(&mut self) {
        for (stage, progress) in self.stages().into_iter().enumerate() {
            let reached = self.reached.and_then(|reached| self.marks.get(reached + stage).time);
            self.current[stage] = progress.time.max(reached);
        }
    }

    /// How far each stage is by its inputs.
    fn stages(&self) -> [Progress; STAGES] {
        let mut stages = [Progress::default(); STAGES];
        let mut before: Option<Progress> = None;
        for (number, stage) in (0u8..).zip(&mut stages) {
            let own = || self.inputs.iter().filter(|input| input.timed.stage == number);
            if own().next().is_some() {
                let own = Progress::slowest(own().map(|input| self.progress(input)));
                before = Some(before.map_or(own, |before| own.behind(before)));
            }
            *stage = before.unwrap_or_default();
        }
        stages
    }

    fn progress(&self, input: &Input) -> Progress {
        match input.timed.from {
            TimeFrom::Records { .. } => self.marks.get(input.first),
            TimeFrom::Tasks => {
                Progress::slowest((input.first..input.first + input.count).map(|place| self.marks.get(place)))
            }
        }
    }

    /// Decides which sources are idle now. Whether any became so.
    pub fn find_idle(&mut self, now: ProcessingTime) -> bool {
        let mut found = false;
        for Input { timed, first, .. } in &self.inputs {
            let TimeFrom::Records { idle_after: Some(idle_after), .. } = timed.from else { continue };
            // Silence counts from when somebody listens.
            let heard = *self.heard.entry(timed.number).or_insert(now);
            let before = self.marks.get(*first);
            if !before.idle && now >= heard + idle_after {
                found |= self.marks.set(*first, Progress { idle: true, ..before });
            }
        }
        if found {
            self.move_on();
        }
        found
    }

    /// When a source will be idle, if it stays silent.
    pub fn next_idle(&self) -> Option<ProcessingTime> {
        let at = |Input { timed, first, .. }: &Input| match timed.from {
            TimeFrom::Records { idle_after: Some(idle_after), .. } if !self.marks.get(*first).idle => {
                self.heard.get(&timed.number).map(|heard| *heard + idle_after)
            }
            _ => None,
        };
        self.inputs.iter().filter_map(at).min()
    }

    /// What there is to announce in this commit, to each partition of the topics.
    pub fn announcements(&mut self, writer: u32) -> Vec<Announcement> {
        let mut news = Vec::new();
        if self.announced.is_empty() {
            return news;
        }
        let stages = self.stages();
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
        news
    }

    /// What the current step did is part of the next commit.
    pub fn keep_step(&mut self) {
        self.marks.keep_step();
    }

    /// Takes back what the current step did.
    pub fn undo_step(&mut self) {
        if self.marks.undo_step() {
            self.recall();
        }
    }

    /// The commit was dropped: everything is as after the last one, and what was announced in it was not.
    pub fn drop_pending(&mut self) {
        self.marks.drop_pending();
        self.said.clear();
        self.recall();
    }

    /// What state does not say yet: key and bytes.
    pub fn pending(&self) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
        self.marks.pending()
    }

    /// Whether there is anything that state does not say yet.
    pub fn is_dirty(&self) -> bool {
        self.marks.pending().next().is_some()
    }

    /// The commit went through, and with it what was [pending](Watermarks::pending).
    pub fn committed(&mut self) {
        self.marks.committed();
    }
}

/// Where it stands how far a source has come.
fn key_of_source(number: u32) -> Vec<u8> {
    let mut key = vec![WATERMARKS];
    number.encode(&mut key);
    key
}

/// Where it stands how far a writer of a re-keyed topic has announced itself.
pub(super) fn key_of_writer(number: u32, writer: u32) -> Vec<u8> {
    let mut key = key_of_source(number);
    writer.encode(&mut key);
    key
}

/// The topic and the writer of a [`key_of_writer`]; `None` for other keys, which are shorter.
pub(super) fn writer_of_key(key: &[u8]) -> Option<(u32, u32)> {
    let (number, writer) = key.get(1..)?.split_at_checked(4)?;
    Some((u32::decode(number).ok()?, u32::decode(writer).ok()?))
}

/// Where it stands how far a stage has come.
fn reached_key(stage: u8) -> Vec<u8> {
    vec![WATERMARKS, stage]
}

#[cfg(test)]
#[path = "watermarks_tests.rs"]
mod tests;
