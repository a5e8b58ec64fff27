//! Reading a partition from end to end, and whether anything in it is unread.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::log::{Event, Isolation, Log, LogError, LogErrorKind, Offset, RecordRef, TopicPartition};

/// A reader that hears nothing for this long gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows every committed record of a partition from `from` on, until its end is reached or the visitor has seen enough.
pub(super) fn read(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
    visit: &mut dyn FnMut(&RecordRef<'_>) -> Result<ControlFlow<()>, LogError>,
) -> Result<(), LogError> {
    let end = log.offsets(partition, Isolation::Committed)?.end;
    if from >= end {
        return Ok(());
    }
    let mut reader = log.reader(Isolation::Committed)?;
    reader.assign(&[(partition.clone(), from)])?;
    let mut heard = Instant::now();
    loop {
        match reader.poll(Duration::from_millis(100))? {
            Event::Records(batch) => {
                heard = Instant::now();
                for index in 0..batch.len() {
                    let record = batch.get(index);
                    if record.offset >= end || visit(&record)?.is_break() {
                        return Ok(());
                    }
                }
            }
            Event::EndOfPartition(reached, at) if reached == *partition && at >= end => return Ok(()),
            _ if heard.elapsed() > PATIENCE => {
                let message = format!("{partition} does not come to its end {end} within {PATIENCE:?}");
                return Err(LogError::new(LogErrorKind::Retriable, message));
            }
            _ => {}
        }
    }
}

/// The first committed record at or after `from`; transaction markers, which take offsets too, are none.
pub(super) fn first_unread(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
) -> Result<Option<Offset>, LogError> {
    let mut found = None;
    let from = from.max(log.offsets(partition, Isolation::Committed)?.start);
    read(log, partition, from, &mut |record| {
        found = Some(record.offset);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// All partitions of a topic; none when it does not exist.
pub(super) fn partitions(log: &dyn Log, topic: &str) -> Result<Vec<TopicPartition>, LogError> {
    let count = log.describe_topic(topic)?.map_or(0, |topic| topic.partitions);
    Ok((0..count).map(|partition| TopicPartition::new(topic, partition)).collect())
}
