//! What inputs and writers say, and what becomes of it.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::state::MemoryStore;

fn at(millis: i64) -> EventTime {
    EventTime::from_millis(millis)
}

fn clock(millis: i64) -> ProcessingTime {
    ProcessingTime::from_millis(millis)
}

fn source(number: u32) -> TimedInput {
    let idle_after = Some(Duration::from_millis(100));
    TimedInput { number, from: TimeFrom::Records { lateness: Duration::ZERO, idle_after }, stage: 0 }
}

/// The state after a commit.
fn committed(marks: &mut Watermarks) -> TaskState {
    let mut state = TaskState::new(Box::new(MemoryStore::default()));
    marks.keep_step();
    for (key, bytes) in marks.pending() {
        state.put(key, &bytes);
    }
    state.apply().expect("memory");
    marks.committed();
    state
}

#[test]
fn the_slowest_input_counts_and_an_idle_one_does_not() {
    let mut marks = Watermarks::new(vec![source(1), source(2)], Vec::new(), 1);
    marks.find_idle(clock(0));
    marks.observe(1, at(500), clock(10));
    assert_eq!(marks.current(1), None, "the other was not heard");
    assert_eq!(marks.next_idle(), Some(clock(100)));
    assert!(!marks.find_idle(clock(99)));
    assert!(marks.find_idle(clock(100)));
    assert_eq!(marks.current(1), Some(at(500)));
    // It speaks again, of long ago: nothing goes back, and it is waited for.
    marks.observe(2, at(3), clock(105));
    assert_eq!(marks.current(1), Some(at(500)));
    marks.observe(1, at(900), clock(106));
    assert_eq!(marks.current(1), Some(at(500)));
    marks.observe(2, at(700), clock(107));
    assert_eq!(marks.current(1), Some(at(700)));
}

#[test]
fn all_idle_is_as_far_as_the_furthest() {
    let mut marks = Watermarks::new(vec![source(1), source(2)], Vec::new(), 1);
    marks.find_idle(clock(0));
    marks.observe(1, at(500), clock(10));
    marks.observe(2, at(300), clock(10));
    assert_eq!(marks.current(1), Some(at(300)));
    marks.find_idle(clock(110));
    assert_eq!(marks.current(1), Some(at(500)));
    assert_eq!(marks.next_idle(), None);
}

#[test]
fn a_topic_between_tasks_is_as_far_as_its_slowest_writer() {
    let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
    let mut marks = Watermarks::new(vec![inner], Vec::new(), 2);
    let says = |writer: u32, progress: Progress| [writer.to_bytes(), progress.to_bytes()].concat();
    marks.hear(7, &says(0, Progress { time: Some(at(50)), idle: false })).expect("heard");
    assert_eq!(marks.current(1), None);
    marks.hear(7, &says(1, Progress { time: Some(at(20)), idle: false })).expect("heard");
    assert_eq!(marks.current(1), Some(at(20)));
    marks.hear(7, &says(1, Progress { time: Some(at(20)), idle: true })).expect("heard");
    assert_eq!(marks.current(1), Some(at(50)));
    assert!(marks.hear(7, &[1, 2]).is_err());
}

#[test]
fn a_task_announces_what_is_new_and_again_after_a_dropped_commit() {
    let announced = Announced { topic: "inner".into(), stage: 0 };
    let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
    let mut marks = Watermarks::new(vec![source(1), inner], vec![announced], 4);
    assert!(marks.announcements(3).is_empty());
    marks.observe(1, at(500), clock(10));
    let news = marks.announcements(3);
    assert_eq!(news.len(), 1, "the stage that writes it has come somewhere, whatever the stage behind it did");
    assert!(marks.announcements(3).is_empty());
    marks.drop_pending();
    marks.observe(1, at(500), clock(10));
    assert_eq!(marks.announcements(3), news);
}

