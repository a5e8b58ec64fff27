//! Which partition a key belongs to: Kafka's default, so that keys written by Java programs meet ours.

use crate::codec::key_hash;

/// The partition of a key among `partitions`, as Kafka's default partitioner chooses it.
pub fn for_key(key: &[u8], partitions: u32) -> u32 {
    key_hash(key) % partitions.max(1)
}
