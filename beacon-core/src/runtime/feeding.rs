//! How a thread feeds its tasks what was read.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fault::Fault;
use super::link::Link;
use super::stats::Stats;
use super::thread::StreamThread;
use crate::log::RecordBatch;
use crate::time::ProcessingTime;

/// Records after which it is looked, in the middle of a batch, whether pending state has grown too large.
const RECORDS_PER_LOOK: usize = 64;

impl StreamThread {
    /// Feeds a batch, record by record in its order.
    pub(super) fn feed(&mut self, batch: &dyn RecordBatch, link: &mut Link) -> Result<(), Fault> {
        let now = self.now();
        Stats::add(&self.shared.stats.records, batch.len() as u64);
        let (mut fed, mut look_at) = (0, RECORDS_PER_LOOK);
        while fed < batch.len() {
            fed = self.feed_run(batch, fed..look_at.min(batch.len()), now, link)?;
            // A batch may come to far more state than input.
            if fed == look_at {
                look_at += RECORDS_PER_LOOK;
                if self.pending().bytes >= self.config.commit_bytes {
                    self.commit(link)?;
                }
            }
        }
        Ok(())
    }

    /// Feeds the first records of these that are of one partition: mostly all of them. Returns the place behind them.
    fn feed_run(
        &mut self,
        batch: &dyn RecordBatch,
        places: Range<usize>,
        now: ProcessingTime,
        link: &mut Link,
    ) -> Result<usize, Fault> {
        let first = batch.get(places.start);
        let id = self.task_of(first.topic, first.partition);
        let Self { slots, blame, environment, dirty_since, .. } = self;
        let Some(slot) = slots.get_mut(&id).filter(|slot| slot.restore.is_none()) else {
            return Err(Fault::Rejoin(format!("a record of {first:?} came for a task that is not running")));
        };
        for place in places.clone() {
            let record = batch.get(place);
            let same_topic = Arc::ptr_eq(record.topic, first.topic) || record.topic == first.topic;
            if !same_topic || record.partition != first.partition {
                return Ok(place);
            }
            let (task, mut send) = (&mut slot.task, link.sender());
            let fed = catch_unwind(AssertUnwindSafe(|| task.feed(record, now, &mut send)));
            dirty_since.get_or_insert_with(|| environment.now());
            // The end of an input that never rests may never be told.
            if !slot.backlog.is_empty() {
                slot.backlog.note(&record.topic_partition(), record.offset + 1);
            }
            blame.step(id, fed, || format!("{record:?}"))?;
        }
        Ok(places.end)
    }
}
