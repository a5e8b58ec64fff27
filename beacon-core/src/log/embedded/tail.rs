//! How much of the newest records stays in memory: one budget for all partitions, oldest chunk out first.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::Chunk;
use super::topic::Partition;
use crate::log::Offset;

/// The chunks that are cached, in the order they were published; owned by the committer.
pub(super) struct TailBudget {
    bytes: usize,
    limit: usize,
    cached: VecDeque<(Arc<Partition>, Offset, usize)>,
}

impl TailBudget {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: 0, limit, cached: VecDeque::new() }
    }

    /// Makes chunks visible and cached, and forgets the oldest ones past the limit.
    pub(super) fn publish(&mut self, partition: &Arc<Partition>, chunks: Vec<Arc<Chunk>>) {
        for chunk in &chunks {
            let size = chunk.footprint();
            self.bytes += size;
            self.cached.push_back((Arc::clone(partition), chunk.base(), size));
        }
        partition.publish(chunks);
        while self.bytes > self.limit
            && let Some((partition, base, size)) = self.cached.pop_front()
        {
            partition.forget(base);
            self.bytes -= size;
        }
    }
}
