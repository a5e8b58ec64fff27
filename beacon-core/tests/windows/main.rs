//! Windows with records out of order and late, crashes anywhere, idle inputs and re-keyed streams: one case after the other
//! here, and against a simple oracle, all records in memory, in [`oracle`].

mod job;
mod oracle;

use std::time::Duration;

use beacon_core::testing::TestDriver;
use beacon_core::topology::{Sessions, Timing, TopologyBuilder, Windows};

use job::{Collect, Cut, EPOCH, Job, Told, fixed, key_of, lates, ms, records, results, send, told};

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
