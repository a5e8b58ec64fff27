//! A job with more state of each word than fits into a few blocks of a table, and damage that it meets while it runs.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::{Log, Record};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig};
use beacon_core::state::{Registry, Value};
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::counting::{PARTITIONS, by_word};
use super::damage::{Harm, Part, harm};
use super::told::{listen, told};
use super::{count, read_all, state_by_changelog, state_directory, state_on_disk, topic, wait_until};

timer_tags! {
    enum Never { Fires = 1 }
}

/// Remembers a lot of each word.
struct Remember {
    text: Value<String>,
}

impl KeyedProcess for Remember {
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

/// One run of the job.
pub struct Verbose {
    /// Begins all names.
    pub prefix: String,
}

impl Verbose {
    fn application(&self) -> String {
        format!("{}-verbose", self.prefix)
    }

    fn input(&self) -> String {
        format!("{}-words", self.prefix)
    }

    fn output(&self) -> String {
        format!("{}-counts", self.prefix)
    }

    pub fn config(&self, instance: &str) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.instance = instance.to_owned();
        config.retry_backoff = Duration::from_millis(20);
        config.topics = [self.input(), self.output()].map(|name| topic(name, PARTITIONS)).into();
        config
    }

    fn topology(&self) -> Topology {
        let app = TopologyBuilder::new(self.application());
        app.source("words", &Topic::<String>::new(self.input()))
            .key_by("word", Clone::clone)
            .process("remember", |state: &mut Registry| Remember { text: state.value("text") })
            .map("line", |(word, count)| Changed { key: word.into_bytes(), value: Some(count) })
            .sink_changes("counts", &Topic::<String>::new(self.output()));
        app.build().expect("a valid topology")
    }

    fn say_every_word(&self, log: &dyn Log) {
        let record = |number: u64| Record::new(self.input(), number.to_string(), format!("w{number}"));
        log.appender().expect("an appender").append_blocking((0..WORDS).map(record).collect()).expect("appended");
    }

    /// The table of a task is damaged, which shows only when a word of it is read: the task is restored, nothing is lost and
    /// nothing is done twice.
    pub fn meets_damage_while_it_runs(&self, log: &Arc<dyn Log>, config: &AppConfig) {
        listen();
        let start = || App::start(Arc::clone(log), self.topology(), config.clone()).expect("started");
        let counted = || count(log.as_ref(), &self.output()) as u64;
        log.create_topics(&config.topics).expect("made");
        self.say_every_word(log.as_ref());
        let app = start();
        wait_until("every word is counted", || counted() == WORDS);
        app.stop().expect("stopped in good order");

        let path = state_directory(config).join(self.application()).join("task-1");
        harm(&path, Part::Tables, Harm::Flipped);
        let app = start();
        wait_until("all tasks run", || app.stats().tasks == u64::from(PARTITIONS) && app.stats().restoring == 0);
        assert_eq!(
            (app.stats().rejoined, app.stats().restored_records),
            (0, 0),
            "a block of words is not read at the start"
        );
        self.say_every_word(log.as_ref());
        wait_until("every word is counted again", || counted() == 2 * WORDS);
        assert_eq!(app.stats().rejoined, 1);
        assert!(app.stats().restored_records > 0);
        app.stop().expect("stopped in good order");

        let counts = by_word(read_all(log.as_ref(), &self.output()));
        assert_eq!(counts.len() as u64, WORDS);
        assert!(counts.values().all(|counts| *counts == ["1", "2"]), "{counts:?}");
        let disk = state_on_disk(state_directory(config), &self.application(), PARTITIONS);
        let logged = state_by_changelog(log.as_ref(), &self.application(), PARTITIONS);
        assert!(disk == logged, "the state on disk differs");
        let lines = told(&["it is damaged", "removing it", path.to_str().expect("text")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}
