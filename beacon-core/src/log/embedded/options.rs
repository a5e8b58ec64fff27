//! Settings of an embedded log.

use std::time::Duration;

use crate::machine;

/// Where the defaults fit.
const DEFAULTS_FROM: u64 = 2 << 30;
/// Less of anything would only make work.
const LEAST: usize = 1 << 20;

/// How an embedded log uses memory, disk and background time. The defaults suit a machine with a gigabyte to spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddedOptions {
    /// Bytes kept free on the device: record writes are refused as full before less is left. More: RocksDB's own
    /// flushes and compactions are safer; less: more of a small device is usable. Default 64 MiB.
    pub reserve_bytes: u64,
    /// RocksDB's memtable. Larger: fewer and larger files; smaller: less memory and a shorter recovery. At most four
    /// are in memory at once. Compaction makes files of twice this size. Default 32 MiB.
    pub write_buffer_bytes: usize,
    /// The newest records of all partitions together that readers get without asking RocksDB. Default 32 MiB.
    pub tail_cache_bytes: usize,
    /// RocksDB's block cache, for indexes and metadata mostly. Default 16 MiB.
    pub block_cache_bytes: usize,
    /// Key, value and headers of one record together. Larger records make every batch and restore step larger.
    /// Default 1 MiB, as Kafka's `message.max.bytes`, so that a job that runs here runs there.
    pub max_record_bytes: usize,
    /// Records of one transaction together, which are in memory until the commit. Default 256 MiB.
    pub max_transaction_bytes: usize,
    /// Appends that wait for the disk, together; more are refused as retriable. Default 64 MiB.
    pub max_queued_bytes: usize,
    /// How often retention and compaction look for work. Default 30 s.
    pub cleaning_interval: Duration,
    /// How long a compacted topic keeps a tombstone at least, so that readers who are behind still see the deletion.
    /// Default 24 h, as Kafka's `delete.retention.ms`.
    pub tombstone_retention: Duration,
}

impl EmbeddedOptions {
    /// For a process that may use `limit_bytes` of memory: the defaults from 2 GiB on, and in proportion below, so that a
    /// log takes about a twelfth of it.
    pub fn within(limit_bytes: u64) -> Self {
        let defaults = Self::default();
        let part = |of: usize| {
            let share = u128::from(limit_bytes) * of as u128 / u128::from(DEFAULTS_FROM);
            of.min(usize::try_from(share).unwrap_or(usize::MAX)).max(LEAST)
        };
        Self {
            write_buffer_bytes: part(defaults.write_buffer_bytes),
            tail_cache_bytes: part(defaults.tail_cache_bytes),
            block_cache_bytes: part(defaults.block_cache_bytes),
            ..defaults
        }
    }

    /// For this process: by the limits of its control groups (version 1 or 2), or by the machine's memory.
    pub fn of_this_process() -> Self {
        machine::memory_limit().map_or_else(Self::default, Self::within)
    }

    /// What the committer writes as one at most, a job more or less.
    pub(super) fn batch_bytes(&self) -> usize {
        self.write_buffer_bytes / 2
    }
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            reserve_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            tail_cache_bytes: 32 << 20,
            block_cache_bytes: 16 << 20,
            max_record_bytes: 1 << 20,
            max_transaction_bytes: 256 << 20,
            max_queued_bytes: 64 << 20,
            cleaning_interval: Duration::from_secs(30),
            tombstone_retention: Duration::from_secs(24 * 60 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_in_proportion_to_what_there_is() {
        assert_eq!(EmbeddedOptions::within(24 << 30), EmbeddedOptions::default());
        assert_eq!(EmbeddedOptions::within(2 << 30), EmbeddedOptions::default());
        assert_eq!(EmbeddedOptions::within(256 << 20).write_buffer_bytes, 4 << 20);
        assert_eq!(EmbeddedOptions::within(0).tail_cache_bytes, LEAST);
        let small = EmbeddedOptions::within(192 << 20);
        // Four memtables, as its documentation says, and the caches.
        assert!(4 * small.write_buffer_bytes + small.tail_cache_bytes + small.block_cache_bytes < 20 << 20);
    }
}
