//! Windows of any records, however late and through whatever crashes, against all records in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use beacon_core::topology::{Sessions, Timing, Windows};
use proptest::prelude::*;

use crate::job::{Cut, Job, Told, fixed, key_of, lates, ms, send, told};

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
