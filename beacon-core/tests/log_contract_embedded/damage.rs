//! Damaged directories are refused or their damage is found by the read; no record is lost in silence.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{
    CleanupPolicy, Event, Isolation, Log, LogError, LogErrorKind, Record, TopicPartition, TopicSpec,
};

use crate::{open_with, small_buffers};

const RECORDS: u32 = 1500;

/// A directory with records in tables and in the write-ahead log, as a killed process leaves it.
fn crashed() -> tempfile::TempDir {
    let live = tempfile::tempdir().expect("a directory");
    let log = open_with(live.path(), small_buffers());
    let cleanup = CleanupPolicy::Delete { retention: None };
    log.create_topics(&[TopicSpec { name: "t".to_owned(), partitions: 1, cleanup }]).expect("made");
    let appender = log.appender().expect("an appender");
    for first in (0..RECORDS).step_by(50) {
        // Values that do not compress, so that a flipped bit cannot hide in padding.
        let value =
            |n: u32| (0..30).flat_map(|k| (n.wrapping_mul(2_654_435_761) ^ (k * 97)).to_le_bytes()).collect::<Vec<_>>();
        let records = (first..first + 50).map(|n| Record::new("t", n.to_be_bytes(), value(n))).collect();
        appender.append_blocking(records).expect("appended");
    }
    // What RocksDB does in the background meanwhile, a process that is killed does not do either.
    let image = loop {
        let (before, image) = (sizes(live.path()), tempfile::tempdir().expect("a directory"));
        if copy(live.path(), image.path()) && sizes(live.path()) == before {
            break image;
        }
    };
    drop(appender);
    drop(log);
    image
}

/// A directory closed in order.
fn closed() -> tempfile::TempDir {
    let image = crashed();
    drop(open_with(image.path(), small_buffers()));
    image
}

/// Copies all files there are; says whether none went away before its turn.
fn copy(from: &Path, to: &Path) -> bool {
    fs::create_dir_all(to).expect("made");
    fs::read_dir(from).expect("listed").all(|entry| {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            return copy(&entry.path(), &target);
        }
        match fs::copy(entry.path(), target) {
            Ok(_) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => panic!("{}: {error}", entry.path().display()),
        }
    })
}

/// The names and sizes of database files.
fn sizes(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let sizes = files(directory, "").into_iter().map(|path| {
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        (path, size)
    });
    sizes.collect()
}

/// Database files whose name has this part, largest first.
fn files(directory: &Path, part: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.join("db"))
        .expect("listed")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.file_name().expect("a name").to_string_lossy().contains(part))
        .collect();
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).map_or(0, |metadata| metadata.len())));
    files
}

/// Opens the log and counts its records, which must be in order.
fn read(directory: &Path) -> Result<u32, LogError> {
    let log = EmbeddedLog::open_with(directory, small_buffers())?;
    let mut reader = log.reader(Isolation::Committed)?;
    reader.assign(&[(TopicPartition::new("t", 0), 0)])?;
    let mut next = 0_u32;
    loop {
        match reader.poll(std::time::Duration::from_secs(20))? {
            Event::Records(batch) => {
                for record in (0..batch.len()).map(|index| batch.get(index)) {
                    assert_eq!(record.key, Some(&next.to_be_bytes()[..]), "in order, without a gap");
                    next += 1;
                }
            }
            Event::EndOfPartition(..) => return Ok(next),
            event => panic!("{event:?}"),
        }
    }
}

fn assert_refused(directory: &Path, file: &Path, what: &str) {
    let error = read(directory).expect_err(what);
    assert_eq!(error.kind(), LogErrorKind::Damaged, "{what}: {error}");
    let named = [file, directory].map(|path| path.file_name().expect("a name").to_string_lossy().into_owned());
    assert!(named.iter().any(|name| error.to_string().contains(name)), "{what}: {error}");
}

