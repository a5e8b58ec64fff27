//! Keys of the one RocksDB column family. Numbers are big-endian, so that chunks lie in the order of their offsets.
//!
//! | first byte | rest | value |
//! |---|---|---|
//! | 1 | topic name | [`TopicEntry`] |
//! | 2 | topic id u32, partition u32 | [`PartitionEntry`], five numbers u64 |
//! | 3 | length of the group u32, group, topic id u32, partition u32 | committed offset u64 |
//! | 4 | | number of the last write u64 |
//! | 5 | topic id u32, partition u32, base offset u64 | chunk |
//! | 6 | | greatest id that a deleted topic had u32 |
//! | 7 | | id of the log u64, drawn when it was made; logs made before there were ids have none |

use std::time::Duration;

use crate::log::{CleanupPolicy, Offset};

/// The first byte of topics' keys.
pub(super) const TOPICS: u8 = 1;
const PARTITIONS: u8 = 2;
const GROUPS: u8 = 3;
/// The number of the last write: tells after a failed write whether it got to the disk.
pub(super) const LAST_WRITE: [u8; 1] = [4];
const CHUNKS: u8 = 5;
/// Ids are never given out twice: what is left of a deleted topic must not become another one's.
pub(super) const LAST_DELETED: [u8; 1] = [6];
/// Tells this log from an earlier one in the same directory, whose topics had the same ids.
pub(super) const LOG_ID: [u8; 1] = [7];

/// A partition in keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartitionId {
    pub(super) topic: u32,
    pub(super) partition: u32,
}

impl PartitionId {
    fn bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.topic.to_be_bytes());
        bytes[4..].copy_from_slice(&self.partition.to_be_bytes());
        bytes
    }
}

pub(super) fn topic(name: &str) -> Vec<u8> {
    [&[TOPICS], name.as_bytes()].concat()
}

pub(super) fn partition(id: PartitionId) -> [u8; 9] {
    let mut key = [PARTITIONS; 9];
    key[1..].copy_from_slice(&id.bytes());
    key
}

pub(super) fn group_offset(group: &str, id: PartitionId) -> Vec<u8> {
    let length = u32::try_from(group.len()).unwrap_or(u32::MAX);
    [&[GROUPS][..], &length.to_be_bytes(), group.as_bytes(), &id.bytes()].concat()
}

pub(super) fn chunk(id: PartitionId, base: Offset) -> [u8; 17] {
    let mut key = [CHUNKS; 17];
    key[1..9].copy_from_slice(&id.bytes());
    key[9..].copy_from_slice(&base.to_be_bytes());
    key
}

/// The base offset in a chunk's key, if it is one of this partition.
pub(super) fn chunk_base(key: &[u8], id: PartitionId) -> Option<Offset> {
    let (head, base) = key.split_at_checked(9)?;
    (head[0] == CHUNKS && head[1..] == id.bytes()).then(|| base.try_into().ok().map(Offset::from_be_bytes)).flatten()
}

/// What is kept of a partition beside its chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PartitionEntry {
    /// The first offset; also keeps the end when every record is gone.
    pub(super) start: Offset,
    /// Below this offset no key stands twice.
    pub(super) compacted: Offset,
    /// How many records the last compaction left below it.
    pub(super) live: u64,
    /// Everything below this offset was in the log at `horizon_ms`; 0: no compaction yet.
    pub(super) horizon: Offset,
    /// Milliseconds since the epoch, by the log's clock.
    pub(super) horizon_ms: i64,
}

impl PartitionEntry {
    pub(super) fn encode(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let fields = [self.start, self.compacted, self.live, self.horizon, self.horizon_ms as u64];
        for (to, field) in bytes.chunks_exact_mut(8).zip(fields) {
            to.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 40] = bytes.try_into().ok()?;
        let field = |index: usize| decode_u64(&bytes[index * 8..index * 8 + 8]);
        Some(Self {
            start: field(0)?,
            compacted: field(1)?,
            live: field(2)?,
            horizon: field(3)?,
            horizon_ms: field(4)? as i64,
        })
    }
}

/// What is kept of a topic: id u32, partitions u32, policy u8 (0 delete, 1 compact), retention in ms u64 (all ones:
/// forever).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicEntry {
    pub(super) id: u32,
    pub(super) partitions: u32,
    pub(super) cleanup: CleanupPolicy,
}

impl TopicEntry {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (policy, retention_ms) = match self.cleanup {
            CleanupPolicy::Delete { retention } => {
                (0, retention.map_or(u64::MAX, |keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)))
            }
            CleanupPolicy::Compact => (1, u64::MAX),
        };
        let mut bytes = Vec::with_capacity(17);
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(&self.partitions.to_be_bytes());
        bytes.push(policy);
        bytes.extend_from_slice(&retention_ms.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 17] = bytes.try_into().ok()?;
        let retention_ms = decode_u64(&bytes[9..])?;
        let cleanup = match bytes[8] {
            0 => CleanupPolicy::Delete {
                retention: (retention_ms != u64::MAX).then(|| Duration::from_millis(retention_ms)),
            },
            1 => CleanupPolicy::Compact,
            _ => return None,
        };
        Some(Self {
            id: u32::from_be_bytes(bytes[..4].try_into().ok()?),
            partitions: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            cleanup,
        })
    }
}

/// The id that a deleted topic left behind.
pub(super) fn decode_id(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn decode_u64(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_lie_in_the_order_of_partitions_then_offsets() {
        let id = |topic, partition| PartitionId { topic, partition };
        let keys =
            [chunk(id(1, 0), 0), chunk(id(1, 0), 255), chunk(id(1, 0), 256), chunk(id(1, 1), 0), chunk(id(2, 0), 0)];
        assert!(keys.is_sorted());
        assert_eq!(chunk_base(&keys[2], id(1, 0)), Some(256));
        assert_eq!(chunk_base(&keys[3], id(1, 0)), None);
        assert_eq!(chunk_base(b"\x05", id(1, 0)), None);
    }

    #[test]
    fn groups_whose_names_begin_alike_keep_their_offsets_apart() {
        let id = PartitionId { topic: 1, partition: 1 };
        assert_ne!(group_offset("a", id), group_offset("a\0", id));
    }

    #[test]
    fn partition_entries_come_back() {
        let entry = PartitionEntry { start: 1, compacted: 2, live: 3, horizon: 4, horizon_ms: -5 };
        assert_eq!(PartitionEntry::decode(&entry.encode()), Some(entry));
        assert_eq!(PartitionEntry::decode(&[0; 39]), None);
    }

    #[test]
    fn topic_entries_come_back() {
        for cleanup in [
            CleanupPolicy::Compact,
            CleanupPolicy::Delete { retention: None },
            CleanupPolicy::Delete { retention: Some(Duration::from_millis(7)) },
        ] {
            let entry = TopicEntry { id: 3, partitions: 16, cleanup };
            assert_eq!(TopicEntry::decode(&entry.encode()), Some(entry));
        }
        assert_eq!(TopicEntry::decode(&[0; 16]), None);
    }
}
