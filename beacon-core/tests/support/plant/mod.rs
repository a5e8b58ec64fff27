//! One run of the plant on a log: its names, its input piece by piece, and what must come of it.

pub mod job;

use std::collections::BTreeMap;
use std::time::Duration;

use beacon_core::log::{Header, Isolation, Log, Record, TopicPartition, partition};
use beacon_core::runtime::AppConfig;
use beacon_core::testing::TestDriver;
use beacon_core::time::EventTime;
use beacon_core::tools;
use beacon_core::topology::{Topic, Topology};

use super::counting::{State, by_word};
use super::{Seen, read_all, state_by_changelog, timeless, topic, wait_until};
use job::{ASKS, CUSTOMERS, ENDS, LIFETIME, PAYMENTS, SENSORS, TARIFFS, customer, sensor, time_ms};

/// Tasks of the application.
pub const PARTITIONS: u32 = 4;
/// How often each sensor is asked what is left. Each time some of what ended is swept away; so often that nothing stays.
const ROUNDS: u64 = 6;
const INPUTS: [&str; 5] = ["titles", "readings", "orders", "payments", "tariffs"];

/// A record of the input.
#[derive(Clone)]
struct Entry {
    topic: &'static str,
    key: String,
    /// `None`: a tombstone.
    number: Option<u64>,
    at_ms: Option<i64>,
}

impl Entry {
    fn number(number: u64) -> Self {
        let at_ms = Some(time_ms(number));
        Self { topic: "readings", key: sensor(number), number: Some(number), at_ms }
    }

    fn of_customer(topic: &'static str, number: u64) -> Self {
        Self { topic, key: customer(number), number: Some(number), at_ms: None }
    }
}

/// Value and headers of a dead letter.
type Letter = (Option<Vec<u8>>, Vec<Header>);

/// What comes of a run.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// Lines by stream and key, in order.
    pub lines: BTreeMap<String, Vec<String>>,
    /// Value and headers of the dead letters of each key, in order.
    pub dead: BTreeMap<Vec<u8>, Vec<Letter>>,
    /// The state of each task, without the moments at which entries end.
    pub state: Vec<State>,
}

/// One run of the job.
#[derive(Clone)]
pub struct Plant {
    /// Begins all names.
    pub prefix: String,
    pub readings: u64,
}

impl Plant {
    pub fn new(prefix: impl Into<String>, readings: u64) -> Self {
        Self { prefix: format!("{}-", prefix.into()), readings }
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn application(&self) -> String {
        self.name("plant")
    }

    pub fn topology(&self) -> Topology {
        job::topology(&self.prefix)
    }

    pub fn config(&self, instance: &str) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.instance = instance.to_owned();
        config.commit_interval = Duration::from_millis(10);
        config.retry_backoff = Duration::from_millis(20);
        config.trim_interval = Duration::from_secs(1);
        let names = INPUTS.into_iter().chain(["out", "dead"]);
        config.topics = names.map(|name| topic(self.name(name), PARTITIONS)).collect();
        config
    }

    pub fn make_topics(&self, log: &dyn Log) {
        log.create_topics(&self.config("any").topics).expect("made");
    }

    /// Titles; readings with orders, payments and tariffs among them; inquiries, and an end of time for each partition. Each part is
    /// to be read before the next is written, and entries' lifetimes to end before the last.
    fn parts(&self) -> [Vec<Entry>; 3] {
        let title = |sensor: u64, number: Option<u64>| Entry {
            topic: "titles",
            key: format!("s{sensor}"),
            number,
            at_ms: None,
        };
        let first = (0..SENSORS).map(|sensor| title(sensor, Some(sensor)));
        let then = (0..SENSORS).filter(|sensor| sensor % 3 != 0);
        let titles = first.chain(then.map(|sensor| title(sensor, (sensor % 3 == 1).then_some(sensor + 100)))).collect();

        let mut work = Vec::new();
        for number in 0..self.readings {
            work.push(Entry::number(number));
            if number < CUSTOMERS * PAYMENTS {
                work.push(Entry::of_customer("payments", number));
            }
            if number.is_multiple_of(5) && number / 5 < CUSTOMERS {
                work.push(Entry::of_customer("orders", number / 5));
            }
            if number % 40 == 20 && number / 40 < TARIFFS {
                work.push(Entry::of_customer("tariffs", number / 40));
            }
        }
        let asks = (0..ROUNDS * SENSORS).map(|number| Entry::number(ASKS + number));
        let mut places: BTreeMap<u32, Entry> = BTreeMap::new();
        for end in (0..).map(|number| Entry::number(ENDS + number)) {
            if places.len() == PARTITIONS as usize {
                break;
            }
            places.entry(partition::for_key(end.key.as_bytes(), PARTITIONS)).or_insert(end);
        }
        [titles, work, asks.chain(places.into_values()).collect()]
    }

    /// Records of the input.
    pub fn records(&self) -> u64 {
        self.parts().iter().map(|part| part.len() as u64).sum()
    }

    /// Records before the inquiries.
    pub fn work(&self) -> u64 {
        self.parts()[..2].iter().map(|part| part.len() as u64).sum()
    }

    /// How many records of the input are in the log; they are plain appends, so offsets have no gaps.
    pub fn fed(&self, log: &dyn Log) -> u64 {
        let ends = INPUTS.into_iter().flat_map(|input| {
            let name = self.name(input);
            (0..PARTITIONS).map(move |number| TopicPartition::new(name.clone(), number))
        });
        ends.map(|at| log.offsets(&at, Isolation::Committed).expect("offsets").end).sum()
    }

