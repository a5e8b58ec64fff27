//! Compaction: of the records of each key in a closed stretch of a partition, the newest stays.
//!
//! A pass first notes, for a dirty stretch, the newest offset of each key, and then rewrites everything from the start
//! of the partition to the end of that stretch without the records that are superseded. Offsets stay what they were.
//! It works window by window, each an atomic write, from low offsets to high: after a crash anywhere some old records
//! are gone and nothing else, because a superseded record is always dropped before what supersedes it could be.
//!
//! Tombstones stay for their retention, measured by the log's clock and not by their own timestamps, which a producer
//! may have set to the time of some event long ago: a reader that is less far behind than that sees every deletion.
//! The last chunk is never touched; it keeps the end of the partition known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::chunk::{BadChunk, Chunk, ChunkWriter, Entry, Slot};
use super::keys::PartitionEntry;
use crate::log::Offset;

/// Keys noted for one dirty stretch, at most; a longer one is compacted in several passes.
const NOTED_BYTES: usize = 32 << 20;
/// What a noted key takes beside its bytes, about.
const NOTE_OVERHEAD: usize = 64;

/// What a pass over a partition shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Too little has come since the last pass to pay for another.
    Rest,
    /// Compact.
    Pass {
        /// The first offset that no pass has seen.
        dirty_from: Offset,
        /// Tombstones below this offset have been seen by everybody who is not too far behind.
        tombstones_below: Offset,
    },
}

/// Decides whether a pass pays: it reads the whole closed part, so that has to have grown by half. Without this a large
/// partition would be rewritten for every few records.
pub(super) fn plan(entry: PartitionEntry, closed: Offset, tombstone_retention: Duration, now_ms: i64) -> Plan {
    let dirty_from = entry.compacted.max(entry.start);
    let dirty = closed.saturating_sub(dirty_from);
    if dirty == 0 || dirty < entry.live / 2 {
        return Plan::Rest;
    }
    let due = horizon_is_due(entry, tombstone_retention, now_ms);
    Plan::Pass { dirty_from, tombstones_below: if due { entry.horizon } else { 0 } }
}

/// What is kept of the partition after a pass that came up to `compacted` and left `live` records.
pub(super) fn after_pass(
    entry: PartitionEntry,
    compacted: Offset,
    live: u64,
    tombstone_retention: Duration,
    now_ms: i64,
) -> PartitionEntry {
    let next = PartitionEntry { compacted, live, ..entry };
    if entry.horizon == 0 || horizon_is_due(entry, tombstone_retention, now_ms) {
        PartitionEntry { horizon: compacted, horizon_ms: now_ms, ..next }
    } else {
        next
    }
}

fn horizon_is_due(entry: PartitionEntry, tombstone_retention: Duration, now_ms: i64) -> bool {
    let retention_ms = i64::try_from(tombstone_retention.as_millis()).unwrap_or(i64::MAX);
    entry.horizon > 0 && now_ms >= entry.horizon_ms.saturating_add(retention_ms)
}

/// The newest offset of each key in a dirty stretch.
#[derive(Default)]
pub(super) struct Newest {
    offsets: HashMap<Box<[u8]>, Offset>,
    bytes: usize,
}

