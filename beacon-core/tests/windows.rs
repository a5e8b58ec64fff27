//! Windows against a simple oracle — all records in memory — with records out of order and late, crashes anywhere, idle
//! inputs and re-keyed streams.

use std::collections::BTreeMap;
use std::time::Duration;

use beacon_core::codec::{Codec, CodecError};
use beacon_core::operator::{Aggregate, MergeAggregate, OpResult};
use beacon_core::testing::TestDriver;
use beacon_core::time::EventTime;
use beacon_core::topology::{
    Changed, KeyedStream, Sessions, Timing, Topic, Topology, TopologyBuilder, Windowed, Windows,
};
use proptest::prelude::*;

/// All values of a window, sorted.
#[derive(Clone)]
struct Collect;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Numbers(Vec<u64>);

impl Codec for Numbers {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|number| number.encode(out));
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        bytes.chunks(8).map(u64::decode).collect::<Result<_, _>>().map(Self)
    }
}

impl Aggregate for Collect {
    type In = u64;
    type Accumulator = Numbers;
    type Out = Numbers;

    fn init(&self) -> Numbers {
        Numbers::default()
    }
    fn add(&self, numbers: &mut Numbers, number: &u64) -> OpResult {
        numbers.0.push(*number);
        numbers.0.sort_unstable();
        Ok(())
    }
    fn result(&self, numbers: &Numbers) -> Numbers {
        numbers.clone()
    }
}

impl MergeAggregate for Collect {
    fn merge(&self, numbers: &mut Numbers, other: Numbers) {
        numbers.0.extend(other.0);
        numbers.0.sort_unstable();
    }
}

const IN: &str = "in";
const EPOCH: i64 = 1_767_225_600_000;

fn records() -> Topic<u64> {
    Topic::new(IN)
}

fn results() -> Topic<Windowed<Numbers>> {
    Topic::new("results")
}

fn lates() -> Topic<u64> {
    Topic::new("late")
}

#[derive(Clone, Debug)]
enum Cut {
    Fixed(Windows),
    Sessions(Sessions),
}

/// Three keys, in three of four partitions.
fn key_of(number: u64) -> String {
    format!("x{}", number % 3)
}

struct Job {
    cut: Cut,
    disorder: Duration,
    idle_after: Option<Duration>,
    rekeyed: bool,
}

impl Job {
    fn new(cut: Cut, disorder_ms: u64) -> Self {
        Self { cut, disorder: Duration::from_millis(disorder_ms), idle_after: None, rekeyed: false }
    }

    fn topology(&self) -> Topology {
        let app = TopologyBuilder::new("windows");
        app.dead_letters("dead");
        let mut source = app.source("in", &records()).with_event_time(self.disorder);
        if let Some(idle_after) = self.idle_after {
            source = source.with_idleness(idle_after);
        }
        let keyed: KeyedStream<String, u64> = if self.rekeyed {
            source.key_by("by-key", |number| key_of(*number))
        } else {
            source.keyed("by key", |number| key_of(*number))
        };
        let windowed = match &self.cut {
            Cut::Fixed(windows) => keyed.window("window", windows.clone(), Collect),
            Cut::Sessions(sessions) => keyed.session_window("window", sessions.clone(), Collect),
        };
        windowed.sink("results", &results());
        windowed
            .output::<(String, u64)>("late")
            .map("late ones", |(key, number)| Changed { key: key.into_bytes(), value: Some(number) })
            .sink_changes("late out", &lates());
        app.build().expect("a valid topology")
    }

    fn driver(&self, partitions: u32) -> TestDriver {
        TestDriver::new(self.topology(), partitions)
    }
}

fn send(driver: &mut TestDriver, number: u64, at_ms: i64) {
    driver.send_at(&records(), key_of(number).as_bytes(), &number, EventTime::from_millis(EPOCH + at_ms));
}

type Told = (String, i64, i64, Timing, Vec<u64>);

fn told(driver: &mut TestDriver) -> Vec<Told> {
    let results = driver.changes(&results()).into_iter();
    results
        .filter_map(|(key, result)| {
            let result = result?;
            let key = String::from_utf8(key).expect("text");
            let [start, end] = [result.start, result.end].map(|at| at.as_millis() - EPOCH);
            Some((key, start, end, result.timing, result.value.0))
        })
        .collect()
}

