//! Copying the records of a topic to another one.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::super::ToolError;
use super::super::reading::{partitions, read};
use crate::log::{Isolation, Log, LogError, LogErrorKind, Offset, Position, Record, RecordRef, partition};

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

/// Where copies came to stand, partition by partition: runs of offsets without anybody else's record in between.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    runs: BTreeMap<u32, Vec<Range<Offset>>>,
}

impl Placed {
    fn add(&mut self, position: Position) {
        let runs = self.runs.entry(position.partition).or_default();
        match runs.last_mut() {
            Some(last) if last.end == position.offset => last.end += 1,
            _ => runs.push(position.offset..position.offset + 1),
        }
    }

    /// The offset after the first `count` copies in a partition.
    pub(super) fn after(&self, partition: u32, count: u64) -> Offset {
        let mut left = count;
        let mut after = 0;
        for run in self.runs.get(&partition).into_iter().flatten() {
            if left == 0 {
                break;
            }
            let taken = left.min(run.end - run.start);
            after = run.start + taken;
            left -= taken;
        }
        after
    }

    /// Offsets before `end` at which there is no copy.
    pub(super) fn gaps(&self, partition: u32, end: Offset) -> Vec<Range<Offset>> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for run in self.runs.get(&partition).into_iter().flatten() {
            if run.start.min(end) > at {
                gaps.push(at..run.start.min(end));
            }
            at = run.end;
        }
        if at < end {
            gaps.push(at..end);
        }
        gaps
    }
}

/// Copies the committed records of a topic whose offsets are in the `span` of their partition, with their times and
/// headers. Partition by partition, so that records of a key keep their order.
pub(super) fn copy(
    log: &dyn Log,
    from: &str,
    to: &str,
    place: Place,
    span: &dyn Fn(u32) -> Range<Offset>,
) -> Result<Placed, ToolError> {
    let appender = log.appender()?;
    let target: Arc<str> = to.into();
    let mut placed = Placed::default();
    let mut append = |batch: Vec<Record>| -> Result<(), LogError> {
        appender.append_blocking(batch)?.into_iter().for_each(|position| placed.add(position));
        Ok(())
    };
    for source in partitions(log, from)? {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let span = span(source.partition);
        let start = log.offsets(&source, Isolation::Committed)?.start.max(span.start);
        read(log, &source, start, &mut |record| {
            if record.offset >= span.end {
                return Ok(ControlFlow::Break(()));
            }
            let partition = Some(place.of(record)?);
            batch.push(Record { topic: Arc::clone(&target), partition, ..record.to_record() });
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + 64;
            if bytes >= BATCH_BYTES {
                bytes = 0;
                append(std::mem::take(&mut batch))?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !batch.is_empty() {
            append(batch)?;
        }
    }
    Ok(placed)
}

/// Everything, in every partition.
pub(super) fn all(_: u32) -> Range<Offset> {
    0..Offset::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(offsets: &[Offset]) -> Placed {
        let mut placed = Placed::default();
        offsets.iter().for_each(|offset| placed.add(Position { partition: 3, offset: *offset }));
        placed
    }

    #[test]
    fn copies_without_anybody_in_between_stand_where_they_are_counted() {
        let placed = placed(&[0, 1, 2, 3]);
        assert_eq!([0, 1, 4].map(|count| placed.after(3, count)), [0, 1, 4]);
        assert_eq!(placed.gaps(3, 4), []);
        assert_eq!((placed.after(7, 5), placed.gaps(7, 0)), (0, vec![]), "nothing was copied there");
    }

    #[test]
    fn records_of_somebody_else_in_between_are_told() {
        let placed = placed(&[1, 2, 5, 6]);
        assert_eq!([0, 1, 2, 3, 4].map(|count| placed.after(3, count)), [0, 2, 3, 6, 7]);
        assert_eq!(placed.gaps(3, 7), [0..1, 3..5]);
        assert_eq!(placed.gaps(3, 4), [0..1, 3..4]);
        assert_eq!(placed.gaps(3, 9), [0..1, 3..5, 7..9]);
    }
}
