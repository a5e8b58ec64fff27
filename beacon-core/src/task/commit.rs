//! The commit at hand: what goes into it, and what becomes of it.

use std::sync::Arc;

use super::changelog::empty_chunk;
use super::{Task, TaskError, encode_chunks};
use crate::log::{Offset, TopicPartition};
use crate::operator::{Call, Outgoing, Tally};
use crate::state::StateError;
use crate::time::EventTime;

impl Task {
    /// Hands out the changelog records of the commit at hand, and the offsets that belong to it.
    ///
    /// # Errors
    /// Those of `send`, and the store's.
    pub fn seal(
        &mut self,
        send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>,
    ) -> Result<Vec<(TopicPartition, Offset)>, TaskError> {
        let timestamp = EventTime::from_millis(self.step.now().as_millis());
        // After the records that are before them in event time.
        for announcement in self.step.announcements() {
            for partition in 0..self.partitions {
                send(Outgoing {
                    topic: Arc::clone(&announcement.topic),
                    partition: Some(partition),
                    key: None,
                    value: Some(announcement.bytes.clone()),
                    headers: Vec::new(),
                    timestamp,
                })?;
            }
        }
        self.step.seal_event_time();
        let changelog = &self.changelog;
        encode_chunks(self.step.state.logged_changes(), |chunk| send(record_of(changelog, chunk, timestamp)))?;
        Ok(self.positions.to_commit())
    }

    /// Sends a record without changes to the changelog, if the commit at hand will write there: for logs where the first
    /// record of a transaction in a partition takes longer than others.
    ///
    /// # Errors
    /// Those of `send`.
    pub fn begin_changelog(&self, send: &mut dyn FnMut(Outgoing) -> Result<(), TaskError>) -> Result<(), TaskError> {
        if !self.step.is_dirty() {
            return Ok(());
        }
        let timestamp = EventTime::from_millis(self.step.now().as_millis());
        send(record_of(&self.changelog, empty_chunk(), timestamp))
    }

    /// The commit went through: state becomes what the steps wrote. `ends` are the offsets after the records written
    /// in it. Returns the calls to make now.
    ///
    /// # Errors
    /// The store's. The commit stands in the log: drop the task and restore it.
    pub fn committed(&mut self, ends: &[(TopicPartition, Offset)]) -> Result<Vec<Call>, StateError> {
        let end = ends.iter().find(|(partition, _)| *partition == self.changelog).map(|(_, end)| *end);
        self.changelog_end = end.or(self.changelog_end);
        self.unflushed += self.step.state.pending_bytes();
        self.step.committed(end)?;
        self.positions.committed();
        self.sent = false;
        Ok(std::mem::take(&mut self.calls))
    }

    /// What was counted since the last commit: to be asked once that this one went through.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.step.take_tally()
    }

    /// A planted bug: see [`crate::planted::Planted::AppliedBeforeCommit`].
    ///
    /// # Errors
    /// The store's.
    #[cfg(test)]
    pub(crate) fn apply_uncommitted(&mut self) -> Result<(), StateError> {
        self.step.state.apply()
    }

    /// The commit was dropped: everything is as after the last one. Returns where to read from again.
    pub fn dropped(&mut self) -> Vec<(TopicPartition, Offset)> {
        self.step.drop_pending();
        self.calls.clear();
        self.sent = false;
        self.positions.rewind()
    }

    /// Bytes applied since the last flush: the length of the tail that a crash makes us read again.
    pub fn unflushed_bytes(&self) -> usize {
        self.unflushed
    }

    /// Makes committed state survive a crash of the machine.
    ///
    /// # Errors
    /// The store's.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.step.state.flush()?;
        self.unflushed = 0;
        Ok(())
    }
}

/// A chunk as a record of the changelog.
fn record_of(changelog: &TopicPartition, chunk: Vec<u8>, timestamp: EventTime) -> Outgoing {
    Outgoing {
        topic: Arc::clone(&changelog.topic),
        partition: Some(changelog.partition),
        key: None,
        value: Some(chunk),
        headers: Vec::new(),
        timestamp,
    }
}
