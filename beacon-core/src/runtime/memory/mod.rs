//! How much memory the stores of a process may use together.
//!
//! Most of it is for what tasks have at hand: entries read or written lately, and committed ones that their stores have not
//! been told yet. The tasks of a process share it evenly. The rest is the stores': one block cache for all, and one count of
//! write buffers that is charged to it. So the number of tasks does not matter.
//!
//! Unless told, the bound is a quarter of what the process may use at all, which is its control group's limit, or the
//! machine's memory where there is none. The other three quarters are for what scales with traffic and threads: pending
//! commits, the log's client, the program itself.

mod tables;

use std::sync::OnceLock;

pub(crate) use tables::{TableMemory, TableShare};

use crate::machine;

/// Least that stores can work with.
const LEAST: u64 = 8 << 20;
/// More than this only helps states that are far larger: to be asked for.
const MOST: u64 = 256 << 20;
/// What the stores get of the process's memory.
const SHARE: u64 = 4;
/// What may wait for commits, of that.
const COMMIT_SHARE: u64 = 16;

/// How much the stores of a process may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryBudget {
    /// All of it. A larger one saves reads from disk.
    pub total_bytes: u64,
    /// What tasks may keep at hand of it, most of that for committed entries that stores have not been told yet. Larger:
    /// fewer reads and writes of the stores.
    pub table_bytes: u64,
    /// What write buffers of the stores may take of it; the rest is for blocks. When they are full, the largest is
    /// flushed. Larger: fewer and larger files and less compaction.
    pub write_buffer_bytes: u64,
}

impl MemoryBudget {
    /// Three quarters of it for entries at hand, an eighth for write buffers, an eighth for blocks.
    pub fn of(total_bytes: u64) -> Self {
        Self { total_bytes, table_bytes: total_bytes / 4 * 3, write_buffer_bytes: total_bytes / 8 }
    }

    /// What is left for the stores: blocks and write buffers together.
    pub fn store_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.table_bytes)
    }

    /// For a process that may use `limit_bytes`: a quarter of that, at least 8 MiB, at most 256 MiB.
    pub fn within(limit_bytes: u64) -> Self {
        Self::of((limit_bytes / SHARE).clamp(LEAST, MOST))
    }

    /// What may wait for the next commit in each of so many threads: a sixteenth of the budget for all of them, and at
    /// least 256 KiB each. It comes on top of the budget several times: pending, encoded, on its way to the log and to the
    /// store.
    pub fn commit_bytes(&self, threads: u32) -> usize {
        let each = self.total_bytes / COMMIT_SHARE / u64::from(threads.max(1));
        usize::try_from(each).unwrap_or(usize::MAX).max(256 << 10)
    }

    /// For this process: by the limits of its control groups (version 1 or 2), or by the machine's memory.
    pub fn of_this_process() -> Self {
        let found = machine::memory_limit();
        let limit = found.unwrap_or(MOST * SHARE);
        let budget = Self::within(limit);
        tracing::debug!(limit, total = budget.total_bytes, known = found.is_some(), "memory for state stores");
        budget
    }
}

/// The memory itself: clones share it, and so do all applications that are given a clone.
#[derive(Clone)]
pub struct StoreMemory {
    budget: MemoryBudget,
    tables: TableMemory,
    #[cfg(feature = "rocksdb")]
    rocks: crate::state::rocks::RocksMemory,
}

impl StoreMemory {
    /// Memory of this size, apart from all other.
    pub fn new(budget: MemoryBudget) -> Self {
        Self {
            budget,
            tables: TableMemory::new(usize::try_from(budget.table_bytes).unwrap_or(usize::MAX)),
            #[cfg(feature = "rocksdb")]
            rocks: crate::state::rocks::RocksMemory::bounded(
                usize::try_from(budget.store_bytes()).unwrap_or(usize::MAX),
                usize::try_from(budget.write_buffer_bytes).unwrap_or(usize::MAX),
            ),
        }
    }

    /// What all applications of this process share that were not told otherwise. Its size is decided at the first call.
    pub fn of_this_process() -> Self {
        static SHARED: OnceLock<StoreMemory> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(MemoryBudget::of_this_process())).clone()
    }

    /// Its size.
    pub fn budget(&self) -> MemoryBudget {
        self.budget
    }

    pub(crate) fn tables(&self) -> TableMemory {
        self.tables.clone()
    }

    #[cfg(feature = "rocksdb")]
    pub(crate) fn rocks(&self) -> &crate::state::rocks::RocksMemory {
        &self.rocks
    }

    /// Budget and use, as samples with these labels.
    pub(super) fn samples(&self, labels: &[(&'static str, String)]) -> Vec<crate::metrics::Sample> {
        use crate::metrics::{Sample, catalogue};
        let part = |name: &str, bytes: u64| {
            let labels = labels.iter().cloned().chain([("part", name.to_owned())]).collect();
            Sample::number(&catalogue::MEMORY_LIMIT, labels, bytes as f64)
        };
        #[allow(unused_mut, reason = "without a store on disk nothing is in use")]
        let mut samples = vec![
            part("total", self.budget.total_bytes),
            part("tables", self.budget.table_bytes),
            part("write_buffers", self.budget.write_buffer_bytes),
        ];
        #[cfg(feature = "rocksdb")]
        samples.extend([
            Sample::number(&catalogue::BLOCK_CACHE, labels.to_vec(), self.rocks.cache_bytes() as f64),
            Sample::number(&catalogue::MEM_TABLES, labels.to_vec(), self.rocks.write_buffer_bytes() as f64),
        ]);
        samples
    }
}

impl std::fmt::Debug for StoreMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreMemory").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_limit_within_reason() {
        let total = |limit| MemoryBudget::within(limit).total_bytes;
        assert_eq!(total(256 << 20), 64 << 20);
        assert_eq!(total(1 << 20), LEAST);
        assert_eq!(total(64 << 30), MOST);
        assert_eq!(MemoryBudget::within(256 << 20).table_bytes, 48 << 20);
        assert_eq!(MemoryBudget::within(256 << 20).write_buffer_bytes, 8 << 20);
        assert_eq!(MemoryBudget::within(256 << 20).store_bytes(), 16 << 20);
        assert_eq!(MemoryBudget::within(256 << 20).commit_bytes(2), 2 << 20);
        assert_eq!(MemoryBudget::within(0).commit_bytes(64), 256 << 10);
    }

    #[test]
    fn applications_that_are_not_told_otherwise_share() {
        assert_eq!(StoreMemory::of_this_process().budget(), StoreMemory::of_this_process().budget());
    }
}
