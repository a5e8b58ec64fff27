//! Everything one step of a task can reach.

use std::sync::Arc;

use super::{Announcement, OpError, STAGES, Tally, Watermarks};
use crate::codec::{Codec, key_hash};
use crate::log::Header;
use crate::log::Offset;
use crate::state::layout::{self, CALLS, META};
use crate::state::{Expiries, StateError, TaskState};
use crate::time::{EventTime, ProcessingTime, TimeDomain};
use crate::timer::{Timer, TimerQueue, floors};

/// Where the record at hand was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMeta {
    /// Full name of its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: EventTime,
}

/// A record a step wants to be written, if the step is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Full name of the topic.
    pub topic: Arc<str>,
    /// `None`: by the key.
    pub partition: Option<u32>,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<Header>,
    /// The record's timestamp.
    pub timestamp: EventTime,
}

/// A request to the world outside, made after the commit that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The operator that asks.
    pub operator: u32,
    /// The key it asks for.
    pub key: Vec<u8>,
    /// The request's own name under that key.
    pub id: Vec<u8>,
    /// Its bytes.
    pub request: Vec<u8>,
}

/// State, timers, clocks and outputs of a task during one step.
pub struct Step {
    /// The task's state.
    pub(crate) state: TaskState,
    pub(crate) processing_timers: TimerQueue,
    /// By stage.
    pub(crate) event_timers: [TimerQueue; STAGES],
    pub(super) expiries: Expiries,
    watermarks: Watermarks,
    now: ProcessingTime,
    /// The time outputs carry, where it is neither the record's nor the clock's.
    output_at: Option<EventTime>,
    partition: u32,
    partitions: u32,
    record: Option<RecordMeta>,
    /// The operator whose error ended the step.
    refused_by: Option<Box<str>>,
    outgoing: Vec<Outgoing>,
    calls: Vec<Call>,
    /// Of the step at hand.
    pub(crate) tally: Tally,
    /// Of the steps kept since the last commit.
    uncommitted: Tally,
}

