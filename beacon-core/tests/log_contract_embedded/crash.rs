//! What was acknowledged survives `kill -9`, and transactions survive as a whole.
//!
//! The test starts itself again as a child that writes as fast as it can from several threads and prints each
//! acknowledgement; the parent kills it at a random moment and looks at what is on the disk.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beacon_core::log::{CleanupPolicy, Event, Isolation, Log, Record, SessionConfig, TopicPartition, TopicSpec};

use crate::log_contract::{Read, numbers, plain, texts};
use crate::{open_with, small_buffers, subject_of};

const DIRECTORY: &str = "BEACON_TEST_CRASH_DIRECTORY";
const ROUNDS: u32 = 8;
const KEYS: u64 = 7;

#[test]
fn what_was_acknowledged_survives_kill_9_and_transactions_are_whole() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return write_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    for round in 0..ROUNDS {
        let acknowledged = run_and_kill(directory.path());
        check(directory.path(), &acknowledged, round);
    }
}

/// Runs the child for a random time; returns the last number each of its threads has acknowledged.
fn run_and_kill(directory: &Path) -> BTreeMap<String, u64> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["crash::what_was_acknowledged_survives_kill_9_and_transactions_are_whole", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test again");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut acknowledged = BTreeMap::new();
    let mut note = |line: String| {
        // The last line may have been cut off by the kill, in the middle of a number: then it has no end mark.
        let words = line.strip_prefix("ack ").and_then(|rest| rest.strip_suffix(';')?.split_once(' '));
        if let Some((who, number)) = words {
            acknowledged.insert(who.to_owned(), number.parse::<u64>().expect("a number"));
        }
        acknowledged.len()
    };
    // All threads are at work, then it may be any moment.
    while note(lines.next().expect("the child goes on").expect("text")) < 3 {}
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_micros(u64::from(nanos) % 300_000));
        child.kill().expect("killed");
        child.wait().expect("gone");
    });
    for line in lines.map_while(Result::ok) {
        note(line);
    }
    killer.join().expect("no panic");
    acknowledged
}

fn write_until_killed(directory: &Path) {
    let log = open_with(directory, small_buffers());
    let topic = |name: &str, cleanup| TopicSpec { name: name.to_owned(), partitions: 1, cleanup };
    let keep = CleanupPolicy::Delete { retention: None };
    let compact = topic("latest", CleanupPolicy::Compact);
    log.create_topics(&[topic("appended", keep), topic("one", keep), topic("two", keep), compact]).expect("made");
    let end = |name: &str| log.offsets(&TopicPartition::new(name, 0), Isolation::Committed).expect("offsets").end;
    let (appended, latest) = (end("appended"), end("latest"));
    thread::scope(|scope| {
        scope.spawn(|| append(&*log, "appended", appended, |_| "key".to_owned()));
        scope.spawn(|| append(&*log, "latest", latest, |n| (n % KEYS).to_string()));
        scope.spawn(|| commit(&*log, end("one")));
        loop {
            log.clean_now().expect("cleaned");
        }
    });
}

fn acknowledge(who: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    // On a line of its own: the test harness writes to the same stream.
    if writeln!(out, "\nack {who} {number};").and_then(|()| out.flush()).is_err() {
        // The parent has failed and reads no more.
        std::process::exit(1);
    }
}

fn append(log: &dyn Log, topic: &str, first: u64, key: impl Fn(u64) -> String) {
    let appender = log.appender().expect("an appender");
    for n in first.. {
        appender.append_blocking(vec![Record::new(topic, key(n), n.to_string())]).expect("appended");
        acknowledge(topic, n);
    }
}

fn commit(log: &dyn Log, first: u64) {
    let mut session = log.session(SessionConfig::new("group", "id", vec!["appended".to_owned()])).expect("a session");
    while !matches!(session.poll(Duration::from_secs(20)).expect("polled"), Event::Assigned(_)) {}
    for n in first.. {
        session.begin().expect("begun");
        session.send(plain("one", 0, &n.to_string())).expect("sent");
        session.send(plain("two", 0, &n.to_string())).expect("sent");
        session.commit(&[(TopicPartition::new("appended", 0), n + 1)]).expect("committed");
        acknowledge("commit", n);
    }
}

fn check(directory: &Path, acknowledged: &BTreeMap<String, u64>, round: u32) {
    let subject = subject_of(open_with(directory, small_buffers()), ());
    let read = |topic: &str| subject.read_all(&Arc::from(topic), 0, Isolation::Committed);
    let at_least = |read: &[Read], who: &str| {
        let last: u64 = texts(read).last().expect("records").parse().expect("a number");
        assert!(last >= acknowledged[who], "round {round}: {who} {last}, but {} was acknowledged", acknowledged[who]);
    };
    let appended = read("appended");
    at_least(&appended, "appended");
    assert_eq!(texts(&appended), numbers(appended.len() as u32), "all before it are there too");

    let (one, two) = (read("one"), read("two"));
    at_least(&one, "commit");
    assert_eq!(texts(&one), numbers(one.len() as u32));
    assert_eq!(texts(&one), texts(&two), "both topics or none");
    let offset = subject.log.committed("group", &["appended"]).expect("committed");
    assert_eq!(offset, [(TopicPartition::new("appended", 0), one.len() as u64)], "and the offset with them");

    let latest = read("latest");
    at_least(&latest, "latest");
    let mut newest = BTreeMap::new();
    for read in &latest {
        let number: u64 = texts(std::slice::from_ref(read))[0].parse().expect("a number");
        assert_eq!(read.offset, number, "compaction leaves offsets as they are");
        assert_eq!(read.key.as_deref(), Some((number % KEYS).to_string().as_bytes()));
        newest.insert(number % KEYS, number);
    }
    let last = latest.last().expect("records").offset;
    let expected: BTreeMap<u64, u64> = (0..=last).map(|n| (n % KEYS, n)).collect();
    assert_eq!(newest, expected, "the newest of each key is there");
}