    /// Appends the input from where it stands up to `limit` records, ten at a time with `pause` between; waits for a running
    /// application where one part has to be read before the next.
    pub fn feed(&self, log: &dyn Log, limit: u64, pause: Duration) {
        let appender = log.appender().expect("an appender");
        let mut next = self.fed(log);
        let mut begins = 0;
        for (number, part) in self.parts().into_iter().enumerate() {
            let ends = begins + part.len() as u64;
            while next < ends.min(limit) {
                if next == begins && number > 0 {
                    self.wait_read(log);
                }
                if next == begins && number == 2 {
                    std::thread::sleep(2 * LIFETIME);
                }
                let last = ends.min(limit).min(next + 10);
                let batch = part[(next - begins) as usize..(last - begins) as usize].iter().map(|e| self.record(e));
                appender.append_blocking(batch.collect()).expect("appended");
                next = last;
                std::thread::sleep(pause);
            }
            begins = ends;
        }
    }

    fn record(&self, entry: &Entry) -> Record {
        let mut record = Record::new(self.name(entry.topic), entry.key.as_str(), "");
        record.value = entry.number.map(|number| number.to_be_bytes().to_vec());
        record.timestamp_ms = entry.at_ms;
        record
    }

    /// Waits until the application has read all its inputs, those between its own steps too.
    pub fn wait_read(&self, log: &dyn Log) {
        let topology = self.topology();
        wait_until("everything is read", || {
            let lag = tools::lag(log, &topology).expect("lag");
            // Topics that are not made yet are left out.
            lag.len() == (INPUTS.len() + topology.internal_topics().len()) * PARTITIONS as usize
                && lag.iter().all(|lag| lag.stable_lag() == 0)
        });
    }

    /// What a run leaves in which nothing goes wrong.
    pub fn calm_run(&self) -> Outcome {
        let mut driver = TestDriver::new(self.topology(), PARTITIONS);
        for (number, part) in self.parts().into_iter().enumerate() {
            if number == 2 {
                driver.advance(2 * LIFETIME);
            }
            for entry in part {
                let (topic, key) = (Topic::<u64>::new(self.name(entry.topic)), entry.key.as_bytes());
                match (entry.number, entry.at_ms) {
                    (Some(number), Some(at_ms)) => {
                        driver.send_at(&topic, key, &number, EventTime::from_millis(at_ms));
                    }
                    (Some(number), None) => driver.send(&topic, key, &number),
                    (None, _) => driver.send_tombstone(&topic, key),
                }
            }
        }
        let mut seen =
            |name: &str| -> Vec<Seen> { driver.records(&self.name(name)).into_iter().map(Seen::from).collect() };
        let (out, dead) = (seen("out"), seen("dead"));
        outcome(out, dead, driver.dump().expect("memory"))
    }

    /// What a run has left in a log.
    pub fn left(&self, log: &dyn Log) -> Outcome {
        let [out, dead] = ["out", "dead"].map(|name| read_all(log, &self.name(name)));
        outcome(out, dead, state_by_changelog(log, &self.application(), PARTITIONS))
    }

    /// Checks outputs, dead letters and state against those of a calm run, and that the run was worth it.
    pub fn check(&self, log: &dyn Log) {
        let (calm, left) = (self.calm_run(), self.left(log));
        for (key, lines) in &calm.lines {
            assert_eq!(left.lines.get(key), Some(lines), "lines of {key}");
        }
        assert_eq!(left.lines.len(), calm.lines.len());
        assert_eq!(left.dead, calm.dead);
        check_state(&left.state, &calm.state);
        calm.is_worth_it();
    }
}

/// Says in which task and entry two states differ, first of all.
pub fn check_state(found: &[State], calm: &[State]) {
    for (task, (found, calm)) in found.iter().zip(calm).enumerate() {
        let [found, calm] = [found, calm].map(|state| state.iter().cloned().collect::<BTreeMap<_, _>>());
        let keys: std::collections::BTreeSet<_> = found.keys().chain(calm.keys()).collect();
        for key in keys {
            assert_eq!(found.get(key), calm.get(key), "task {task}, entry {:?}", String::from_utf8_lossy(key));
        }
    }
    assert_eq!(found.len(), calm.len());
}

fn outcome(out: Vec<Seen>, dead_letters: Vec<Seen>, state: Vec<State>) -> Outcome {
    let mut dead: BTreeMap<Vec<u8>, Vec<Letter>> = BTreeMap::new();
    for letter in dead_letters {
        dead.entry(letter.key).or_default().push((letter.value, letter.headers));
    }
    Outcome { lines: by_word(out), dead, state: state.into_iter().map(timeless).collect() }
}

impl Outcome {
    fn lines_of<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a String> {
        let of_stream = move |key: &&String| key.split(' ').next() == Some(stream);
        self.lines.iter().filter(move |(key, _)| of_stream(key)).flat_map(|(_, lines)| lines)
    }

    /// Every operator said something, late records came both in time and too late, and what should have ended has.
    pub fn is_worth_it(&self) {
        for stream in [
            "remembered",
            "alarm",
            "second",
            "late",
            "named",
            "unmatched",
            "total",
            "sums",
            "slid",
            "burst",
            "left",
            "titled",
            "matched",
            "billed",
        ] {
            assert!(self.lines_of(stream).count() >= 5, "{stream}: {}", self.lines_of(stream).count());
        }
        assert!(self.lines_of("second").any(|line| line.contains(" Late ")), "a late reading is counted");
        assert!(self.lines_of("left").all(|line| line.starts_with("0 left of [")), "lifetimes have ended");
        assert!(self.lines_of("titled").any(|line| line.ends_with("None")), "a title was removed");
        assert_eq!(self.lines_of("matched").count() as u64, CUSTOMERS);
        assert_eq!(self.lines_of("billed").count() as u64, CUSTOMERS);
        assert!(self.dead.len() >= 5, "{} keys have dead letters", self.dead.len());
    }
}