impl Step {
    /// The steps of the task of `partition` among `partitions`.
    ///
    /// `changelog_end` is what the state reflects.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn new(
        state: TaskState,
        changelog_end: Option<Offset>,
        mut watermarks: Watermarks,
        partition: u32,
        partitions: u32,
    ) -> Result<Self, StateError> {
        watermarks.load(&state)?;
        let mut step = Self {
            state,
            processing_timers: TimerQueue::new(TimeDomain::Processing),
            event_timers: std::array::from_fn(|stage| TimerQueue::of_stage(stage as u8)),
            expiries: Expiries::default(),
            watermarks,
            now: ProcessingTime::default(),
            output_at: None,
            partition,
            partitions,
            record: None,
            refused_by: None,
            outgoing: Vec::new(),
            calls: Vec::new(),
            tally: Tally::default(),
            uncommitted: Tally::default(),
        };
        let Self { state, processing_timers, event_timers, .. } = &mut step;
        floors::begin(state, changelog_end, std::iter::once(processing_timers).chain(event_timers))?;
        Ok(step)
    }

    /// Begins a step: the wall clock's one reading, and the record if it is one.
    pub fn begin(&mut self, now: ProcessingTime, record: Option<RecordMeta>) {
        // A clock set back must not move time back under operators.
        self.now = self.now.max(now);
        self.record = record;
        self.refused_by = None;
        self.output_at = None;
    }

    /// Takes the earliest event-time timer that is due at its stage, stage by stage.
    pub(crate) fn pop_event_timer(&mut self) -> Result<Option<Timer>, StateError> {
        for (stage, timers) in (0u8..).zip(&mut self.event_timers) {
            if let Some(watermark) = self.watermarks.current(stage)
                && let Some(timer) = timers.pop_due(&mut self.state, watermark.as_millis())?
            {
                return Ok(Some(timer));
            }
        }
        Ok(None)
    }

    /// Begins the step of an event-time timer; what it sends carries the timer's time.
    pub(crate) fn begin_event_timer(&mut self, deadline: EventTime) {
        self.begin(self.now, None);
        self.output_at = Some(deadline);
    }

    /// Runs with outputs carrying this time.
    pub(super) fn sending_at<T>(&mut self, at: EventTime, run: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.output_at.replace(at);
        let result = run(self);
        self.output_at = before;
        result
    }

    /// Ends the step's dealings with lifetimes: what it read lives on, a little of what is over is removed.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn settle_lifetimes(&mut self) -> Result<(), StateError> {
        self.expiries.settle(&mut self.state, self.now)
    }

    /// Keeps what the step did and hands out what it wants to send and ask.
    pub fn keep(&mut self) -> (std::vec::Drain<'_, Outgoing>, std::vec::Drain<'_, Call>) {
        self.keep_state();
        (self.outgoing.drain(..), self.calls.drain(..))
    }

    /// Keeps what was done to state so far, whatever becomes of the rest of the step.
    pub(crate) fn keep_state(&mut self) {
        self.state.keep_step();
        self.watermarks.keep_step();
        self.uncommitted.absorb(&mut self.tally);
    }

    /// Takes back what the step did.
    pub fn undo(&mut self) {
        self.state.undo_step();
        self.watermarks.undo_step();
        self.processing_timers.forget();
        self.event_timers.iter_mut().for_each(TimerQueue::forget);
        self.expiries.forget();
        self.outgoing.clear();
        self.calls.clear();
        self.tally = Tally::default();
    }

    /// Takes back everything since the last commit.
    pub fn drop_pending(&mut self) {
        self.undo();
        self.state.drop_pending();
        self.watermarks.drop_pending();
        self.uncommitted = Tally::default();
    }

    /// What was counted since the last commit, to be told now that there is another one.
    pub(crate) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.uncommitted)
    }

    /// The wall clock, read once for this step.
    pub fn now(&self) -> ProcessingTime {
        self.now
    }

    /// Event time at a stage of the task: no earlier record is expected. `None` before the first record with event time.
    pub fn watermark(&self, stage: u8) -> Option<EventTime> {
        self.watermarks.current(stage)
    }

    /// The key group of a key that belongs to this task.
    ///
    /// # Errors
    /// [`OpError::DeadLetter`] when the key belongs to another task: its records came in the wrong partition, and its
    /// state here would be one of several.
    pub(super) fn key_group(&self, key: &[u8]) -> Result<u16, OpError> {
        let hash = key_hash(key);
        let expected = hash % self.partitions;
        if expected != self.partition {
            return Err(OpError::DeadLetter(format!(
                "the record's key belongs to partition {expected} of {} (murmur2), but it stands in partition {}; \
                 let its producer use Kafka's default partitioner, or re-key it with key_by",
                self.partitions, self.partition
            )));
        }
        Ok(layout::group_of_hash(hash))
    }

    /// Notes whose error this is. Errors pass through the operators before on their way out: the first to say so is it.
    pub(crate) fn refused_by(&mut self, operator: &str) {
        self.refused_by.get_or_insert_with(|| operator.into());
    }

    /// The operator whose error ended the step.
    pub(crate) fn take_refused_by(&mut self) -> Option<Box<str>> {
        self.refused_by.take()
    }

    /// Partition count of the application.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The record at hand; `None` in a timer's step.
    pub fn record(&self) -> Option<&RecordMeta> {
        self.record.as_ref()
    }

    /// The event time of what is at hand, which outputs carry: an event-time timer's, the record's, or else the wall
    /// clock's.
    pub fn output_time(&self) -> EventTime {
        let record = self.record.as_ref().map(|record| record.timestamp);
        self.output_at.or(record).unwrap_or(EventTime::from_millis(self.now.as_millis()))
    }

    /// Wants a record written.
    pub fn send(&mut self, outgoing: Outgoing) {
        self.outgoing.push(outgoing);
    }

    /// Notes a call, durably: it is made after the commit, and again after every restart until it was answered.
    pub fn call(&mut self, call: Call) {
        self.state.put(&call_key(call.operator, &call.key, &call.id), &call.request);
        self.calls.push(call);
    }

    /// Ends a call. `false`: it was answered before, and this answer is to be ignored.
    pub fn answered(&mut self, operator: u32, key: &[u8], id: &[u8]) -> Result<bool, StateError> {
        let entry = call_key(operator, key, id);
        let open = self.state.get(&entry)?.is_some();
        if open {
            self.state.delete(&entry);
        }
        Ok(open)
    }

    /// Calls without an answer yet, in key order.
    pub fn open_calls(&self) -> Result<Vec<Call>, StateError> {
        let entries = self.state.entries(&[CALLS])?;
        Ok(entries
            .into_iter()
            .filter_map(|(rest, request)| {
                let entry = [&[CALLS], rest.as_slice()].concat();
                let (operator, key, id) = layout::split_keyed(&entry)?;
                Some(Call { operator, key: key.to_vec(), id: id.to_vec(), request })
            })
            .collect())
    }

    /// A record of a source with event time was read: no earlier one than `at` is expected.
    pub(crate) fn observe_event_time(&mut self, input: u32, at: EventTime) {
        self.watermarks.observe(input, at, self.now);
    }

    /// An announcement of another task was read.
    pub(crate) fn hear_announcement(&mut self, input: u32, announcement: &[u8]) -> Result<(), StateError> {
        self.watermarks.hear(input, announcement)
    }

    /// Decides which sources are idle now; whether any became so.
    pub(crate) fn find_idle(&mut self) -> bool {
        self.watermarks.find_idle(self.now)
    }

    /// When a source will be idle, if it stays silent.
    pub(crate) fn next_idle(&self) -> Option<ProcessingTime> {
        self.watermarks.next_idle()
    }

    /// What there is to tell the tasks that read this one's internal topics, in each partition of them.
    pub(crate) fn announcements(&mut self) -> Vec<Announcement> {
        self.watermarks.announcements(self.partition)
    }

    /// Whether the next commit has anything to say to state.
    pub(crate) fn is_dirty(&self) -> bool {
        self.state.is_dirty() || self.watermarks.is_dirty()
    }

    /// Puts how far event time has come into state: it goes with the commit at hand, which is to be decided before the
    /// next step.
    pub(crate) fn seal_event_time(&mut self) {
        for (key, bytes) in self.watermarks.pending() {
            self.state.put(key, &bytes);
        }
        self.state.keep_step();
    }

    /// How far event time has come, where state does not say so yet: key and bytes.
    pub(crate) fn unsealed(&self) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
        self.watermarks.pending()
    }

    /// Brings timers in line with an entry that a changelog changes; see [`TimerQueue::replay`].
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn replay_timer(&mut self, key: &[u8], deadline_ms: Option<i64>) -> Result<(), StateError> {
        let Some((_, _, [domain, _])) = layout::split_keyed(key) else { return Ok(()) };
        let queues = std::iter::once(&mut self.processing_timers).chain(&mut self.event_timers);
        match queues.into_iter().find(|queue| queue.domain() == *domain) {
            Some(queue) => queue.replay(&mut self.state, key, deadline_ms),
            None => TimerQueue::numbered(*domain).replay(&mut self.state, key, deadline_ms),
        }
    }

    /// What was replayed up to `end` is committed.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn apply_replayed(&mut self, end: Offset) -> Result<(), StateError> {
        self.note_changelog_end(end);
        self.state.apply()
    }

    /// Notes what the state reflects, with the write at hand.
    fn note_changelog_end(&mut self, end: Offset) {
        self.state.put(&[META], &end.to_bytes());
        let queues = std::iter::once(&self.processing_timers).chain(&self.event_timers);
        floors::store(&mut self.state, end, queues);
    }

    /// The commit went through. `changelog_end`: where the changelog ends with it; `None`: nothing was written there.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn committed(&mut self, changelog_end: Option<Offset>) -> Result<(), StateError> {
        self.processing_timers.committed();
        self.event_timers.iter_mut().for_each(TimerQueue::committed);
        if let Some(end) = changelog_end {
            self.note_changelog_end(end);
        }
        self.state.apply()?;
        self.watermarks.committed();
        Ok(())
    }

    /// State was replayed: nothing that was known of it holds but where its timers begin.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn reload(&mut self) -> Result<(), StateError> {
        self.drop_pending();
        self.watermarks.load(&self.state)
    }
}

