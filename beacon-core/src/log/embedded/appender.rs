//! Appends outside of any transaction: encoded by their caller, written by the committer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Shared;
use super::committer::{Write, WriteDone, WriteError};
use super::outbox::{Outbox, Place};
use crate::log::{AppendDone, Appender, LogError, LogErrorKind, Offset, Position, Record, SendRecord};

/// Appends to an embedded log. Stronger than the contract asks: the records of one call appear together or not at all.
pub(super) struct EmbeddedAppender {
    shared: Arc<Shared>,
    turn: AtomicU32,
}

impl EmbeddedAppender {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, turn: AtomicU32::new(0) }
    }

    fn encode(&self, records: &[Record]) -> Result<(Outbox, Vec<Place>), LogError> {
        let options = self.shared.store.options();
        let queued = self.shared.queue.queued_bytes();
        if queued > options.max_queued_bytes {
            let message = format!(
                "{queued} bytes wait to be written by the embedded log in {}, {} may; append again later",
                self.shared.store.path().display(),
                options.max_queued_bytes
            );
            return Err(LogError::new(LogErrorKind::Retriable, message));
        }
        let now_ms = self.shared.clock.wall_ms();
        let mut outbox = Outbox::with_turn(self.turn.fetch_add(1, Ordering::Relaxed));
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            places.push(outbox.push(&borrow(record), &self.shared.topics, options, now_ms)?);
        }
        Ok((outbox, places))
    }
}

impl Appender for EmbeddedAppender {
    fn append(&self, records: Vec<Record>, done: AppendDone) {
        let (mut outbox, places) = match self.encode(&records) {
            Ok(encoded) => encoded,
            Err(error) => {
                let done: WriteDone = Box::new(move |result| done(positions(&[], result)));
                return self.shared.queue.refuse(error, done);
            }
        };
        self.shared.queue.write(Write {
            bytes: outbox.bytes(),
            parts: outbox.take(),
            offsets: Vec::new(),
            done: Box::new(move |result| done(positions(&places, result))),
        });
    }
}

fn positions(places: &[Place], result: Result<Vec<Offset>, WriteError>) -> Result<Vec<Position>, LogError> {
    let bases = result.map_err(WriteError::into_error)?;
    let position =
        |place: &Place| Position { partition: place.partition, offset: bases[place.part] + Offset::from(place.index) };
    Ok(places.iter().map(position).collect())
}

fn borrow(record: &Record) -> SendRecord<'_> {
    SendRecord {
        topic: &record.topic,
        partition: record.partition,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &record.headers,
        timestamp_ms: record.timestamp_ms,
    }
}
