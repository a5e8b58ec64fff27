//! Where things stand in a task's store.
//!
//! Every key begins with a space byte. Keyed spaces go on with the bit-reversed key group, so that a partition's
//! groups are one contiguous range and doubling the partition count halves it: partition = hash mod P takes the low
//! bits of the hash, which reversed are the high bits of the group.

use smallvec::SmallVec;

use crate::codec::key_hash;

/// State of operators, by key.
pub const KEYED: u8 = 0x10;
/// State of operators whose entries have a lifetime, by key; values begin with a stamp.
pub const EXPIRING: u8 = 0x11;
/// Deadline of each timer, by key.
pub const TIMERS: u8 = 0x20;
/// Requests of asynchronous calls without an answer yet, by key.
pub const CALLS: u8 = 0x30;
/// State of operators that belongs to the whole task: copied, not divided, when a partition is split.
pub const SHARED: u8 = 0x80;
/// Watermarks of inputs.
pub const WATERMARKS: u8 = 0x90;
/// From here on nothing is in the changelog: it is derived, or only true of this disk.
pub const LOCAL: u8 = 0xF0;
/// Timers in the order of their deadlines, derived from [`TIMERS`].
pub const TIMER_INDEX: u8 = 0xF1;
/// Entries of [`EXPIRING`] in the order they expire, derived from it.
pub const EXPIRY_INDEX: u8 = 0xF3;
/// What this disk reflects: changelog and source offsets.
pub const META: u8 = 0xF2;

/// Whether a key belongs into the changelog.
pub fn is_logged(key: &[u8]) -> bool {
    key.first().is_some_and(|space| *space < LOCAL)
}

/// Identity of an operator or a state: a hash of its name, stable across versions of the program. Builders refuse two
/// names with one hash.
pub fn name_id(name: &str) -> u32 {
    // FNV-1a, 32 bits: short, stable, and good enough for the few dozen names of a job.
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The key group of a key, bit-reversed.
pub fn key_group(key: &[u8]) -> u16 {
    group_of_hash(key_hash(key))
}

/// The key group of a key with this hash.
pub fn group_of_hash(hash: u32) -> u16 {
    ((hash & 0xffff) as u16).reverse_bits()
}

/// Appends `space, group, id, key length, key`: the prefix of everything of that key there.
pub fn keyed_prefix(out: &mut Vec<u8>, space: u8, id: u32, group: u16, key: &[u8]) {
    out.extend_from_slice(&keyed_head(space, id, group, key));
    out.extend_from_slice(key);
}

/// What [`keyed_prefix`] appends, as the key of an entry of its own.
pub fn keyed_entry(space: u8, id: u32, group: u16, key: &[u8]) -> EntryKey {
    let mut entry = EntryKey::from_slice(&keyed_head(space, id, group, key));
    entry.extend_from_slice(key);
    entry
}

/// The key of an entry while it is looked up; those of most jobs need no allocation.
pub type EntryKey = SmallVec<[u8; 64]>;

fn keyed_head(space: u8, id: u32, group: u16, key: &[u8]) -> [u8; 11] {
    let mut head = [0; 11];
    head[0] = space;
    head[1..3].copy_from_slice(&group.to_be_bytes());
    head[3..7].copy_from_slice(&id.to_be_bytes());
    head[7..].copy_from_slice(&(key.len() as u32).to_be_bytes());
    head
}

/// Appends `space, id`: the prefix of a task-wide state.
pub fn shared_prefix(out: &mut Vec<u8>, id: u32) {
    out.push(SHARED);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Splits what [`keyed_prefix`] put together: id, key, and what follows it.
pub fn split_keyed(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let id = u32::from_be_bytes(bytes.get(3..7)?.try_into().ok()?);
    let length = u32::from_be_bytes(bytes.get(7..11)?.try_into().ok()?) as usize;
    let rest = bytes.get(11..)?;
    (rest.len() >= length).then(|| (id, &rest[..length], &rest[length..]))
}

/// The first key after all keys that begin with `prefix`; `None` when there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_partition_is_one_range_of_groups(key: Vec<u8>, bits in 0u32..8) {
            let partition = key_hash(&key) % (1 << bits);
            let width = 1u32 << (16 - bits);
            let range = (partition.reverse_bits() >> (32 - bits).min(31)) >> u32::from(bits == 0);
            let first = range * width;
            prop_assert!((first..first + width).contains(&u32::from(key_group(&key))));
        }

        #[test]
        fn keyed_prefixes_split_again(key: Vec<u8>, id: u32, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            keyed_prefix(&mut bytes, KEYED, id, key_group(&key), &key);
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(split_keyed(&bytes), Some((id, &key[..], &rest[..])));
            prop_assert!(bytes.starts_with(&keyed_entry(KEYED, id, key_group(&key), &key)));
        }
    }

    /// All state is found by these: with others each deployed job finds its own empty, and says nothing.
    #[test]
    fn identities_of_names_stay_what_they_are() {
        // The first three are vectors of FNV-1a's authors.
        for (name, id) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968), ("desk/spent", 0x5a31_f093)]
        {
            assert_eq!(name_id(name), id, "{name}");
        }
    }

    #[test]
    fn spaces_stay_where_they_are() {
        let logged = [KEYED, EXPIRING, TIMERS, CALLS, SHARED, WATERMARKS];
        assert_eq!(logged, [0x10, 0x11, 0x20, 0x30, 0x80, 0x90]);
        assert_eq!([LOCAL, TIMER_INDEX, META, EXPIRY_INDEX], [0xf0, 0xf1, 0xf2, 0xf3]);
    }

    #[test]
    fn keyed_entries_stay_where_they_are() {
        // The hash is 0x50e47bbe: its low 16 bits, in reverse, are the group.
        assert_eq!(key_group(b"foobar"), 0x7dde);
        let stored = b"\x10\x7d\xde\x5a\x31\xf0\x93\x00\x00\x00\x06foobar";
        assert_eq!(keyed_entry(KEYED, 0x5a31_f093, 0x7dde, b"foobar").as_slice(), stored);
        assert_eq!(split_keyed(stored), Some((0x5a31_f093, &b"foobar"[..], &b""[..])));
        let mut prefix = Vec::new();
        keyed_prefix(&mut prefix, KEYED, 0x5a31_f093, 0x7dde, b"foobar");
        assert_eq!(prefix, stored);
    }

    #[test]
    fn shared_entries_stay_where_they_are() {
        let mut prefix = Vec::new();
        shared_prefix(&mut prefix, 0x5a31_f093);
        assert_eq!(prefix, b"\x80\x5a\x31\xf0\x93");
    }

    #[test]
    fn the_end_of_a_prefix_carries_over() {
        assert_eq!(prefix_end(&[1, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
    }
}
