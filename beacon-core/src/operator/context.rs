//! What an operator sees in a step.

use super::{BroadcastProcess, KeyedProcess, KeyedRunner, OpError, OpResult, Output, RecordMeta, Step};
use crate::codec::Codec;
use crate::state::layout;
use crate::state::sealed::Sealed;
use crate::state::{Expiries, KeyedScope, SharedScope, SharedScopeMut, StateError, TaskState, Value};
use crate::time::{Deadline, EventTime, ProcessingTime, TimeDomain};
use crate::timer::{TimerQueue, TimerTag};

/// One step at one key.
pub struct Ctx<'a, P: KeyedProcess> {
    runner: &'a KeyedRunner<P>,
    key: &'a P::Key,
    key_bytes: &'a [u8],
    group: u16,
    step: &'a mut Step,
    pub(super) timer_deadline_ms: Option<i64>,
}

impl<'a, P: KeyedProcess> Ctx<'a, P> {
    pub(super) fn new(
        runner: &'a KeyedRunner<P>,
        key: &'a P::Key,
        key_bytes: &'a [u8],
        group: u16,
        step: &'a mut Step,
    ) -> Self {
        Self { runner, key, key_bytes, group, step, timer_deadline_ms: None }
    }

    /// The key at hand.
    pub fn key(&self) -> &P::Key {
        self.key
    }

    /// The wall clock, read once for this step.
    pub fn processing_time(&self) -> ProcessingTime {
        self.step.now()
    }

    /// The operator's watermark: no earlier record is expected. `None` before it is known.
    pub fn watermark(&self) -> Option<EventTime> {
        self.step.watermark(self.runner.stage)
    }

    /// Where the record at hand was read; `None` in a timer's step.
    pub fn record(&self) -> Option<&RecordMeta> {
        self.step.record()
    }

    /// The deadline of the timer at hand, milliseconds since the epoch; `None` in a record's step.
    pub fn timer_deadline_ms(&self) -> Option<i64> {
        self.timer_deadline_ms
    }

    /// Sets this key's timer, or moves it. The type of the deadline says which clock it waits for.
    ///
    /// # Errors
    /// When state cannot be read.
    pub fn set_timer<D: Deadline>(&mut self, timer: P::Timer, deadline: D) -> OpResult {
        let Step { state, processing_timers, event_timers, .. } = &mut *self.step;
        let queue = match D::DOMAIN {
            TimeDomain::Processing => processing_timers,
            TimeDomain::Event => &mut event_timers[usize::from(self.runner.stage)],
        };
        Ok(queue.set(state, self.runner.id, self.key_bytes, timer.number(), deadline.millis())?)
    }

    /// Cancels this key's timer on both clocks; nothing happens when it is not set.
    ///
    /// # Errors
    /// When state cannot be read.
    pub fn cancel_timer(&mut self, timer: P::Timer) -> OpResult {
        let Step { state, processing_timers, event_timers, .. } = &mut *self.step;
        processing_timers.cancel(state, self.runner.id, self.key_bytes, timer.number())?;
        event_timers[usize::from(self.runner.stage)].cancel(state, self.runner.id, self.key_bytes, timer.number())?;
        Ok(())
    }

    /// When this key's processing-time timer is set to fire.
    ///
    /// # Errors
    /// When state cannot be read.
    pub fn timer(&self, timer: P::Timer) -> Result<Option<ProcessingTime>, StateError> {
        Ok(self.deadline(&self.step.processing_timers, timer)?.map(ProcessingTime::from_millis))
    }

    /// When this key's event-time timer is set to fire.
    ///
    /// # Errors
    /// When state cannot be read.
    pub fn event_timer(&self, timer: P::Timer) -> Result<Option<EventTime>, StateError> {
        Ok(self.deadline(&self.step.event_timers[usize::from(self.runner.stage)], timer)?.map(EventTime::from_millis))
    }

    fn deadline(&self, queue: &TimerQueue, timer: P::Timer) -> Result<Option<i64>, StateError> {
        queue.deadline(&self.step.state, self.runner.id, self.key_bytes, timer.number())
    }

    /// The event time of what is at hand, which emitted values carry on: the timestamp of the record, the deadline of an
    /// event-time timer, else the wall clock's reading.
    pub fn event_time(&self) -> EventTime {
        self.step.output_time()
    }

