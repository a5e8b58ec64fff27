//! Chunks: the unit that is written, cached and read, a run of records of one partition.
//!
//! A record of its own key and value in RocksDB costs a microsecond and two allocations on either side; a chunk of a
//! thousand costs the same once, and its bytes are the arena that readers borrow from. A chunk's bytes do not name its
//! base offset (its key does), so that a writer encodes while it sends and the committer only places it.
//!
//! Format 1: `count` u32, `next` u32 (last offset + 1 - base), `newest` i64 (greatest timestamp), all little-endian;
//! then for each record, as varints: offset - base, timestamp - the one before (signed, from 0), key length + 1 (0: no
//! key), value length + 1 (0: tombstone), number of headers; then the key, the value, and for each header the length of
//! its name, the name, the length of its value, the value.

use super::varint;
use crate::log::{Header, Offset, SendRecord};

const PROLOGUE: usize = 16;
/// A chunk is closed when it has grown past this many bytes.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// A chunk is closed when it has this many records.
pub(super) const CHUNK_RECORDS: u32 = 4096;

/// What has to be known of a record to encode it.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [Header],
    pub(super) timestamp_ms: i64,
}

impl<'a> Entry<'a> {
    pub(super) fn of(record: &SendRecord<'a>, now_ms: i64) -> Self {
        Self {
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms.unwrap_or(now_ms),
        }
    }

    /// Bytes of key, value and headers: what the limit on a record counts.
    pub(super) fn payload_len(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

/// Encodes records one after the other.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    bytes: Vec<u8>,
    count: u32,
    next: u32,
    newest: i64,
    last_timestamp: i64,
}

impl ChunkWriter {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; PROLOGUE], count: 0, next: 0, newest: i64::MIN, last_timestamp: 0 }
    }

    /// Adds a record at the offset after the last one.
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        self.push_at(self.next, entry);
    }

    /// Adds a record at `delta` past the base, which must not be below the offset after the last one.
    pub(super) fn push_at(&mut self, delta: u32, entry: Entry<'_>) {
        debug_assert!(delta >= self.next, "offsets grow");
        let out = &mut self.bytes;
        varint::put(out, u64::from(delta));
        varint::put_signed(out, entry.timestamp_ms.wrapping_sub(self.last_timestamp));
        varint::put(out, entry.key.map_or(0, |key| key.len() as u64 + 1));
        varint::put(out, entry.value.map_or(0, |value| value.len() as u64 + 1));
        varint::put(out, entry.headers.len() as u64);
        out.extend_from_slice(entry.key.unwrap_or_default());
        out.extend_from_slice(entry.value.unwrap_or_default());
        for (name, value) in entry.headers {
            varint::put(out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            varint::put(out, value.len() as u64);
            out.extend_from_slice(value);
        }
        self.count += 1;
        self.next = delta + 1;
        self.newest = self.newest.max(entry.timestamp_ms);
        self.last_timestamp = entry.timestamp_ms;
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES || self.count >= CHUNK_RECORDS
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes[0..4].copy_from_slice(&self.count.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&self.next.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&self.newest.to_le_bytes());
        self.bytes
    }
}

/// A chunk at its place.
#[derive(Debug)]
pub(super) struct Chunk {
    base: Offset,
    bytes: Vec<u8>,
}

impl Chunk {
    /// Takes encoded bytes; `None` when they are too short to be a chunk.
    pub(super) fn new(base: Offset, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= PROLOGUE).then_some(Self { base, bytes })
    }

    pub(super) fn base(&self) -> Offset {
        self.base
    }

    pub(super) fn count(&self) -> u32 {
        u32::from_le_bytes(self.prologue(0))
    }

    /// The offset after its last record.
    pub(super) fn end(&self) -> Offset {
        self.base + Offset::from(u32::from_le_bytes(self.prologue(4)))
    }

    /// The greatest timestamp of its records, in milliseconds since the epoch.
    pub(super) fn newest_ms(&self) -> i64 {
        i64::from_le_bytes(self.prologue(8))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it takes in memory, about.
    pub(super) fn footprint(&self) -> usize {
        self.bytes.capacity() + 96
    }

    /// Its records, in the order of their offsets; the first damaged one ends it with an error.
    pub(super) fn slots(&self) -> Slots<'_> {
        Slots { chunk: self, at: PROLOGUE, timestamp: 0, left: self.count() }
    }

    /// The headers of a record.
    pub(super) fn headers(&self, slot: &Slot) -> Vec<Header> {
        let mut at = slot.headers as usize;
        let mut headers = Vec::new();
        // The iterator that made the slot has walked over the headers, so none of these is `None`.
        while headers.len() < slot.header_count as usize {
            let (Some(name), Some(value)) = (take_bytes(&self.bytes, &mut at), take_bytes(&self.bytes, &mut at)) else {
                break;
            };
            headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        headers
    }

    fn prologue<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[at..at + N]);
        field
    }
}

/// Where in the chunk's bytes a record is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) offset: Offset,
    pub(super) timestamp_ms: i64,
    /// Length + 1, 0 for none.
    key_len: u32,
    value_len: u32,
    payload: u32,
    headers: u32,
    header_count: u32,
}

