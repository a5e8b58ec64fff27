//! Retention and compaction, as readers see them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beacon_core::log::embedded::{EmbeddedLog, EmbeddedOptions};
use beacon_core::log::{CleanupPolicy, Isolation, Log, Record, TopicPartition, TopicSpec};

use crate::log_contract::{Subject, texts};
use crate::{open_with, small_buffers, subject_of};

const HOUR: Duration = Duration::from_secs(3600);

struct Cleaned {
    subject: Subject,
    log: Arc<EmbeddedLog>,
    topic: Arc<str>,
}

fn cleaned(options: EmbeddedOptions, cleanup: CleanupPolicy) -> Cleaned {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = open_with(directory.path(), options);
    let subject = subject_of(Arc::clone(&log) as Arc<EmbeddedLog>, directory);
    let name = subject.name("topic");
    log.create_topics(&[TopicSpec { name: name.clone(), partitions: 2, cleanup }]).expect("made");
    Cleaned { subject, log, topic: Arc::from(name) }
}

impl Cleaned {
    fn at(&self) -> TopicPartition {
        TopicPartition::new(Arc::clone(&self.topic), 1)
    }

    fn start(&self) -> u64 {
        self.log.offsets(&self.at(), Isolation::Committed).expect("offsets").start
    }

    /// Appends one record in a write of its own.
    fn append(&self, key: &str, value: Option<&str>, age: Duration) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let record = Record {
            value: value.map(|value| value.as_bytes().to_vec()),
            timestamp_ms: Some((now - age).as_millis() as i64),
            ..Record::new(Arc::clone(&self.topic), key, "").to_partition(1)
        };
        self.subject.append(record).offset
    }

    fn read(&self) -> Vec<(u64, String, Option<String>)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let read = self.subject.read_all(&self.topic, 1, Isolation::Committed);
        read.into_iter().map(|read| (read.offset, text(read.key.expect("a key")), read.value.map(text))).collect()
    }
}

#[test]
fn records_older_than_the_retention_go_and_offsets_go_on() {
    let cleaned = cleaned(small_buffers(), CleanupPolicy::Delete { retention: Some(HOUR) });
    for _ in 0..5 {
        cleaned.append("k", Some("old"), 2 * HOUR);
    }
    let young = cleaned.append("k", Some("young"), Duration::ZERO);
    cleaned.append("k", Some("old again"), 2 * HOUR);
    cleaned.log.clean_now().expect("cleaned");
    assert_eq!(cleaned.start(), young);
    let values = texts(&cleaned.subject.read_all(&cleaned.topic, 1, Isolation::Committed));
    assert_eq!(values, ["young", "old again"], "what stands behind a young record stays with it");
}

#[test]
fn a_partition_emptied_by_retention_keeps_its_end_when_opened_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = TopicPartition::new("old", 0);
    for round in 1..=3 {
        let log = open_with(directory.path(), small_buffers());
        let cleanup = CleanupPolicy::Delete { retention: Some(HOUR) };
        log.create_topics(&[TopicSpec { name: "old".to_owned(), partitions: 1, cleanup }]).expect("made");
        let old = Record { timestamp_ms: Some(0), ..Record::new("old", "k", "v") };
        log.appender().expect("an appender").append_blocking(vec![old.clone(), old]).expect("appended");
        log.clean_now().expect("cleaned");
        let range = log.offsets(&at, Isolation::Committed).expect("offsets");
        assert_eq!((range.start, range.end), (round * 2, round * 2));
    }
}

#[test]
fn the_newest_record_of_each_key_stays_where_it_was() {
    let cleaned = cleaned(small_buffers(), CleanupPolicy::Compact);
    let mut newest = BTreeMap::new();
    for n in 0..300 {
        let key = format!("key-{}", n % 10);
        let offset = cleaned.append(&key, Some(&n.to_string()), 48 * HOUR);
        newest.insert(key, (offset, n.to_string()));
    }
    let before = cleaned.log.offsets(&cleaned.at(), Isolation::Committed).expect("offsets");
    cleaned.log.clean_now().expect("cleaned");
    let read = cleaned.read();
    // The newest record is in the open part, so its predecessor in the closed part still stands.
    assert_eq!(read.len(), 11);
    let seen: BTreeMap<_, _> =
        read.into_iter().map(|(offset, key, value)| (key, (offset, value.expect("a value")))).collect();
    assert_eq!(seen, newest);
    assert_eq!(cleaned.log.offsets(&cleaned.at(), Isolation::Committed).expect("offsets"), before);
    let from = TopicPartition::new(Arc::clone(&cleaned.topic), 1);
    let rest = cleaned.subject.read_from(&from, 150, Isolation::Committed);
    assert_eq!(rest.len(), 11, "a reader in the middle of a gap goes on behind it");
}