#[test]
fn a_stage_waits_for_writers_that_have_not_said_that_they_are_busy_again() {
    let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
    let mut marks = Watermarks::new(vec![source(1), inner.clone()], Vec::new(), 1);
    marks.find_idle(clock(0));
    marks.observe(1, at(500), clock(10));
    marks.find_idle(clock(110));
    let says = |progress: Progress| [0u32.to_bytes(), progress.to_bytes()].concat();
    marks.hear(7, &says(Progress { time: Some(at(500)), idle: true })).expect("heard");
    assert_eq!((marks.current(0), marks.current(1)), (Some(at(500)), Some(at(500))));
    marks.observe(1, at(900), clock(120));
    assert_eq!((marks.current(0), marks.current(1)), (Some(at(900)), Some(at(500))));
    let mut restored = Watermarks::new(vec![source(1), inner], Vec::new(), 1);
    restored.load(&committed(&mut marks)).expect("memory");
    assert_eq!((restored.current(0), restored.current(1)), (Some(at(900)), Some(at(500))));
}

#[derive(Clone, Debug)]
enum Action {
    Observe { source: u32, at: i64 },
    Hear { writer: u32, at: i64, idle: bool },
    Silence(i64),
    Keep,
    Undo,
    Commit,
    Drop,
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1u32..3, 0i64..100).prop_map(|(source, at)| Action::Observe { source, at }),
        4 => (0u32..2, 0i64..100, any::<bool>()).prop_map(|(writer, at, idle)| Action::Hear { writer, at, idle }),
        3 => (1i64..150).prop_map(Action::Silence),
        2 => Just(Action::Keep),
        1 => Just(Action::Undo),
        2 => Just(Action::Commit),
        1 => Just(Action::Drop),
        1 => Just(Action::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What a step says may be taken back with the step, and what a commit says with the commit; nothing else sets a stage
    /// back, whoever is idle, silent or late.
    #[test]
    fn no_watermark_goes_back(actions in proptest::collection::vec(action(), 1..80), is_steady: bool) {
        let inner = TimedInput { number: 7, from: TimeFrom::Tasks, stage: 1 };
        let steady = |number| {
            let from = TimeFrom::Records { lateness: Duration::ZERO, idle_after: None };
            TimedInput { from, ..source(number) }
        };
        // Where no input can be left out, the stages have no marks of their own.
        let inputs = if is_steady { vec![steady(1), steady(2)] } else { vec![source(1), source(2), inner] };
        let fresh = || Watermarks::new(inputs.clone(), Vec::new(), 2);
        let now = |marks: &Watermarks| [0, 1].map(|stage| marks.current(stage));
        let (mut marks, mut clock_ms) = (fresh(), 0);
        let mut state = TaskState::new(Box::new(MemoryStore::default()));
        let mut last = now(&marks);
        let (mut kept, mut committed) = (last, last);
        for action in actions {
            match action {
                Action::Observe { source, at: millis } => marks.observe(source, at(millis), clock(clock_ms)),
                Action::Hear { writer, at: millis, idle } => {
                    let said = Progress { time: Some(at(millis)), idle };
                    marks.hear(7, &[writer.to_bytes(), said.to_bytes()].concat()).expect("own bytes");
                }
                Action::Silence(millis) => {
                    clock_ms += millis;
                    marks.find_idle(clock(clock_ms));
                }
                Action::Keep => { marks.keep_step(); kept = last; }
                Action::Undo => { marks.undo_step(); last = kept; }
                Action::Commit => {
                    marks.keep_step();
                    for (key, bytes) in marks.pending() {
                        state.put(key, &bytes);
                    }
                    state.apply().expect("memory");
                    marks.committed();
                    (kept, committed) = (last, last);
                }
                Action::Drop => { marks.drop_pending(); (last, kept) = (committed, committed); }
                Action::Restart => {
                    marks = fresh();
                    marks.load(&state).expect("own bytes");
                    (last, kept) = (committed, committed);
                }
            }
            let at = now(&marks);
            prop_assert!(at[0] >= last[0] && at[1] >= last[1], "{:?} after {:?}", at, last);
            last = at;
        }
    }
}