impl Slot {
    pub(super) fn key<'a>(&self, chunk: &'a Chunk) -> Option<&'a [u8]> {
        let start = self.payload as usize;
        (self.key_len > 0).then(|| &chunk.bytes[start..start + self.key_len as usize - 1])
    }

    pub(super) fn value<'a>(&self, chunk: &'a Chunk) -> Option<&'a [u8]> {
        let start = (self.payload + self.key_len.saturating_sub(1)) as usize;
        (self.value_len > 0).then(|| &chunk.bytes[start..start + self.value_len as usize - 1])
    }
}

/// The bytes are not a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadChunk;

/// Walks over the records of a chunk.
pub(super) struct Slots<'a> {
    chunk: &'a Chunk,
    at: usize,
    timestamp: i64,
    left: u32,
}

impl Iterator for Slots<'_> {
    type Item = Result<Slot, BadChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let slot = self.read();
        if slot.is_none() {
            self.left = 0;
        }
        Some(slot.ok_or(BadChunk))
    }
}

impl Slots<'_> {
    fn read(&mut self) -> Option<Slot> {
        let bytes = &self.chunk.bytes;
        let mut at = self.at;
        let delta = varint::take(bytes, &mut at)?;
        self.timestamp = self.timestamp.wrapping_add(varint::take_signed(bytes, &mut at)?);
        let key_len = u32::try_from(varint::take(bytes, &mut at)?).ok()?;
        let value_len = u32::try_from(varint::take(bytes, &mut at)?).ok()?;
        let header_count = u32::try_from(varint::take(bytes, &mut at)?).ok()?;
        let payload = at;
        at = at.checked_add(key_len.saturating_sub(1) as usize)?.checked_add(value_len.saturating_sub(1) as usize)?;
        let headers = at;
        if at > bytes.len() {
            return None;
        }
        for _ in 0..header_count {
            std::str::from_utf8(take_bytes(bytes, &mut at)?).ok()?;
            take_bytes(bytes, &mut at)?;
        }
        self.at = at;
        Some(Slot {
            offset: self.chunk.base.checked_add(delta)?,
            timestamp_ms: self.timestamp,
            key_len,
            value_len,
            payload: payload as u32,
            headers: headers as u32,
            header_count,
        })
    }
}

fn take_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let len = usize::try_from(varint::take(bytes, at)?).ok()?;
    let end = at.checked_add(len)?;
    let taken = bytes.get(*at..end)?;
    *at = end;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Written = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<Header>, i64);

    fn chunk_of(records: &[Written]) -> Chunk {
        let mut writer = ChunkWriter::new();
        for (key, value, headers, timestamp_ms) in records {
            writer.push(Entry { key: key.as_deref(), value: value.as_deref(), headers, timestamp_ms: *timestamp_ms });
        }
        Chunk::new(100, writer.finish()).expect("a writer makes whole chunks")
    }

    proptest! {
        #[test]
        fn records_come_back_with_keys_values_headers_and_times(records in proptest::collection::vec((
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
            proptest::collection::vec((".{0,5}", proptest::collection::vec(any::<u8>(), 0..5)), 0..3),
            any::<i64>(),
        ), 1..50)) {
            let chunk = chunk_of(&records);
            prop_assert_eq!(chunk.count() as usize, records.len());
            prop_assert_eq!(chunk.end(), 100 + records.len() as u64);
            prop_assert_eq!(chunk.newest_ms(), records.iter().map(|r| r.3).max().expect("not empty"));
            for (index, slot) in chunk.slots().enumerate() {
                let slot = slot.expect("a writer makes whole chunks");
                let (key, value, headers, timestamp) = &records[index];
                prop_assert_eq!(slot.offset, 100 + index as u64);
                prop_assert_eq!(slot.key(&chunk), key.as_deref());
                prop_assert_eq!(slot.value(&chunk), value.as_deref());
                prop_assert_eq!(&chunk.headers(&slot), headers);
                prop_assert_eq!(slot.timestamp_ms, *timestamp);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(chunk) = Chunk::new(0, bytes) {
                for slot in chunk.slots().take(1000).map_while(Result::ok) {
                    slot.key(&chunk);
                    slot.value(&chunk);
                    chunk.headers(&slot);
                }
            }
        }
    }

    #[test]
    fn chunks_written_in_format_1_can_be_read() {
        let bytes = [
            2, 0, 0, 0, 2, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0, // two records, next 2, newest 1000
            0, 0xd0, 0x0f, 2, 3, 1, b'k', b'v', b'1', 1, b'h', 1, b'x', // k=v1 with a header, at 1000
            1, 1, 2, 0, 0, b'k', // tombstone of k at 999
        ];
        let records = [
            (Some(b"k".to_vec()), Some(b"v1".to_vec()), vec![("h".to_owned(), b"x".to_vec())], 1000),
            (Some(b"k".to_vec()), None, vec![], 999),
        ];
        assert_eq!(chunk_of(&records).bytes(), bytes, "the writer must not change without a new format number");
    }
}
