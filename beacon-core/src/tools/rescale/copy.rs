//! Copying the records of a topic to another one.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::ToolError;
use super::super::reading::{partitions, read};
use crate::log::{Isolation, Log, LogError, LogErrorKind, Record, RecordRef, partition};

/// How much is under way at once.
const BATCH_BYTES: usize = 4 << 20;

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the partition it is in.
    Same,
    /// To the partition of its key among `to`. It must be where its key belongs among `from`; a record without key has
    /// no order to keep and goes to its number mod `to`.
    ByKey { from: u32, to: u32 },
}

impl Place {
    fn of(self, record: &RecordRef<'_>) -> Result<u32, LogError> {
        match (self, record.key) {
            (Self::Same, _) => Ok(record.partition),
            (Self::ByKey { to, .. }, None) => Ok(record.partition % to),
            (Self::ByKey { from, to }, Some(key)) if partition::for_key(key, from) == record.partition => {
                Ok(partition::for_key(key, to))
            }
            (Self::ByKey { from, .. }, Some(_)) => Err(LogError::new(
                LogErrorKind::Mismatch,
                format!(
                    "{record:?} is not in the partition that Kafka's default partitioner gives its key among {from}; \
                     records of one key would lose their order"
                ),
            )),
        }
    }
}

/// Copies every committed record, with its time and headers. Partition by partition, so that records of a key keep
/// their order.
pub(super) fn copy(log: &dyn Log, from: &str, to: &str, place: Place) -> Result<u64, ToolError> {
    let appender = log.appender()?;
    let target: Arc<str> = to.into();
    let mut copied = 0;
    for source in partitions(log, from)? {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let start = log.offsets(&source, Isolation::Committed)?.start;
        read(log, &source, start, &mut |record| {
            let partition = Some(place.of(record)?);
            batch.push(Record { topic: Arc::clone(&target), partition, ..record.to_record() });
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + 64;
            copied += 1;
            if bytes >= BATCH_BYTES {
                bytes = 0;
                appender.append_blocking(std::mem::take(&mut batch))?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !batch.is_empty() {
            appender.append_blocking(batch)?;
        }
    }
    Ok(copied)
}
