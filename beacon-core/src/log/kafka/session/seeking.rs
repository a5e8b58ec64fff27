//! Where started partitions are read: seeks, and two habits of librdkafka that have to be worked around.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::error::{from_call, log_error};
use super::super::partitions::{list, list_at, native_partition};
use super::super::raw::errors_of;
use super::KafkaSession;
use crate::log::{LogError, Offset, TopicPartition};

/// How long waking up the client may hold up its caller, for each partition.
const WAKE_PATIENCE: Duration = Duration::from_millis(1);
/// How long a partition just assigned may take to be fetched.
const START_PATIENCE: Duration = Duration::from_millis(250);

impl KafkaSession {
    /// Has a partition fetched at once that was resumed just now.
    ///
    /// librdkafka's thread of the broker does not hear of the end of a pause (2.12): with nothing else to fetch it sleeps
    /// on, for up to a second. It wakes up for a seek, if only to where the partition is, and for a request. Whatever goes
    /// wrong with it costs that second and nothing else: the partition is resumed.
    pub(super) fn wake(&self, partition: &TopicPartition) {
        let woken = match self.inbox.position(partition) {
            Some(offset) if offset > 0 => {
                let target = list_at([(partition, offset)].into_iter());
                self.client.seek(&target, WAKE_PATIENCE).map_err(|error| from_call(&error, "a seek to wake it"))
            }
            // A seek to the very beginning wakes nobody. The question is asked to be heard; nobody waits for the answer.
            _ => {
                let asked = self.client.watermarks(&partition.topic, native_partition(partition), WAKE_PATIENCE);
                asked.map(drop).map_err(|code| log_error(code, "a question to wake it"))
            }
        };
        if let Err(error) = woken {
            tracing::trace!(%partition, %error, "a resumed partition may be fetched later");
        }
    }

    /// Moves started partitions; needs librdkafka to have begun fetching them, which takes a moment after a start.
    pub(super) fn seek_started(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        let deadline = Instant::now() + self.cluster.config().timeout;
        let patience = Instant::now() + START_PATIENCE;
        loop {
            let target = list_at([(partition, offset)].into_iter());
            self.client
                .seek(&target, self.cluster.config().timeout)
                .map_err(|error| from_call(&error, format_args!("seeking {partition} to {offset}")))?;
            match errors_of(&target).pop().flatten() {
                None => break,
                Some(Code::State | Code::PreviousInProgress | Code::InProgress) if Instant::now() < deadline => {
                    // Mostly the start is a moment away. If not, an error has stopped the partition.
                    if Instant::now() >= patience {
                        return self.restart(partition, offset);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Some(code) => {
                    return Err(log_error(code, format_args!("seeking {partition} to {offset}")));
                }
            }
        }
        self.inbox.set_position(partition, offset);
        Ok(())
    }

    /// Assigns a partition anew at an offset: the way out when librdkafka stopped fetching it after an error.
    fn restart(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.inbox.set_position(partition, offset);
        if self.client.is_incremental() {
            self.unassign(std::slice::from_ref(partition))?;
            self.assign(&list_at([(partition, offset)].into_iter()))?;
        } else {
            self.assign(&list_at(self.inbox.positions()))?;
        }
        let paused: Vec<_> = self.membership.paused().cloned().collect();
        if paused.is_empty() {
            return Ok(());
        }
        self.client.pause(&list(paused.iter())).map_err(|code| log_error(code, "pausing partitions"))
    }
}