fn fixed(windows: Windows) -> Cut {
    Cut::Fixed(windows)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_window_closes_once_with_what_was_not_late() {
    let mut driver = Job::new(fixed(Windows::tumbling(ms(100))), 50).driver(1);
    send(&mut driver, 0, 10);
    send(&mut driver, 3, 120);
    send(&mut driver, 6, 99);
    assert!(told(&mut driver).is_empty(), "the watermark is at 70");
    driver.crash_and_restore();
    send(&mut driver, 9, 150);
    assert_eq!(told(&mut driver), [("x0".into(), 0, 100, Timing::OnTime, vec![0, 6])]);
    send(&mut driver, 12, 60);
    assert!(told(&mut driver).is_empty());
    assert_eq!(driver.output(&lates()), [12]);
}

#[test]
fn a_result_carries_the_time_of_its_window() {
    let mut driver = Job::new(fixed(Windows::tumbling(ms(100))), 0).driver(1);
    send(&mut driver, 0, 10);
    send(&mut driver, 1, 1000);
    let times: Vec<_> = driver.records("results").iter().map(|record| record.timestamp_ms).collect();
    assert_eq!(times, [Some(EPOCH + 99)]);
}

#[test]
fn a_late_record_within_the_lateness_corrects_the_result() {
    let windows = Windows::tumbling(ms(100)).allowed_lateness(ms(50));
    let mut driver = Job::new(fixed(windows), 0).driver(1);
    send(&mut driver, 0, 10);
    send(&mut driver, 3, 100);
    send(&mut driver, 6, 20);
    send(&mut driver, 9, 149);
    driver.crash_and_restore();
    send(&mut driver, 12, 30);
    send(&mut driver, 15, 150);
    send(&mut driver, 18, 40);
    let of_the_first: Vec<_> = told(&mut driver).into_iter().filter(|result| result.1 == 0).collect();
    let result = |timing, numbers: &[u64]| ("x0".to_owned(), 0, 100, timing, numbers.to_vec());
    assert_eq!(
        of_the_first,
        [result(Timing::OnTime, &[0]), result(Timing::Late, &[0, 6]), result(Timing::Late, &[0, 6, 12]),]
    );
    assert_eq!(driver.output(&lates()), [18], "at 150 the window is forgotten");
}

#[test]
fn updates_tell_what_a_window_holds_so_far() {
    let mut driver = Job::new(fixed(Windows::sliding(ms(100), ms(50)).with_updates()), 0).driver(1);
    send(&mut driver, 0, 60);
    send(&mut driver, 3, 70);
    send(&mut driver, 1, 200);
    let told: Vec<_> = told(&mut driver).into_iter().filter(|result| result.0 == "x0").collect();
    let result = |start, timing, numbers: &[u64]| ("x0".to_owned(), start, start + 100, timing, numbers.to_vec());
    assert_eq!(
        told,
        [
            result(0, Timing::Early, &[0]),
            result(50, Timing::Early, &[0]),
            result(0, Timing::Early, &[0, 3]),
            result(50, Timing::Early, &[0, 3]),
            result(0, Timing::OnTime, &[0, 3]),
            result(50, Timing::OnTime, &[0, 3]),
        ]
    );
}

#[test]
fn a_record_that_connects_two_sessions_makes_them_one() {
    let sessions = Sessions::with_gap(ms(100)).allowed_lateness(ms(1000));
    let mut driver = Job::new(Cut::Sessions(sessions), 0).driver(1);
    send(&mut driver, 0, 0);
    send(&mut driver, 3, 150);
    send(&mut driver, 6, 99);
    send(&mut driver, 1, 249);
    assert_eq!(
        told(&mut driver),
        [("x0".into(), 0, 100, Timing::OnTime, vec![0])],
        "the first had closed, and is part of one that is open"
    );
    driver.crash_and_restore();
    send(&mut driver, 1, 250);
    assert_eq!(told(&mut driver), [("x0".into(), 0, 250, Timing::OnTime, vec![0, 3, 6])]);
    send(&mut driver, 9, 350);
    send(&mut driver, 1, 500);
    let told: Vec<_> = told(&mut driver).into_iter().filter(|result| result.0 == "x0").collect();
    assert_eq!(told, [("x0".into(), 350, 450, Timing::OnTime, vec![9])], "exactly a gap later is another session");
}

#[test]
fn windows_of_the_wall_clock_close_by_it() {
    let windows = Windows::tumbling(ms(1000)).on_processing_time();
    let mut driver = Job::new(fixed(windows), 0).driver(1);
    // Its own time does not matter.
    send(&mut driver, 0, -5_000_000);
    driver.advance(ms(999));
    send(&mut driver, 3, 5_000_000);
    assert!(told(&mut driver).is_empty());
    driver.down_for(ms(1));
    send(&mut driver, 6, 0);
    assert_eq!(told(&mut driver), [("x0".into(), 0, 1000, Timing::OnTime, vec![0, 3])]);
    driver.advance(ms(1000));
    assert_eq!(told(&mut driver), [("x0".into(), 1000, 2000, Timing::OnTime, vec![6])]);
    assert!(driver.output(&lates()).is_empty());
}

#[test]
fn sessions_of_the_wall_clock_end_when_nothing_comes() {
    let sessions = Sessions::with_gap(ms(1000)).on_processing_time();
    let mut driver = Job::new(Cut::Sessions(sessions), 0).driver(1);
    for number in [0, 3, 6] {
        send(&mut driver, number, 0);
        driver.advance(ms(900));
    }
    assert!(told(&mut driver).is_empty());
    driver.crash_and_restore();
    driver.advance(ms(100));
    assert_eq!(told(&mut driver), [("x0".into(), 0, 2800, Timing::OnTime, vec![0, 3, 6])]);
}

#[test]
fn what_is_over_leaves_no_state() {
    for cut in [
        fixed(Windows::sliding(ms(100), ms(30)).allowed_lateness(ms(40))),
        Cut::Sessions(Sessions::with_gap(ms(100)).allowed_lateness(ms(40))),
    ] {
        let mut driver = Job::new(cut, 0).driver(1);
        let state = |driver: &TestDriver| {
            let dump = driver.dump().expect("memory");
            dump[0].iter().filter(|(key, _)| key[0] < beacon_core::state::layout::SHARED).count()
        };
        for number in 0..50 {
            send(&mut driver, number, i64::try_from(number * 7).expect("small"));
        }
        assert!(state(&driver) > 0);
        // Late for all its windows: it moves the watermark and is in none.
        send(&mut driver, 1, 9_990);
        send(&mut driver, 1, 19_980);
        let left = state(&driver);
        send(&mut driver, 1, 29_970);
        assert_eq!(state(&driver), left, "only the last one's windows and their timer");
        assert!(left <= 5, "{left}");
    }
}

#[test]
fn an_idle_partition_holds_nobody_up() {
    let mut job = Job::new(fixed(Windows::tumbling(ms(100))), 0);
    job.rekeyed = true;
    let run = |job: &Job| {
        let mut driver = job.driver(4);
        send(&mut driver, 0, 10);
        send(&mut driver, 0, 110);
        driver.advance(Duration::from_secs(9));
        driver.crash_and_restore();
        driver.advance(Duration::from_secs(9));
        let before = told(&mut driver);
        driver.advance(Duration::from_secs(1));
        (before, told(&mut driver))
    };
    let nothing: Vec<Told> = Vec::new();
    assert_eq!(run(&job), (nothing.clone(), nothing.clone()), "three partitions were never heard");
    job.idle_after = Some(Duration::from_secs(10));
    let closed = vec![("x0".to_owned(), 0, 100, Timing::OnTime, vec![0])];
    assert_eq!(run(&job), (nothing, closed), "listened to for ten seconds since the restart, they are idle");
}

#[test]
fn an_idle_input_that_speaks_again_is_late_and_then_waited_for() {
    let mut job = Job::new(fixed(Windows::tumbling(ms(100))), 0);
    job.rekeyed = true;
    job.idle_after = Some(Duration::from_secs(10));
    // x0 and another key of another partition.
    let other = (1..3).find(|n| partition(*n) != partition(0));
    let other = other.expect("keys spread over partitions");
    let mut driver = job.driver(4);
    send(&mut driver, 0, 10);
    driver.advance(Duration::from_secs(5));
    send(&mut driver, 0, 1010);
    driver.advance(Duration::from_secs(5));
    assert_eq!(told(&mut driver), [("x0".into(), 0, 100, Timing::OnTime, vec![0])]);
    // The silent partition brings what is long over, and something new.
    send(&mut driver, other, 20);
    assert_eq!(driver.output(&lates()), [other]);
    send(&mut driver, other, 1015);
    // Only one of the two moves on: the windows wait for the other.
    send(&mut driver, 0, 5000);
    assert!(told(&mut driver).is_empty());
    send(&mut driver, other, 5000);
    let mut closed: Vec<_> = told(&mut driver).into_iter().map(|result| (result.1, result.4)).collect();
    closed.sort();
    assert_eq!(closed, [(1000, vec![0]), (1000, vec![other])]);
}

fn partition(number: u64) -> u32 {
    beacon_core::log::partition::for_key(key_of(number).as_bytes(), 4)
}

#[test]
fn windows_of_windows_count_each_result_once() {
    let app = TopologyBuilder::new("twice");
    let seconds = app
        .source("in", &records())
        .with_event_time(ms(20))
        .with_idleness(Duration::from_secs(5))
        .key_by("by-key", |number| key_of(*number))
        .window("short", Windows::tumbling(ms(100)), Collect);
    seconds
        .to_stream()
        .map("sums", |(_, result)| result.value.0.iter().sum::<u64>())
        .key_by("all", |_| "all".to_owned())
        .window("long", Windows::tumbling(ms(1000)), Collect)
        .sink("results", &results());
    let mut driver = TestDriver::new(app.build().expect("valid"), 4);
    for number in 0..300u64 {
        send(&mut driver, number, i64::try_from(number * 10).expect("small"));
        if number % 17 == 0 {
            driver.crash_and_restore();
        }
    }
    driver.advance(Duration::from_secs(5));
    for key in 0..3 {
        send(&mut driver, key, 10_000);
    }
    driver.advance(Duration::from_secs(5));
    let sums: Vec<_> = told(&mut driver).into_iter().map(|result| (result.1, result.4.iter().sum::<u64>())).collect();
    let expected: Vec<_> =
        (0..3).map(|second| (second * 1000, (0..100).map(|n| second as u64 * 100 + n).sum())).collect();
    assert_eq!(sums, expected);
}

/// A record of the input: when it happened, after the one before it in the log at most this much out of order.
#[derive(Clone, Debug)]
struct Happening {
    at_ms: i64,
    hold: bool,
    crash: bool,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = (0i64..2000, 0u8..8, 0u8..6).prop_map(|(at_ms, hold, crash)| Happening {
        at_ms,
        hold: hold == 0,
        crash: crash == 0,
    });
    proptest::collection::vec(one, 1..60)
}

/// Runs them all, with crashes, and at last one record of each key that closes everything.
fn run(job: &Job, happenings: &[Happening]) -> (Vec<Told>, Vec<u64>) {
    let mut driver = job.driver(1);
    let mut held = false;
    for (number, happening) in (0..).zip(happenings) {
        if happening.hold {
            driver.hold_commits();
            held = true;
        }
        send(&mut driver, number, happening.at_ms);
        if happening.crash {
            driver.crash_and_restore();
            held = false;
        }
    }
    if held {
        driver.commit();
    }
    send(&mut driver, CLOSING, 1_000_000);
    (told(&mut driver), driver.output(&lates()))
}

const CLOSING: u64 = 3_000_000;

/// Numbers by key and start of their window.
type ByWindow = BTreeMap<(String, i64), Vec<u64>>;

/// What windows of one size must tell: the last result of each, and who was late for all of them.
fn fixed_oracle(
    happenings: &[Happening],
    disorder: i64,
    (size, every, lateness): (i64, i64, i64),
) -> (ByWindow, Vec<u64>) {
    let (mut windows, mut late, mut watermark) = (BTreeMap::<_, Vec<u64>>::new(), Vec::new(), i64::MIN);
    for (number, happening) in (0..).zip(happenings) {
        watermark = watermark.max(happening.at_ms - disorder);
        let mut taken = false;
        // The driver's epoch is a multiple of all sizes used here.
        for start in (happening.at_ms - size - every..=happening.at_ms).filter(|start| start.rem_euclid(every) == 0) {
            if happening.at_ms < start + size && start + size + lateness > watermark {
                windows.entry((key_of(number), start)).or_default().push(number);
                taken = true;
            }
        }
        if !taken {
            late.push(number);
        }
    }
    (windows, late)
}

/// Sessions as plain lists: grown, merged, refused.
fn session_oracle(happenings: &[Happening], disorder: i64, gap: i64, lateness: i64) -> (Vec<Told>, Vec<u64>) {
    let mut sessions: Vec<Told> = Vec::new();
    let (mut late, mut watermark) = (Vec::new(), i64::MIN);
    for (number, happening) in (0..).zip(happenings) {
        watermark = watermark.max(happening.at_ms - disorder);
        let (at, key) = (happening.at_ms, key_of(number));
        let meets = |session: &Told| {
            session.0 == key && session.1 < at + gap && at < session.2 && session.2 + lateness > watermark
        };
        let met: Vec<_> = sessions.iter().filter(|session| meets(session)).cloned().collect();
        let mut grown = (key.clone(), at, at + gap, Timing::OnTime, vec![number]);
        for session in &met {
            grown.1 = grown.1.min(session.1);
            grown.2 = grown.2.max(session.2);
            grown.4.extend_from_slice(&session.4);
        }
        if grown.2 + lateness <= watermark {
            late.push(number);
            continue;
        }
        grown.4.sort_unstable();
        sessions.retain(|session| !meets(session));
        sessions.push(grown);
    }
    sessions.sort();
    (sessions, late)
}

/// The last result of each window; of sessions, those that no later one has taken in.
fn last_results(told: Vec<Told>) -> Vec<Told> {
    let mut last: Vec<Told> = Vec::new();
    for result in told.into_iter().filter(|result| !result.4.contains(&CLOSING)) {
        last.retain(|before| {
            !(before.0 == result.0
                && before.4.iter().all(|number| result.4.contains(number))
                && overlaps(before, &result))
        });
        last.push(result);
    }
    last.sort();
    last
}

fn overlaps(one: &Told, other: &Told) -> bool {
    one.1 >= other.1 && one.2 <= other.2
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn windows_tell_what_the_oracle_tells(
        happenings in happenings(), every in prop_oneof![Just(50i64), Just(100), Just(200)], times in 1i64..4,
        disorder in 0i64..2500, lateness in 0i64..500, updates: bool,
    ) {
        let size = every * times;
        let mut windows = Windows::sliding(ms(size as u64), ms(every as u64)).allowed_lateness(ms(lateness as u64));
        if updates {
            windows = windows.with_updates();
        }
        let (told, late) = run(&Job::new(fixed(windows), disorder as u64), &happenings);
        let (expected, expected_late) = fixed_oracle(&happenings, disorder, (size, every, lateness));
        let mut last = BTreeMap::new();
        let mut on_time: BTreeMap<(String, i64), usize> = BTreeMap::new();
        for (key, start, end, timing, mut numbers) in told.into_iter().filter(|result| !result.4.contains(&CLOSING)) {
            prop_assert_eq!(end, start + size);
            prop_assert!(updates || timing != Timing::Early);
            *on_time.entry((key.clone(), start)).or_default() += usize::from(timing == Timing::OnTime);
            numbers.sort_unstable();
            last.insert((key, start), numbers);
        }
        prop_assert_eq!(last, expected);
        prop_assert_eq!(late, expected_late);
        prop_assert!(on_time.values().all(|times| *times <= 1), "a window closes once: {:?}", on_time);
    }

    #[test]
    fn sessions_tell_what_the_oracle_tells(
        happenings in happenings(), gap in 1i64..300, disorder in 0i64..2500, lateness in 0i64..500, updates: bool,
    ) {
        let mut sessions = Sessions::with_gap(ms(gap as u64)).allowed_lateness(ms(lateness as u64));
        if updates {
            sessions = sessions.with_updates();
        }
        let (told, late) = run(&Job::new(Cut::Sessions(sessions), disorder as u64), &happenings);
        let (expected, expected_late) = session_oracle(&happenings, disorder, gap, lateness);
        let last: Vec<_> = last_results(told).into_iter().map(|result| (result.0, result.1, result.2, result.4)).collect();
        let expected: Vec<_> = expected.into_iter().map(|result| (result.0, result.1, result.2, result.4)).collect();
        prop_assert_eq!(last, expected);
        prop_assert_eq!(late, expected_late);
    }

    /// Behind a re-key, event time is that of the slowest task: nothing is late that the source says is in order, however
    /// the tasks take turns, and what is told is what all records, sorted, come to.
    #[test]
    fn nothing_in_order_is_late_behind_a_rekey(
        gaps in proptest::collection::vec((0i64..80, 0i64..40, 0u8..5), 1..60), partitions in 1u32..5,
    ) {
        let mut job = Job::new(fixed(Windows::tumbling(ms(100))), 40);
        job.rekeyed = true;
        job.idle_after = Some(Duration::from_secs(10));
        let mut driver = job.driver(partitions);
        let (mut clock, mut expected) = (0, BTreeMap::<_, Vec<u64>>::new());
        for (number, (gap, back, crash)) in (0..).zip(gaps) {
            clock += gap;
            let at = clock - back;
            expected.entry((key_of(number), at.div_euclid(100) * 100)).or_default().push(number);
            if crash == 1 {
                driver.hold_commits();
            }
            send(&mut driver, number, at);
            if crash <= 1 {
                driver.crash_and_restore();
            }
        }
        for key in 0..3 {
            send(&mut driver, CLOSING + key, 1_000_000);
        }
        driver.advance(Duration::from_secs(20));
        let told: BTreeMap<_, _> = told(&mut driver)
            .into_iter()
            .filter(|result| result.1 < 900_000)
            .map(|(key, start, _, timing, numbers)| {
                assert_eq!(timing, Timing::OnTime);
                ((key, start), numbers)
            })
            .collect();
        prop_assert_eq!(told, expected);
        prop_assert!(driver.output(&lates()).is_empty());
    }
}
