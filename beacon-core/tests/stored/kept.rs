//! What a job stored, as a text: its topics, how far they were read, and its disks.
//!
//! ```text
//! # A remark.
//! partitions 2
//! now 1767225615000
//! committed orders/0 3                            offset of the next record to read
//! record orders/0@0 at 1767225600000
//!   key   6f2d31                           | o-1
//!   value 6f2d3120616e6e207465612032       | o-1 ann tea 2
//! disk 0 reflects 4                               next offset of the changelog
//! entry 0 of disk 0
//!   key   f2                               | .
//!   value 0000000000000004                 | ........
//! ```
//!
//! Bytes are hexadecimal, with what is text of them behind a bar, and go on in the next line of the same word: each change
//! in a record of a changelog begins a line. A record without `key` lines has no key; headers there are none.

use std::collections::BTreeMap;
use std::fmt::Write;

use beacon_core::log::{Offset, Record, TopicPartition};
use beacon_core::state::{Change, Entries};
use beacon_core::task::decode_chunk;

#[derive(Debug, Default, PartialEq)]
pub struct Kept {
    pub partitions: u32,
    pub now_ms: i64,
    pub log: BTreeMap<TopicPartition, Vec<Record>>,
    pub committed: BTreeMap<TopicPartition, Offset>,
    /// Of each task.
    pub disks: Vec<Disk>,
}

/// A copy of a task's store, which may be behind the changelog.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    pub reflects: Offset,
    pub entries: Entries,
}

const BYTES_A_LINE: usize = 40;

impl Kept {
    pub fn to_text(&self) -> String {
        let mut text = format!("partitions {}\nnow {}\n", self.partitions, self.now_ms);
        for (partition, next) in &self.committed {
            _ = writeln!(text, "committed {partition} {next}");
        }
        for (partition, records) in &self.log {
            for (offset, record) in records.iter().enumerate() {
                assert!(record.headers.is_empty(), "the text has no place for headers");
                let at = record.timestamp_ms.expect("records in a log have a time");
                _ = writeln!(text, "record {partition}@{offset} at {at}");
                write_bytes(&mut text, "key", record.key.as_deref());
                match record.value.as_deref() {
                    Some(chunk) if partition.topic.ends_with("-changelog") => write_chunk(&mut text, chunk),
                    value => write_bytes(&mut text, "value", value),
                }
            }
        }
        for (number, disk) in self.disks.iter().enumerate() {
            _ = writeln!(text, "disk {number} reflects {}", disk.reflects);
            for (entry, (key, value)) in disk.entries.iter().enumerate() {
                _ = writeln!(text, "entry {entry} of disk {number}");
                write_bytes(&mut text, "key", Some(key));
                write_bytes(&mut text, "value", Some(value));
            }
        }
        text
    }

