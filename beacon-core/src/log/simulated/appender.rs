//! Appends outside of any transaction.

use super::Client;
use super::errors;
use super::surroundings::{Call, Fate};
use crate::log::answer::answer;
use crate::log::{AppendDone, Appender, LogError, Position, Record, SendRecord};

pub(super) struct SimulatedAppender {
    client: Client,
}

impl SimulatedAppender {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// All of them or none: a place is found for each before the first is written.
    fn write(&self, records: Vec<Record>) -> Result<Vec<Position>, LogError> {
        let wall_ms = self.client.surroundings.wall_ms();
        let mut state = self.client.state();
        let mut placed = Vec::with_capacity(records.len());
        for record in &records {
            placed.push(state.place(&borrow(record), wall_ms)?);
        }
        let mut positions = Vec::with_capacity(placed.len());
        for (at, record) in placed {
            let offset = state.write(&at, record, None)?;
            positions.push(Position { partition: at.partition, offset });
        }
        Ok(positions)
    }
}

impl Appender for SimulatedAppender {
    fn append(&self, records: Vec<Record>, done: AppendDone) {
        let result = match self.client.surroundings.fate(Call::Append) {
            Fate::Done => self.write(records),
            Fate::AnswerLost => self.write(records).and_then(|_| Err(errors::time_out("an append"))),
            Fate::Refused => Err(errors::refused("an append")),
            Fate::RequestLost | Fate::RefusalLost => Err(errors::time_out("an append")),
            Fate::Dead => Err(errors::dead()),
        };
        answer(done, result);
    }
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