fn call_key(operator: u32, key: &[u8], id: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(key.len() + id.len() + 11);
    layout::keyed_prefix(&mut entry, CALLS, operator, layout::key_group(key), key);
    entry.extend_from_slice(id);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn step(state: TaskState) -> Step {
        Step::new(state, None, Watermarks::default(), 0, 1).expect("memory")
    }

    #[test]
    fn stored_calls_stay_readable() {
        // Space, key group, operator, length of the key, key, id.
        let stored = b"\x30\x7d\xde\x00\x00\x00\x07\x00\x00\x00\x06foobarfirst";
        let call = Call { operator: 7, key: b"foobar".to_vec(), id: b"first".to_vec(), request: b"who?".to_vec() };
        let mut asking = step(TaskState::new(Box::new(MemoryStore::default())));
        asking.call(call.clone());
        assert_eq!(asking.state.entries(&[]).expect("memory"), [(stored.to_vec(), b"who?".to_vec())]);

        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        state.put(stored, b"who?");
        let mut restarted = step(state);
        assert_eq!(restarted.open_calls().expect("memory"), [call]);
        assert!(restarted.answered(7, b"foobar", b"first").expect("memory"));
        assert!(!restarted.answered(7, b"foobar", b"first").expect("memory"), "it was answered before");
    }
}
