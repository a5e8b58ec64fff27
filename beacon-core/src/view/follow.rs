//! The thread of a view: polls the reader, applies what comes, tells the observer, moves the progress.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::codec::Codec;
use crate::log::{Event, LogError, LogErrorKind, Offset, Reader, RecordBatch, TopicPartition};

use super::Shared;
use super::table::{Change, decode};

/// Also the longest that a stop takes.
const POLL: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Ends the progress however the thread ends, so that nobody waits for a dead thread.
struct EndProgress<'a, K, V>(&'a Shared<K, V>);

impl<K, V> Drop for EndProgress<'_, K, V> {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() { "its thread panicked" } else { "it was stopped" };
        self.0.progress.end(format!("the view of {}: {reason}", self.0.topic));
    }
}

pub(super) fn follow<K, V>(shared: &Shared<K, V>, mut reader: Box<dyn Reader>, mut observer: impl FnMut(&Change<K, V>))
where
    K: Codec + Ord + Clone,
    V: Codec,
{
    let _end = EndProgress(shared);
    let mut pause = FIRST_PAUSE;
    while !shared.stop.load(Ordering::Relaxed) {
        match reader.poll(POLL) {
            Ok(event) => {
                pause = FIRST_PAUSE;
                take(shared, event, &mut observer);
            }
            Err(error) if error.kind() == LogErrorKind::Retriable => {
                tracing::warn!(topic = %shared.topic, %error, retry_in_ms = pause.as_millis() as u64,
                    "the view cannot read; it shows what it has and tries again");
                rest(shared, pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return fail(shared, &error),
        }
    }
}

fn fail<K, V>(shared: &Shared<K, V>, error: &LogError) {
    tracing::error!(topic = %shared.topic, %error, "the view has failed; it is not kept up to date any more");
    shared.progress.end(format!("the view of {} failed: {error}", shared.topic));
}

/// Sleeps in short steps, so that a stop is heard.
fn rest<K, V>(shared: &Shared<K, V>, mut left: Duration) {
    while !left.is_zero() && !shared.stop.load(Ordering::Relaxed) {
        let step = left.min(POLL);
        std::thread::park_timeout(step);
        left -= step;
    }
}

fn take<K, V>(shared: &Shared<K, V>, event: Event, observer: &mut impl FnMut(&Change<K, V>))
where
    K: Codec + Ord + Clone,
    V: Codec,
{
    match event {
        Event::Records(batch) => take_records(shared, &*batch, observer),
        Event::EndOfPartition(partition, end) => take_end(shared, &partition, end),
        // A reader has no group: it is never assigned or revoked anything.
        Event::Idle | Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_) => {}
    }
}

fn take_records<K, V>(shared: &Shared<K, V>, batch: &dyn RecordBatch, observer: &mut impl FnMut(&Change<K, V>))
where
    K: Codec + Ord + Clone,
    V: Codec,
{
    // Decoded before the lock is taken: readers wait for map operations only.
    let mut decoded = Vec::with_capacity(batch.len());
    let mut next: Vec<(u32, Offset)> = Vec::new();
    for record in (0..batch.len()).map(|index| batch.get(index)) {
        match decode::<K, V>(&record) {
            Ok(change) => decoded.push(change),
            Err(error) => {
                shared.broken.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(topic = %shared.topic, partition = record.partition, offset = record.offset, %error,
                    "the view leaves out a record that it cannot understand");
            }
        }
        match next.last_mut() {
            Some((partition, next)) if *partition == record.partition => *next = record.offset + 1,
            _ => next.push((record.partition, record.offset + 1)),
        }
    }
    let changes: Vec<Change<K, V>> = {
        let mut table = shared.table.write().unwrap_or_else(PoisonError::into_inner);
        next.iter().for_each(|(partition, next)| table.advance(*partition, *next));
        decoded.into_iter().map(|decoded| table.apply(decoded)).collect()
    };
    changes.iter().for_each(observer);
    next.into_iter().for_each(|(partition, next)| shared.progress.advance(partition, next));
}

/// Everything visible was delivered. That includes all there was at the start, whatever the log calls its end:
/// markers of transactions take offsets that no reader is ever given.
fn take_end<K: Ord, V>(shared: &Shared<K, V>, partition: &TopicPartition, end: Offset) {
    let number = partition.partition;
    let end = end.max(shared.ends_at_start.get(number as usize).copied().unwrap_or(0));
    shared.table.write().unwrap_or_else(PoisonError::into_inner).advance(number, end);
    shared.progress.advance(number, end);
}
