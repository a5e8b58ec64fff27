//! Reads given partitions without a group.

use std::time::Duration;

use super::Client;
use super::feed::Feed;
use super::surroundings::Call;
use crate::log::{Event, Isolation, LogError, Offset, Reader, TopicPartition};

pub(super) struct SimulatedReader {
    client: Client,
    feed: Feed,
}

impl SimulatedReader {
    pub(super) fn new(client: Client, isolation: Isolation) -> Self {
        Self { client, feed: Feed::new(isolation) }
    }
}

impl Reader for SimulatedReader {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        self.feed.clear();
        for (partition, offset) in partitions {
            self.feed.add(partition.clone(), *offset);
        }
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let deadline = self.client.now().saturating_add(timeout);
        loop {
            self.client.meet(Call::Read, "a read")?;
            let limit = self.client.surroundings.batch_records();
            if let Some(event) = self.feed.next(&self.client.state(), limit)? {
                return Ok(event);
            }
            if !self.client.surroundings.wait(deadline) {
                return Ok(Event::Idle);
            }
        }
    }
}
