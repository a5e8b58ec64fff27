//! Reading given partitions without a group: restore and views.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::log::{Event, Isolation, LogError, Offset, Reader, TopicPartition};

use super::admin::Cluster;
use super::error::log_error;
use super::inbox::Inbox;
use super::partitions::list_at;
use super::raw::Client;

/// A reader on Kafka; see [`Reader`].
pub(super) struct KafkaReader {
    cluster: Arc<Cluster>,
    client: Arc<Client>,
    inbox: Inbox,
}

impl KafkaReader {
    pub fn open(cluster: Arc<Cluster>, isolation: Isolation) -> Result<Self, LogError> {
        let client = Arc::new(cluster.reader_client(isolation)?);
        let inbox = Inbox::new(Arc::clone(&client), cluster.config().max_batch);
        Ok(Self { cluster, client, inbox })
    }
}

impl Reader for KafkaReader {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        for (partition, _) in partitions {
            self.cluster.require_partition(partition)?;
        }
        self.inbox.clear();
        for (partition, offset) in partitions {
            self.inbox.set_position(partition, *offset);
        }
        // Given up first: a partition assigned again would else go on where it is.
        self.client.assign(None).map_err(|code| log_error(code, "ending the last assignment"))?;
        let places = partitions.iter().map(|(partition, offset)| (partition, *offset));
        self.client.assign(Some(&list_at(places))).map_err(|code| log_error(code, "assigning partitions to a reader"))
    }

    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.inbox.next() {
                return event;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.inbox.fetch(left);
            if left.is_zero() {
                return self.inbox.next().unwrap_or(Ok(Event::Idle));
            }
        }
    }
}
