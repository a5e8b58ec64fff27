//! The first records of a transaction, held back until they are worth a request, or until the commit.
//!
//! A send right after a commit finds the coordinator still writing the last transaction's markers; it answers "try
//! again", and librdkafka does so 20 ms later (`CONCURRENT_TRANSACTIONS`, hard-wired in 2.12): longer than a whole commit.
//! And records sent one by one as they come become a request each, which the broker answers one after the other. A small
//! commit therefore sends all it has at its end, in one request a partition; a large one holds back its beginning only,
//! and the rest goes out while it is made. One that has time for it sends ahead what it has half-way: the partitions join the
//! transaction then, which the commit need not wait for.
//!
//! Pure: it decides nothing about errors and sends nothing itself.

use std::ops::Range;

use crate::log::Header;

use super::raw::Outgoing;

/// Bytes that are held back, what each record costs besides included. More: fewer requests at short commit intervals;
/// less: large commits begin to send earlier.
const LIMIT: usize = 64 << 10;
/// What a record is counted for beside its key and value.
const RECORD: usize = 48;

/// One record: where, and where its bytes are.
struct Held {
    topic: usize,
    partition: i32,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<Header>,
    timestamp_ms: Option<i64>,
}

/// Records in the order they were sent.
#[derive(Default)]
pub(super) struct HeldBack {
    bytes: Vec<u8>,
    records: Vec<Held>,
    /// Nothing is held back any more, until the next transaction.
    open: bool,
}

impl HeldBack {
    /// A transaction begins: what it sends is held back, and what an earlier one left is forgotten.
    pub fn begin(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.open = false;
    }

    /// Holds a record back, its bytes copied. `false`: it has to be sent now, after those that were held back.
    pub fn take(&mut self, topic: usize, message: &Outgoing<'_>) -> bool {
        let own = message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len);
        let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let held = self.bytes.len() + RECORD * self.records.len();
        if self.open || held + own + headers + RECORD > LIMIT {
            return false;
        }
        let mut keep = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let (key, value) = (message.key.map(&mut keep), message.value.map(&mut keep));
        let (partition, timestamp_ms, headers) = (message.partition, message.timestamp_ms, message.headers.to_vec());
        self.records.push(Held { topic, partition, key, value, headers, timestamp_ms });
        true
    }

    /// Whether the next record may be held back.
    pub fn holds(&self) -> bool {
        !self.open
    }

    /// Holds back again, after a release that was ahead of its time.
    pub fn hold_again(&mut self) {
        self.open = false;
    }

    /// Hands out what was held back, in order, each with its topic; the rest of the transaction is not.
    ///
    /// # Errors
    /// The first that `send` says; what was not handed out by then is forgotten.
    pub fn release<E>(&mut self, mut send: impl FnMut(usize, &Outgoing<'_>) -> Result<(), E>) -> Result<(), E> {
        self.open = true;
        let bytes = &self.bytes;
        let result = self.records.drain(..).try_for_each(|held| {
            let message = Outgoing {
                partition: held.partition,
                key: held.key.map(|range| &bytes[range]),
                value: held.value.map(|range| &bytes[range]),
                headers: &held.headers,
                timestamp_ms: held.timestamp_ms,
                token: 0,
            };
            send(held.topic, &message)
        });
        self.bytes.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(key: &'a [u8], value: Option<&'a [u8]>, headers: &'a [Header]) -> Outgoing<'a> {
        Outgoing { partition: 3, key: Some(key), value, headers, timestamp_ms: Some(7), token: 0 }
    }

    /// Topic, key, value, and how many headers.
    type Released = (usize, Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn release(held: &mut HeldBack) -> Vec<Released> {
        let mut seen = Vec::new();
        let sent: Result<(), ()> = held.release(|topic, message| {
            assert_eq!((message.partition, message.timestamp_ms), (3, Some(7)));
            let copied = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            seen.push((topic, copied(message.key), copied(message.value), message.headers.len()));
            Ok(())
        });
        sent.expect("nothing refused");
        seen
    }

    #[test]
    fn what_was_held_back_comes_out_as_it_went_in() {
        let mut held = HeldBack::default();
        held.begin();
        let headers = [("name".to_owned(), vec![1])];
        assert!(held.take(0, &message(b"a", Some(b"one"), &headers)));
        assert!(held.take(1, &message(b"", None, &[])));
        let expected = [(0, Some(b"a".to_vec()), Some(b"one".to_vec()), 1), (1, Some(Vec::new()), None, 0)];
        assert_eq!(release(&mut held), expected);
        assert!(!held.take(0, &message(b"b", None, &[])), "the rest goes out at once");
        assert_eq!(release(&mut held), []);
        held.begin();
        assert!(held.take(0, &message(b"b", None, &[])));
    }

    #[test]
    fn no_more_is_held_back_than_is_said_and_nothing_of_an_aborted_transaction() {
        let mut held = HeldBack::default();
        held.begin();
        let value = [0; 1000];
        let taken = (0..1000).take_while(|_| held.take(0, &message(b"key", Some(&value), &[]))).count();
        assert_eq!(taken, LIMIT / (1003 + RECORD));
        held.begin();
        assert_eq!(release(&mut held), []);
        held.begin();
        assert!(!held.take(0, &message(b"key", Some(&[0; LIMIT]), &[])), "a large record is not held back");
    }
}
