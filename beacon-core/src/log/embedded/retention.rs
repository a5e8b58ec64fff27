//! Retention: which old records of a delete topic go.

use std::time::Duration;

use super::chunk::Chunk;
use crate::log::Offset;

/// Where the partition starts once the chunks that are wholly older than `retention` are gone; `None` when the first
/// one stays. A chunk is as young as its youngest record, so that no record goes early, and chunks behind a younger one
/// stay, as in Kafka.
pub(super) fn expired_until<'a>(
    chunks: impl IntoIterator<Item = &'a Chunk>,
    retention: Duration,
    now_ms: i64,
) -> Option<Offset> {
    let cutoff = now_ms.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
    chunks.into_iter().take_while(|chunk| chunk.newest_ms() < cutoff).last().map(Chunk::end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::embedded::chunk::{ChunkWriter, Entry};

    fn chunk(base: Offset, times: &[i64]) -> Chunk {
        let mut writer = ChunkWriter::new();
        for &timestamp_ms in times {
            writer.push(Entry { key: None, value: None, headers: &[], timestamp_ms });
        }
        Chunk::new(base, writer.finish()).expect("a whole chunk")
    }

    #[test]
    fn a_chunk_goes_when_its_youngest_record_is_too_old() {
        let chunks = [chunk(0, &[10, 90]), chunk(2, &[20]), chunk(3, &[50, 100]), chunk(5, &[0])];
        let until = |retention_ms, now_ms| expired_until(&chunks, Duration::from_millis(retention_ms), now_ms);
        assert_eq!(until(100, 190), None, "exactly as old as allowed");
        assert_eq!(until(100, 191), Some(3));
        assert_eq!(until(100, 200), Some(3));
        assert_eq!(until(100, 201), Some(6), "and what was written behind it with an older time");
        assert_eq!(until(u64::MAX, i64::MAX), None);
    }
}