    /// Reads what [`Kept::to_text`] wrote; remarks may stand between.
    pub fn from_text(text: &str) -> Self {
        let mut kept = Self::default();
        // Where `key` and `value` lines belong.
        let mut last: Option<Place> = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<_> = line.split('|').next().unwrap_or_default().split_whitespace().collect();
            match words[..] {
                ["partitions", count] => kept.partitions = number(count),
                ["now", at] => kept.now_ms = number(at),
                ["committed", partition, next] => drop(kept.committed.insert(place(partition), number(next))),
                ["record", position, "at", at] => {
                    let (partition, offset) = position.rsplit_once('@').expect("topic/partition@offset");
                    let partition = place(partition);
                    let record = Record {
                        topic: partition.topic.clone(),
                        partition: Some(partition.partition),
                        key: None,
                        value: None,
                        headers: Vec::new(),
                        timestamp_ms: Some(number(at)),
                    };
                    let records = kept.log.entry(partition.clone()).or_default();
                    assert_eq!(records.len(), number::<usize>(offset), "records stand in their order: {line}");
                    records.push(record);
                    last = Some(Place::Record(partition));
                }
                ["disk", _, "reflects", end] => {
                    kept.disks.push(Disk { reflects: number(end), entries: Entries::new() });
                }
                ["entry", _, "of", "disk", _] => {
                    kept.disks.last_mut().expect("of a disk").entries.push((Vec::new(), Vec::new()));
                    last = Some(Place::Entry);
                }
                ["key" | "value"] => kept.bytes(last.as_ref(), words[0]).extend([0u8; 0]),
                ["key" | "value", bytes] => kept.bytes(last.as_ref(), words[0]).extend(unhex(bytes)),
                _ => panic!("not a line of what is kept: {line}"),
            }
        }
        kept
    }

    fn bytes(&mut self, place: Option<&Place>, word: &str) -> &mut Vec<u8> {
        let found = match place {
            Some(Place::Record(partition)) => {
                let record = self.log.get_mut(partition).and_then(|records| records.last_mut());
                record.map(|record| if word == "key" { &mut record.key } else { &mut record.value })
            }
            _ => None,
        };
        if let Some(bytes) = found {
            return bytes.get_or_insert_default();
        }
        let entry = self.disks.last_mut().and_then(|disk| disk.entries.last_mut());
        let (key, value) = entry.expect("bytes of a record or an entry");
        if word == "key" { key } else { value }
    }
}

enum Place {
    Record(TopicPartition),
    /// Of the last disk.
    Entry,
}

fn number<N: std::str::FromStr>(word: &str) -> N {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn place(word: &str) -> TopicPartition {
    let (topic, partition) = word.rsplit_once('/').expect("topic/partition");
    TopicPartition::new(topic, number(partition))
}

fn write_bytes(text: &mut String, word: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return };
    if bytes.is_empty() {
        _ = writeln!(text, "  {word}");
    }
    for line in bytes.chunks(BYTES_A_LINE) {
        let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let shown: String = line.iter().map(shown).collect();
        _ = writeln!(text, "  {word:<5} {hex:<80} | {}", shown.trim_end());
    }
}

/// A record of a changelog, cut before each change.
fn write_chunk(text: &mut String, chunk: &[u8]) {
    let length = |change: &Change| match change {
        Change::Put(key, value) => 1 + 4 + key.len() + 4 + value.len(),
        Change::Delete(key) => 1 + 4 + key.len(),
    };
    let changes: Vec<_> = decode_chunk(chunk).unwrap_or_default().iter().map(length).collect();
    let (mut line, mut rest) = chunk.split_at(chunk.len().saturating_sub(changes.iter().sum()));
    for length in changes {
        write_bytes(text, "value", Some(line));
        (line, rest) = rest.split_at(length.min(rest.len()));
    }
    write_bytes(text, "value", Some(line));
    assert!(rest.is_empty(), "changes are as long as they are written");
}

fn unhex(hex: &str) -> impl Iterator<Item = u8> {
    let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16).expect("hexadecimal") as u8).collect();
    assert!(digits.len() % 2 == 0, "half a byte: {hex}");
    (0..digits.len()).step_by(2).map(move |at| digits[at] << 4 | digits[at + 1])
}

#[test]
fn a_text_reads_back() {
    let topic = || TopicPartition::new("a/b", 1);
    let record = |key: Option<&[u8]>, value: Option<&[u8]>| Record {
        topic: topic().topic,
        partition: Some(1),
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers: Vec::new(),
        timestamp_ms: Some(-5),
    };
    let kept = Kept {
        partitions: 2,
        now_ms: 7,
        log: [(topic(), vec![record(None, None), record(Some(b""), Some(&[b'|'; 70]))])].into(),
        committed: [(topic(), 3)].into(),
        disks: vec![
            Disk { reflects: 0, entries: Entries::new() },
            Disk { reflects: 9, entries: vec![(b"\xf2 | x".to_vec(), Vec::new()), (b"y".to_vec(), vec![0; 40])] },
        ],
    };
    assert_eq!(Kept::from_text(&format!("# A remark.\n{}", kept.to_text())), kept);
}