/// Flips bits at places all over a file, one at a time; each time nothing may be missing without an error.
fn flip_everywhere(image: &Path, file: &Path, part: f64) {
    let original = fs::read(file).expect("read");
    let usable = (original.len() as f64 * part) as usize;
    let mut refused = 0;
    for step in 0..24 {
        let place = usable * step / 24;
        let copy_dir = tempfile::tempdir().expect("a directory");
        copy(image, copy_dir.path());
        let mut bytes = original.clone();
        bytes[place] ^= 0x10;
        fs::write(copy_dir.path().join("db").join(file.file_name().expect("a name")), bytes).expect("written");
        match read(copy_dir.path()) {
            Ok(records) => assert_eq!(records, RECORDS, "{}: byte {place} lost records in silence", file.display()),
            Err(error) => {
                assert_eq!(error.kind(), LogErrorKind::Damaged, "byte {place}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 18, "{}: only {refused} of 24 flipped bytes were noticed", file.display());
}

#[test]
fn a_crash_image_has_all_records() {
    assert_eq!(read(crashed().path()).expect("undamaged"), RECORDS);
    assert_eq!(read(closed().path()).expect("undamaged"), RECORDS);
}

#[test]
fn flipped_bytes_of_tables_are_noticed() {
    let image = closed();
    flip_everywhere(image.path(), &files(image.path(), ".sst")[0], 1.0);
}

#[test]
fn flipped_bytes_of_the_write_ahead_log_are_noticed() {
    // Two of them: one is in a table already and about to go, and nobody would read it.
    let image = std::iter::repeat_with(crashed)
        .take(100)
        .find(|image| files(image.path(), ".log").len() == 1)
        .expect("a moment in which nothing is being flushed");
    let file = &files(image.path(), ".log")[0];
    // All but the end: what looks cut off there cannot be told from a write that a crash interrupted.
    flip_everywhere(image.path(), file, 0.8);
}

#[test]
fn flipped_bytes_of_the_manifest_are_noticed() {
    let image = closed();
    flip_everywhere(image.path(), &files(image.path(), "MANIFEST")[0], 0.8);
}

#[test]
fn a_torn_end_of_the_write_ahead_log_is_no_damage() {
    let image = crashed();
    // An older one may wait for its records to be in a table; what is missing there is damage.
    let file = files(image.path(), ".log").into_iter().max().expect("there is one");
    let bytes = fs::read(&file).expect("read");
    fs::write(&file, &bytes[..bytes.len() - 100]).expect("written");
    let records = read(image.path()).expect("a crash may cut off what nobody was told of");
    assert_eq!(records, RECORDS - 50, "the last write is gone as a whole, everything before it is there");
}

#[test]
fn missing_files_are_noticed() {
    for part in [".sst", "CURRENT", "MANIFEST"] {
        let image = closed();
        let file = files(image.path(), part).remove(0);
        fs::remove_file(&file).expect("removed");
        assert_refused(image.path(), &file, &format!("without {}", file.display()));
    }
    let image = closed();
    let format = image.path().join("FORMAT");
    fs::remove_file(&format).expect("removed");
    assert_refused(image.path(), &format, "without FORMAT");
}

#[test]
fn an_unreadable_format_is_damage_and_a_newer_one_is_refused_by_name() {
    let image = closed();
    let format = image.path().join("FORMAT");
    fs::write(&format, "something else\n").expect("written");
    assert_refused(image.path(), &format, "another FORMAT");
    fs::write(&format, "beacon embedded log format 2\n").expect("written");
    let error = read(image.path()).expect_err("a newer format");
    assert_eq!(error.kind(), LogErrorKind::Configuration);
    assert!(error.to_string().contains("format 2") && error.to_string().contains("up to 1"), "{error}");
    fs::write(&format, "beacon embedded log format 1\n").expect("written");
    assert_eq!(read(image.path()).expect("nothing was changed"), RECORDS);
}

#[test]
fn a_damaged_record_does_not_hide_the_topics_of_others() {
    let image = closed();
    let file = files(image.path(), ".sst").remove(0);
    let mut bytes = fs::read(&file).expect("read");
    bytes[1000] ^= 1;
    fs::write(&file, bytes).expect("written");
    // Opening may succeed: only who reads the damaged block is refused.
    if let Ok(log) = EmbeddedLog::open(image.path()) {
        let log: Arc<dyn Log> = log;
        assert!(log.describe_topic("t").expect("described").is_some());
    }
    assert_refused(image.path(), &file, "a damaged table");
}
