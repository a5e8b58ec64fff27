//! Steps: a record or a timer runs through the operators, and what they did is kept, taken back, or refused.

use std::sync::Arc;

use super::{Task, TaskError};
use crate::log::RecordRef;
use crate::operator::{OpError, OpResult, Outgoing, RecordMeta, TimeFrom};
use crate::state::layout::name_id;
use crate::time::{EventTime, ProcessingTime};
use crate::timer::Timer;
use crate::topology::RawRecord;

impl Task {
    /// Runs one record. What it wants sent goes to `send`, before this returns.
    ///
    /// # Errors
    /// See [`TaskError`]; after any of them the pending commit must be dropped.
    pub fn feed(
        &mut self,
        record: RecordRef<'_>,
        now: ProcessingTime,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let Some(input) =
            self.inputs.iter().find(|input| Arc::ptr_eq(&input.topic, record.topic) || input.topic == *record.topic)
        else {
            return Ok(());
        };
        let timestamp = EventTime::from_millis(record.timestamp_ms);
        self.step.begin(
            now,
            Some(RecordMeta {
                topic: Arc::clone(record.topic),
                partition: record.partition,
                offset: record.offset,
                timestamp,
            }),
        );
        if input.internal && record.key.is_none() {
            return self.hear(&record, send);
        }
        if let Some(TimeFrom::Records { lateness, .. }) = input.time {
            self.step.observe_event_time(input.number, timestamp - lateness);
        }
        let raw = RawRecord { key: record.key, value: record.value };
        let result = input.source.feed(raw, &mut self.step);
        // Nobody said that it was his: the bytes could not be read.
        let reader = result.is_err().then(|| input.name.clone());
        if let Some(reader) = reader {
            self.step.refused_by(&reader);
        }
        let at = || format!("{}/{}@{}", record.topic, record.partition, record.offset);
        self.settle(result, &at, (record.key, record.value), send)?;
        self.positions.advance(record.topic, record.partition, record.offset);
        self.fire_event_timers(send)
    }

    /// Takes another task's announcement of its event time: a record of an internal topic without a key.
    fn hear(
        &mut self,
        record: &RecordRef<'_>,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let number = name_id(record.topic);
        self.step.hear_announcement(number, record.value.unwrap_or_default())?;
        self.step.keep_state();
        self.positions.advance(record.topic, record.partition, record.offset);
        self.fire_event_timers(send)
    }

    fn fire_event_timers(&mut self, send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>) -> Result<(), TaskError> {
        while let Some(timer) = self.step.pop_event_timer()? {
            self.step.keep_state();
            self.step.begin_event_timer(EventTime::from_millis(timer.deadline_ms));
            self.fire(&timer, send)?;
        }
        Ok(())
    }

    /// Fires processing-time timers that are due, earliest first, at most `limit`. Returns how many.
    ///
    /// # Errors
    /// As [`Task::feed`].
    pub fn fire_timers(
        &mut self,
        now: ProcessingTime,
        limit: usize,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<usize, TaskError> {
        let mut fired = 0;
        self.step.begin(now, None);
        if self.step.find_idle() {
            // Work like a timer's: it must be committed.
            fired += 1;
            self.step.keep_state();
            self.fire_event_timers(send)?;
        }
        while fired < limit {
            let Some(timer) = self.step.processing_timers.pop_due(&mut self.step.state, now.as_millis())? else {
                break;
            };
            // Taking the timer is a step of its own: what the operator does may be taken back, the timer is used up.
            self.step.keep_state();
            self.step.begin(now, None);
            self.fire(&timer, send)?;
            fired += 1;
        }
        Ok(fired)
    }

    fn fire(
        &mut self,
        timer: &Timer,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let (id, deadline_ms) = (self.id, timer.deadline_ms);
        let at = || format!("task {id}, a timer due at {deadline_ms} ms");
        let result = match self.timers.get(&timer.operator) {
            Some(target) => target.fire(timer, &mut self.step),
            None => Err(OpError::Stop(
                "a stored timer belongs to an operator that this version of the program does not have".into(),
            )),
        };
        self.settle(result, &at, (Some(&timer.key), None), send)
    }

    /// Keeps or takes back a step, by its result.
    fn settle(
        &mut self,
        result: OpResult,
        at: &dyn Fn() -> String,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        let operator = self.step.take_refused_by();
        let blamed = || match &operator {
            Some(operator) => format!("{}, operator `{operator}`", at()),
            None => at(),
        };
        match result {
            Ok(()) => {}
            Err(OpError::DeadLetter(reason)) => {
                self.step.undo();
                let Some(topic) = &self.dead_letters else {
                    let reason = format!("{reason} (and the job has no topic for dead letters)");
                    return Err(TaskError::Stop { at: blamed(), reason });
                };
                tracing::warn!(
                    source = at(),
                    operator = operator.as_deref(),
                    reason,
                    "record goes to the dead letters"
                );
                let headers = vec![
                    ("beacon.error".to_owned(), reason.into_bytes()),
                    ("beacon.source".to_owned(), at().into_bytes()),
                    ("beacon.operator".to_owned(), operator.unwrap_or_default().into_string().into_bytes()),
                    (
                        "beacon.application-task".to_owned(),
                        format!("{} {}", self.changelog.topic, self.id).into_bytes(),
                    ),
                ];
                self.step.tally.dead_letters += 1;
                self.step.send(Outgoing {
                    topic: Arc::clone(topic),
                    partition: None,
                    key: key.map(<[u8]>::to_vec),
                    value: value.map(<[u8]>::to_vec),
                    headers,
                    timestamp: self.step.output_time(),
                });
            }
            Err(OpError::Retry(reason)) => return Err(TaskError::Retry { at: blamed(), reason }),
            Err(OpError::Stop(reason)) => return Err(TaskError::Stop { at: blamed(), reason }),
            Err(OpError::State(error)) => return Err(error.into()),
        }
        self.step.settle_lifetimes()?;
        let (outgoing, calls) = self.step.keep();
        self.calls.extend(calls);
        for record in outgoing {
            self.sent = true;
            send(record)?;
        }
        Ok(())
    }
}
