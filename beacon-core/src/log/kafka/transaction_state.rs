//! The records of `__transaction_state`: what Kafka's transaction coordinators write down. Pure.
//!
//! Source: `TransactionLogKey.json` and `TransactionLogValue.json` of Apache Kafka 4.1. A key is of version 0; a value of
//! version 0, or of version 1, which is flexible (KIP-482) and written once the cluster's `transaction.version` is 1 or more.
//! Tagged fields are not looked at.

use std::sync::Arc;

use crate::log::TopicPartition;

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Records are being added.
    Ongoing,
    /// Committed or aborted, with markers on their way.
    Decided,
    /// There is none.
    Over,
}

/// What a coordinator knows of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub standing: Standing,
    /// When the transaction began, milliseconds since the epoch.
    pub since_ms: i64,
    pub partitions: Vec<TopicPartition>,
}

/// The transactional id that a record is about; `None`: a form that is not known.
pub(super) fn decode_key(bytes: &[u8]) -> Option<String> {
    let mut bytes = Bytes(bytes);
    if bytes.int16()? != 0 {
        return None;
    }
    bytes.string(false)
}

/// What the record says; `None`: a form that is not known.
pub(super) fn decode_value(bytes: &[u8]) -> Option<Value> {
    let mut bytes = Bytes(bytes);
    let flexible = match bytes.int16()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let (_producer_id, _epoch, _timeout_ms) = (bytes.int64()?, bytes.int16()?, bytes.int32()?);
    let standing = match bytes.int8()? {
        1 => Standing::Ongoing,
        // PrepareCommit and PrepareAbort; PrepareEpochFence goes over into an abort.
        2 | 3 | 7 => Standing::Decided,
        // Empty, CompleteCommit, CompleteAbort, Dead.
        0 | 4 | 5 | 6 => Standing::Over,
        _ => return None,
    };
    let mut partitions = Vec::new();
    for _ in 0..bytes.count(flexible)? {
        let topic: Arc<str> = bytes.string(flexible)?.into();
        for _ in 0..bytes.count(flexible)? {
            partitions.push(TopicPartition::new(Arc::clone(&topic), u32::try_from(bytes.int32()?).ok()?));
        }
        if flexible {
            bytes.tagged()?;
        }
    }
    let (_updated_ms, since_ms) = (bytes.int64()?, bytes.int64()?);
    Some(Value { standing, since_ms, partitions })
}

/// What is left to decode.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn int8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    fn int16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn int64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// How many elements follow; a list that is null has none.
    fn count(&mut self, flexible: bool) -> Option<usize> {
        let count = if flexible { i64::from(self.varint()?) - 1 } else { i64::from(self.int32()?) };
        usize::try_from(count.max(0)).ok()
    }

    fn string(&mut self, flexible: bool) -> Option<String> {
        let length = if flexible { i64::from(self.varint()?) - 1 } else { i64::from(self.int16()?) };
        let bytes = self.take(usize::try_from(length).ok()?)?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    /// Passes over fields of a later version.
    fn tagged(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let size = self.varint()?;
            self.take(usize::try_from(size).ok()?)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(status: u8) -> Vec<u8> {
        // Producer id, epoch, time-out, status.
        [&7_i64.to_be_bytes()[..], &3_i16.to_be_bytes(), &10_000_i32.to_be_bytes(), &[status]].concat()
    }

    fn times() -> Vec<u8> {
        [1_700_000_000_500_i64.to_be_bytes(), 1_700_000_000_000_i64.to_be_bytes()].concat()
    }

    fn ongoing() -> Value {
        let at = |topic: &str, partition| TopicPartition::new(topic, partition);
        let partitions = vec![at("out", 0), at("out", 300), at("__consumer_offsets", 7)];
        Value { standing: Standing::Ongoing, since_ms: 1_700_000_000_000, partitions }
    }

    fn version_0(status: u8) -> Vec<u8> {
        let mut bytes = [&0_i16.to_be_bytes()[..], &fixed(status), &2_i32.to_be_bytes()].concat();
        for (topic, numbers) in [("out", vec![0_i32, 300]), ("__consumer_offsets", vec![7])] {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend((numbers.len() as i32).to_be_bytes());
            numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        }
        bytes.extend(times());
        bytes
    }

    fn version_1(status: u8) -> Vec<u8> {
        let mut bytes = [&1_i16.to_be_bytes()[..], &fixed(status), &[3]].concat();
        for (topic, numbers) in [("out", vec![0_i32, 300]), ("__consumer_offsets", vec![7])] {
            bytes.push(topic.len() as u8 + 1);
            bytes.extend(topic.as_bytes());
            bytes.push(numbers.len() as u8 + 1);
            numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
            // One field of a later version, of two bytes.
            bytes.extend([1, 9, 2, 0xaa, 0xbb]);
        }
        bytes.extend(times());
        // The previous producer id, as a tagged field.
        bytes.extend([1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 6]);
        bytes
    }

    #[test]
    fn both_versions_say_where_a_transaction_has_written_and_since_when() {
        assert_eq!(decode_value(&version_0(1)), Some(ongoing()));
        assert_eq!(decode_value(&version_1(1)), Some(ongoing()));
        assert_eq!(decode_key(b"\0\0\0\x05job-0"), Some("job-0".to_owned()));
    }

    #[test]
    fn standings_are_told_apart() {
        let standing = |status| decode_value(&version_1(status)).map(|value| value.standing);
        for status in [0, 4, 5, 6] {
            assert_eq!(standing(status), Some(Standing::Over), "{status}");
        }
        assert_eq!([2, 3, 7].map(standing), [Some(Standing::Decided); 3]);
        assert_eq!(standing(8), None, "of a later Kafka");
    }

    #[test]
    fn a_transaction_that_has_written_nothing_has_no_partitions() {
        let none = [&0_i16.to_be_bytes()[..], &fixed(0), &(-1_i32).to_be_bytes(), &times()].concat();
        assert_eq!(decode_value(&none).map(|value| value.partitions), Some(Vec::new()));
        let none = [&1_i16.to_be_bytes()[..], &fixed(0), &[0], &times(), &[0]].concat();
        assert_eq!(decode_value(&none).map(|value| value.partitions), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_off_or_of_another_version_is_not_understood() {
        for whole in [version_0(1), version_1(1)] {
            // The times are the last that is looked at.
            let needed = if whole[1] == 0 { whole.len() } else { whole.len() - 11 };
            for length in 0..needed {
                assert_eq!(decode_value(&whole[..length]), None, "{length} of {needed}");
            }
        }
        assert_eq!(decode_value(&[0, 2]), None);
        assert_eq!(decode_key(b"\0\x01\0\x01x"), None);
        assert_eq!(decode_key(b"\0\0\0\x05job"), None);
        assert_eq!(decode_key(b""), None);
        let endless = [&1_i16.to_be_bytes()[..], &fixed(1), &[0xff; 6]].concat();
        assert_eq!(decode_value(&endless), None);
    }
}
