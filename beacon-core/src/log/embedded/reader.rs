//! A reader without group.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::feed::{Feed, OnTrimmed};
use crate::log::{Event, LogError, Offset, Reader, TopicPartition};

/// Reads partitions of an embedded log. Both isolations are the same here: what is visible is committed.
pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    feed: Feed,
}

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, feed: Feed::new(OnTrimmed::Fail) }
    }
}

impl Reader for EmbeddedReader {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let mut found = Vec::with_capacity(partitions.len());
        for (name, offset) in partitions {
            found.push((self.shared.topics.partition(name)?, *offset));
        }
        self.feed.clear();
        for (partition, offset) in found {
            self.feed.add(partition, offset);
        }
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let deadline = self.shared.clock.now().saturating_add(timeout);
        loop {
            if let Some(event) = self.feed.next(&self.shared.store)? {
                return Ok(event);
            }
            let now = self.shared.clock.now();
            if now >= deadline {
                return Ok(Event::Idle);
            }
            self.feed.signal().wait(deadline - now);
        }
    }
}