    /// Hands a value with a time of its own to the operators after this one.
    ///
    /// # Errors
    /// Theirs; pass it on, the whole step is taken back.
    pub fn emit_at(&mut self, at: EventTime, value: P::Out) -> OpResult {
        let output = &self.runner.output;
        self.step.sending_at(at, |step| output.push(value, step))
    }

    /// Hands a value to the operators after this one.
    ///
    /// # Errors
    /// Theirs; pass it on, the whole step is taken back.
    pub fn emit(&mut self, value: P::Out) -> OpResult {
        self.runner.output.push(value, self.step)
    }

    /// Hands a value to the operators after one of this operator's named outputs.
    ///
    /// # Errors
    /// Theirs; pass it on, the whole step is taken back.
    pub fn emit_to<T: Clone>(&mut self, output: &Output<T>, value: T) -> OpResult {
        output.port.push(value, self.step)
    }

    /// The record at hand came when all its windows were gone.
    pub(crate) fn count_late(&mut self) {
        self.step.tally.late += 1;
    }
}

impl<P: KeyedProcess> Sealed for Ctx<'_, P> {}

impl<P: KeyedProcess> KeyedScope for Ctx<'_, P> {
    fn state(&self) -> &TaskState {
        &self.step.state
    }
    fn state_mut(&mut self) -> &mut TaskState {
        &mut self.step.state
    }
    fn key_at(&self) -> (u16, &[u8]) {
        (self.group, self.key_bytes)
    }
    fn now(&self) -> ProcessingTime {
        self.step.now()
    }
    fn expiries(&self) -> &Expiries {
        &self.step.expiries
    }
    fn parts(&mut self) -> (&mut TaskState, &Expiries) {
        (&mut self.step.state, &self.step.expiries)
    }
}

impl<P: KeyedProcess> SharedScope for Ctx<'_, P> {
    fn shared_state(&self) -> &TaskState {
        &self.step.state
    }
}

/// One step of a broadcast record: the whole task.
pub struct BroadcastCtx<'a, P: BroadcastProcess> {
    runner: &'a KeyedRunner<P>,
    step: &'a mut Step,
}

impl<'a, P: BroadcastProcess> BroadcastCtx<'a, P> {
    pub(super) fn new(runner: &'a KeyedRunner<P>, step: &'a mut Step) -> Self {
        Self { runner, step }
    }

    /// The wall clock, read once for this step.
    pub fn processing_time(&self) -> ProcessingTime {
        self.step.now()
    }

    /// Where the record at hand was read.
    pub fn record(&self) -> Option<&RecordMeta> {
        self.step.record()
    }

    /// Visits every key of this task that has a value in `state`, in the order of their bytes.
    ///
    /// The visitor gets a context at that key and may do there what a record could.
    ///
    /// # Errors
    /// The visitor's, and those of reading.
    pub fn for_each_key<V: Codec>(
        &mut self,
        state: &Value<V>,
        mut visit: impl FnMut(V, &mut Ctx<'_, P>) -> OpResult,
    ) -> OpResult {
        // The space is ordered by key group, then state: walk all of it once and pick this state's entries.
        let (store, now) = (&state.store, self.step.now());
        let mut found = Vec::new();
        let mut failed = None;
        let space = store.space();
        self.step.state.scan(&[space], Some(&[space + 1]), &mut |entry, stored| {
            if let Some((id, key, [])) = layout::split_keyed(entry)
                && id == store.id()
            {
                match store.seen(now, stored) {
                    Ok(Some(value)) => found.push((key.to_vec(), value.to_vec())),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        for (key_bytes, value) in found {
            let key = P::Key::decode(&key_bytes)
                .map_err(|error| OpError::Stop(format!("operator `{}`: stored key: {error}", self.runner.name)))?;
            let value = state.store.decode(&value)?;
            let group = layout::key_group(&key_bytes);
            visit(value, &mut Ctx::new(self.runner, &key, &key_bytes, group, self.step))?;
        }
        Ok(())
    }
}

impl<P: BroadcastProcess> Sealed for BroadcastCtx<'_, P> {}

impl<P: BroadcastProcess> SharedScope for BroadcastCtx<'_, P> {
    fn shared_state(&self) -> &TaskState {
        &self.step.state
    }
}

impl<P: BroadcastProcess> SharedScopeMut for BroadcastCtx<'_, P> {
    fn shared_state_mut(&mut self) -> &mut TaskState {
        &mut self.step.state
    }
}
