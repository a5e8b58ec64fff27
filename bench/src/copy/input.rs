//! The records to copy: the same in every run, each known by its number.

use beacon_core::log::partition;

/// Partitions of input and output.
pub const PARTITIONS: u32 = 8;
const KEYS: u64 = 100_000;
const VALUE: usize = 100;
const TEXT: &[u8] = b"alertname=ServerUnreachable,severity=critical,datacenter=gra,rack=";

/// The finaliser of splitmix64: a bijection, so that distinct numbers give distinct keys.
fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The key of a record: 8 bytes, one of 100,000, uniformly.
pub fn key(number: u64) -> [u8; 8] {
    mix(mix(number ^ 0x77) % KEYS).to_be_bytes()
}

/// The value of a record: 100 bytes, its number, then half text and half hexadecimal noise, so that it compresses about
/// as alerts do.
pub fn value(number: u64) -> [u8; VALUE] {
    let mut value = [0; VALUE];
    let (head, filler) = value.split_at_mut(8);
    head.copy_from_slice(&number.to_be_bytes());
    let (text, noise) = filler.split_at_mut(46);
    text.copy_from_slice(&TEXT[..46]);
    for (index, chunk) in noise.chunks_mut(16).enumerate() {
        let bits = mix(number.wrapping_mul(8).wrapping_add(index as u64));
        for (digit, byte) in chunk.iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(bits >> (4 * digit)) as usize & 15];
        }
    }
    value
}

/// The partition of a record, as Kafka's producers choose it.
pub fn partition(number: u64) -> u32 {
    partition::for_key(&key(number), PARTITIONS)
}

/// For each partition, the numbers of its records in order.
pub fn by_partition(records: u64) -> Vec<Vec<u64>> {
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    (0..records).for_each(|number| partitions[partition(number) as usize].push(number));
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_gets_its_share() {
        let sizes: Vec<usize> = by_partition(80_000).iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 80_000);
        assert!(sizes.iter().all(|size| (9_000..11_000).contains(size)), "{sizes:?}");
    }

    #[test]
    fn values_carry_their_number_and_differ() {
        assert_eq!(value(258)[..8], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_ne!(value(1)[54..], value(2)[54..]);
    }
}