impl Newest {
    pub(super) fn note(&mut self, chunk: &Chunk) -> Result<(), BadChunk> {
        for slot in chunk.slots() {
            let slot = slot?;
            let Some(key) = slot.key(chunk) else { continue };
            match self.offsets.get_mut(key) {
                Some(offset) => *offset = slot.offset,
                None => {
                    self.bytes += key.len() + NOTE_OVERHEAD;
                    self.offsets.insert(key.into(), slot.offset);
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= NOTED_BYTES
    }

    /// Whether the record stays. One without key has nothing that could supersede it.
    fn keeps(&self, chunk: &Chunk, slot: &Slot, tombstones_below: Offset) -> bool {
        let Some(key) = slot.key(chunk) else { return true };
        let superseded = self.offsets.get(key).is_some_and(|newest| *newest > slot.offset);
        let forgotten = slot.value(chunk).is_none() && slot.offset < tombstones_below;
        !superseded && !forgotten
    }
}

/// What a window becomes.
pub(super) struct Rewritten {
    pub(super) chunks: Vec<Chunk>,
    pub(super) live: u64,
    /// Whether anything is different.
    pub(super) changed: bool,
}

/// Rewrites chunks that follow each other, without what is superseded; small ones are merged.
pub(super) fn rewrite(window: &[Arc<Chunk>], newest: &Newest, tombstones_below: Offset) -> Result<Rewritten, BadChunk> {
    let mut run = Run::default();
    let mut before = 0;
    for chunk in window {
        before += u64::from(chunk.count());
        for slot in chunk.slots() {
            let slot = slot?;
            if newest.keeps(chunk, &slot, tombstones_below) {
                run.push(chunk, &slot);
            }
        }
    }
    run.close();
    let changed = run.live != before || run.chunks.len() < window.len();
    Ok(Rewritten { chunks: run.chunks, live: run.live, changed })
}

#[derive(Default)]
struct Run {
    chunks: Vec<Chunk>,
    open: Option<(Offset, ChunkWriter)>,
    live: u64,
}

impl Run {
    fn push(&mut self, chunk: &Chunk, slot: &Slot) {
        let fits = |(base, writer): &(Offset, ChunkWriter)| !writer.is_full() && slot.offset - base < 1 << 31;
        if !self.open.as_ref().is_some_and(fits) {
            self.close();
        }
        let (base, writer) = self.open.get_or_insert_with(|| (slot.offset, ChunkWriter::new()));
        let headers = chunk.headers(slot);
        let entry = Entry {
            key: slot.key(chunk),
            value: slot.value(chunk),
            headers: &headers,
            timestamp_ms: slot.timestamp_ms,
        };
        writer.push_at((slot.offset - *base) as u32, entry);
        self.live += 1;
    }

    fn close(&mut self) {
        if let Some((base, writer)) = self.open.take() {
            self.chunks.extend(Chunk::new(base, writer.finish()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Chunks of at most `size` records; a record is a key and a value or a tombstone.
    fn chunks(records: &[(u8, Option<u8>)], size: usize) -> Vec<Arc<Chunk>> {
        let mut base = 0;
        let mut chunks = Vec::new();
        for records in records.chunks(size) {
            let mut writer = ChunkWriter::new();
            for (key, value) in records {
                writer.push(Entry {
                    key: Some(&[*key]),
                    value: value.as_ref().map(std::slice::from_ref),
                    headers: &[],
                    timestamp_ms: 0,
                });
            }
            let chunk = Chunk::new(base, writer.finish()).expect("a whole chunk");
            base = chunk.end();
            chunks.push(Arc::new(chunk));
        }
        chunks
    }

    fn records(chunks: &[Chunk]) -> Vec<(Offset, u8, Option<u8>)> {
        let record = |chunk: &Chunk, slot: Slot| {
            (slot.offset, slot.key(chunk).expect("a key")[0], slot.value(chunk).map(|value| value[0]))
        };
        chunks
            .iter()
            .flat_map(|chunk| chunk.slots().map(|slot| record(chunk, slot.expect("whole"))).collect::<Vec<_>>())
            .collect()
    }

    proptest! {
        #[test]
        fn the_newest_of_each_key_stays_at_its_offset(
            written in proptest::collection::vec((0..8u8, proptest::option::of(any::<u8>())), 1..80),
            size in 1..9usize, tombstones_below in 0..80u64,
        ) {
            let window = chunks(&written, size);
            let mut newest = Newest::default();
            window.iter().for_each(|chunk| newest.note(chunk).expect("whole"));
            let rewritten = rewrite(&window, &newest, tombstones_below).expect("whole");
            let mut expected = BTreeMap::new();
            for (offset, (key, value)) in written.iter().enumerate() {
                expected.insert(*key, (offset as u64, *key, *value));
            }
            let mut expected: Vec<_> = expected.into_values().collect();
            expected.retain(|(offset, _, value)| value.is_some() || *offset >= tombstones_below);
            expected.sort_unstable();
            prop_assert_eq!(rewritten.live as usize, expected.len());
            prop_assert!(rewritten.changed || expected.len() == written.len());
            prop_assert_eq!(records(&rewritten.chunks), expected);
        }
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_pass_waits_until_the_closed_part_has_grown_by_half() {
        let entry = PartitionEntry { start: 5, compacted: 100, live: 80, ..Default::default() };
        assert_eq!(plan(entry, 139, DAY, 0), Plan::Rest);
        assert_eq!(plan(entry, 140, DAY, 0), Plan::Pass { dirty_from: 100, tombstones_below: 0 });
        assert_eq!(plan(PartitionEntry::default(), 0, DAY, 0), Plan::Rest);
        let trimmed = PartitionEntry { start: 120, ..entry };
        assert_eq!(plan(trimmed, 160, DAY, 0), Plan::Pass { dirty_from: 120, tombstones_below: 0 });
    }

    #[test]
    fn tombstones_go_only_after_their_retention_by_the_logs_own_clock() {
        let day_ms = DAY.as_millis() as i64;
        let first = after_pass(PartitionEntry::default(), 100, 10, DAY, 1000);
        assert_eq!((first.horizon, first.horizon_ms), (100, 1000));
        let early = plan(first, 200, DAY, 1000 + day_ms - 1);
        assert_eq!(early, Plan::Pass { dirty_from: 100, tombstones_below: 0 });
        let second = after_pass(first, 200, 10, DAY, 1000 + day_ms - 1);
        assert_eq!((second.horizon, second.horizon_ms), (100, 1000), "what came later has its day still before it");
        let due = plan(second, 300, DAY, 1000 + day_ms);
        assert_eq!(due, Plan::Pass { dirty_from: 200, tombstones_below: 100 });
        assert_eq!(after_pass(second, 300, 10, DAY, 1000 + day_ms).horizon, 300);
    }
}