#[test]
fn tombstones_stay_for_their_retention_and_then_go() {
    let mut options = small_buffers();
    options.tombstone_retention = Duration::from_millis(200);
    let cleaned = cleaned(options, CleanupPolicy::Compact);
    let write = |from: u32| {
        for n in from..from + 4 {
            cleaned.append("other", Some(&n.to_string()), HOUR);
        }
    };
    cleaned.append("gone", Some("value"), HOUR);
    let started = Instant::now();
    let tombstone = cleaned.append("gone", None, 1000 * HOUR);
    write(0);
    cleaned.log.clean_now().expect("cleaned");
    let gone = |cleaned: &Cleaned| -> Vec<_> {
        cleaned
            .read()
            .into_iter()
            .filter(|(_, key, _)| key == "gone")
            .map(|(offset, _, value)| (offset, value))
            .collect()
    };
    assert_eq!(gone(&cleaned), [(tombstone, None)], "the value goes, the tombstone stays, however old it says it is");
    let mut from = 4;
    while !gone(&cleaned).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "the tombstone never goes");
        write(from);
        from += 4;
        cleaned.log.clean_now().expect("cleaned");
    }
    assert!(started.elapsed() >= Duration::from_millis(200), "not before its time");
    assert_eq!(cleaned.read().last().expect("records").2, Some((from - 1).to_string()));
}

#[test]
fn cleaning_goes_on_in_the_background() {
    let mut options = small_buffers();
    options.cleaning_interval = Duration::from_millis(20);
    let cleaned = cleaned(options, CleanupPolicy::Delete { retention: Some(HOUR) });
    let old = cleaned.append("k", Some("old"), 2 * HOUR);
    let deadline = Instant::now() + cleaned.subject.patience;
    while cleaned.start() <= old {
        assert!(Instant::now() < deadline, "nothing was cleaned");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_compacted_log_opened_again_is_the_same() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = small_buffers();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let log = open_with(directory.path(), options);
        let compact = TopicSpec { name: "c".to_owned(), partitions: 1, cleanup: CleanupPolicy::Compact };
        log.create_topics(&[compact]).expect("made");
        if seen.is_empty() {
            let record = |n: u32| Record::new("c", (n % 100).to_string(), vec![b'x'; 1000]);
            for first in (0..4000).step_by(50) {
                let records = (first..first + 50).map(record).collect();
                log.appender().expect("an appender").append_blocking(records).expect("appended");
            }
            log.clean_now().expect("cleaned");
        }
        let subject = subject_of(log, ());
        let offsets: Vec<u64> =
            subject.read_all(&Arc::from("c"), 0, Isolation::Committed).iter().map(|read| read.offset).collect();
        seen.push(offsets);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].len(), 150, "100 in the closed part and the open chunk of 50");
}

/// RocksDB's `DeleteFilesInRange`, which frees the disk after a trim, takes both ends of its range as included.
#[test]
fn a_trim_into_the_middle_of_a_chunk_keeps_everything_from_there_on() {
    const CHUNKS: u64 = 24;
    const RECORDS: u64 = 30;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = TopicPartition::new("t", 0);
    {
        let log = open_with(directory.path(), small_buffers());
        let cleanup = CleanupPolicy::Delete { retention: None };
        log.create_topics(&[TopicSpec { name: "t".to_owned(), partitions: 1, cleanup }]).expect("made");
        let appender = log.appender().expect("an appender");
        // Bytes that no compression makes small, so that each chunk fills a table or two of its own.
        let mut noise = 1_u64;
        for _ in 0..CHUNKS {
            let records = (0..RECORDS).map(|_| {
                let value: Vec<u8> = (0..4096)
                    .map(|_| {
                        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (noise >> 56) as u8
                    })
                    .collect();
                Record::new("t", "k", value)
            });
            appender.append_blocking(records.collect()).expect("appended");
        }
    }
    let offsets = |log: &Arc<EmbeddedLog>, from: u64| -> Vec<u64> {
        let subject = subject_of(Arc::clone(log), ());
        subject.read_from(&at, from, Isolation::Committed).iter().map(|read| read.offset).collect()
    };
    let end = CHUNKS * RECORDS;
    let mut start = 0;
    for chunk in 0..CHUNKS {
        // Opened anew each time: what is on the disk counts, and background work begins again.
        let log = open_with(directory.path(), small_buffers());
        assert_eq!(offsets(&log, start), (start..end).collect::<Vec<_>>(), "opened again after a trim to {start}");
        // Again to less, which changes nothing; then into the middle of the next chunk; then to its last record.
        for before in [start.saturating_sub(1), chunk * RECORDS + RECORDS / 2, (chunk + 1) * RECORDS - 1] {
            log.trim(&at, before).expect("trimmed");
            start = start.max(before);
            assert_eq!(log.offsets(&at, Isolation::Committed).expect("offsets").start, start);
            assert_eq!(offsets(&log, start), (start..end).collect::<Vec<_>>(), "after a trim to {before}");
        }
    }
    let log = open_with(directory.path(), small_buffers());
    log.trim(&at, end).expect("trimmed to the end");
    let next =
        log.appender().expect("an appender").append_blocking(vec![Record::new("t", "k", "v")]).expect("appended");
    assert_eq!(next[0].offset, end);
    log.trim(&at, end).expect("nothing to do");
    assert_eq!(offsets(&log, end), [end], "what came after the end is not trimmed with it");
    drop(log);
    assert_eq!(offsets(&open_with(directory.path(), small_buffers()), end), [end]);
}
