//! State on disk that is damaged, or half of a store: removed with a word why, and restored.

use std::time::Duration;

use beacon_core::log::{Log, Record};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::AppConfig;
use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::state::{Change, Registry, Store, Value, layout};
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::rig::{Rig, wait_running};
use crate::support::counting::{Counting, PARTITIONS, by_word};
use crate::support::damage::{EVERY_HARM, Harm, Part, harm};
use crate::support::told::{listen, told};
use crate::support::{count, read_all, state_by_changelog, state_on_disk, topic, wait_until};

/// Half of the input counted, and the process gone in good order.
fn half_done(rig: &Rig, job: &Counting) {
    job.make_topics(rig.log.as_ref());
    let app = rig.count(job, "0", &Default::default());
    let half = job.records() / 2;
    job.feed(rig.log.as_ref(), half, Duration::ZERO);
    wait_until("half is counted", || count(rig.log.as_ref(), &job.output()) as u64 >= half);
    app.stop().expect("stopped in good order");
}

/// The rest counted by a process that has what the disk holds, and everything as it should be.
fn finish(rig: &Rig, job: &Counting) {
    let app = rig.count(job, "0", &Default::default());
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(job);
    app.stop().expect("stopped in good order");
    rig.check(job, "0");
}

#[test]
fn damaged_state_is_restored_from_the_changelog() {
    listen();
    for (part, how) in EVERY_HARM {
        let (rig, job) = (Rig::new(), Counting::new(format!("damaged-{part:?}-{how:?}"), 20));
        half_done(&rig, &job);
        let directory = |task| rig.state("0").join(job.application()).join(format!("task-{task}"));
        (0..PARTITIONS).for_each(|task| harm(&directory(task), part, how));
        finish(&rig, &job);
        // The end of a manifest may be missing after a crash: then the store is that of a while ago, and whole.
        if part != Part::Manifest {
            for task in 0..PARTITIONS {
                let path = directory(task);
                let lines = told(&["it is damaged", "removing it", path.to_str().expect("text")]);
                assert_eq!(lines.len(), 1, "{part:?} {how:?}: {lines:?}");
            }
        }
    }
}

#[test]
fn damaged_state_is_restored_from_a_checkpoint_when_the_changelog_was_trimmed() {
    for how in [Harm::Flipped, Harm::Cut] {
        let rig = Rig::new();
        let kept = rig.kept(&format!("damaged-kept-{how:?}"), 60);
        kept.run_until_trimmed();
        (0..PARTITIONS).for_each(|task| harm(&kept.directory(task), Part::Tables, how));
        let app = kept.wait_running(kept.start());
        assert_eq!(app.stats().checkpoint_restores, u64::from(PARTITIONS), "{how:?}");
        kept.finish(app);
    }
}

timer_tags! {
    enum Never { Fires = 1 }
}

/// Remembers more of each word than fits into a few blocks of a table.
struct Verbose {
    text: Value<String>,
}

impl KeyedProcess for Verbose {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = Never;

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let before = self.text.get(ctx)?.unwrap_or_default();
        let count = before.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0) + 1;
        self.text.set(ctx, &format!("{count} {}", noise(&format!("{word}{count}"))));
        ctx.emit((word, count.to_string()))
    }
}

/// A kilobyte that does not compress to much less.
fn noise(seed: &str) -> String {
    let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325, mix) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state >> 32) as u8 % 64)
    };
    (0..1024).map(|_| letter()).collect()
}

const WORDS: u64 = 240;

fn verbose() -> Topology {
    let app = TopologyBuilder::new("verbose");
    app.source("words", &Topic::<String>::new("words"))
        .key_by("word", Clone::clone)
        .process("remember", |state: &mut Registry| Verbose { text: state.value("text") })
        .map("line", |(word, count)| Changed { key: word.into_bytes(), value: Some(count) })
        .sink_changes("counts", &Topic::<String>::new("counts"));
    app.build().expect("a valid topology")
}

fn say_every_word(log: &dyn Log) {
    let records = (0..WORDS).map(|number| Record::new("words", number.to_string(), format!("w{number}")));
    log.appender().expect("an appender").append_blocking(records.collect()).expect("appended");
}

#[test]
fn damage_that_a_running_job_meets_is_restored_and_nothing_is_lost_or_done_twice() {
    listen();
    let rig = Rig::new();
    rig.log.create_topics(&["words", "counts"].map(|name| topic(name, PARTITIONS))).expect("made");
    let mut config = AppConfig::new(PARTITIONS);
    config.retry_backoff = Duration::from_millis(20);
    let config = rig.on_disk(config);
    say_every_word(rig.log.as_ref());
    let app = rig.start(verbose(), config.clone());
    wait_until("every word is counted", || count(rig.log.as_ref(), "counts") as u64 == WORDS);
    app.stop().expect("stopped in good order");

    let path = rig.state("0").join("verbose").join("task-1");
    harm(&path, Part::Tables, Harm::Flipped);
    let app = rig.start(verbose(), config);
    wait_running(&app, u64::from(PARTITIONS));
    assert_eq!(
        (app.stats().rejoined, app.stats().restored_records),
        (0, 0),
        "a block of words is not read at the start"
    );
    say_every_word(rig.log.as_ref());
    wait_until("every word is counted again", || count(rig.log.as_ref(), "counts") as u64 == 2 * WORDS);
    assert_eq!(app.stats().rejoined, 1);
    assert!(app.stats().restored_records > 0);
    app.stop().expect("stopped in good order");

    let counts = by_word(read_all(rig.log.as_ref(), "counts"));
    assert_eq!(counts.len() as u64, WORDS);
    assert!(counts.values().all(|counts| counts.len() == 2), "{counts:?}");
    let disk = state_on_disk(&rig.state("0"), "verbose", PARTITIONS);
    assert!(disk == state_by_changelog(rig.log.as_ref(), "verbose", PARTITIONS), "the state on disk differs");
    let lines = told(&["it is damaged", "removing it", path.to_str().expect("text")]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn half_of_a_store_is_never_taken_for_one_that_begins_at_offset_zero() {
    let (rig, job) = (Rig::new(), Counting::new("half", 20));
    half_done(&rig, &job);
    for task in 0..PARTITIONS {
        let path = rig.state("0").join(job.application()).join(format!("task-{task}"));
        let mut store = RocksStore::open(&path, &RocksMemory::default()).expect("opened");
        // Something that no replay of the changelog would remove, and no word of what the store reflects.
        let stray = [layout::KEYED, 0, 0, 1, 2, 3, 4, 0, 0, 0, 1, b'x'];
        store
            .write(&mut [Change::Put(&stray, b"stray"), Change::Delete(&[layout::META])].into_iter())
            .expect("written");
        store.flush().expect("flushed");
    }
    finish(&rig, &job);
}
