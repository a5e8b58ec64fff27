use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use super::*;
use crate::log::{Event, OwnedBatch, Record};

const LONG: Duration = Duration::from_secs(60);
const TOPIC: &str = "states";

/// A reader that says what the test tells it to.
struct Scripted(Receiver<Result<Event, LogError>>);

impl Reader for Scripted {
    fn assign(&mut self, _: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        Ok(())
    }
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        match self.0.recv_timeout(timeout) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Ok(Event::Idle),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(timeout);
                Ok(Event::Idle)
            }
        }
    }
}

type Script = Sender<Result<Event, LogError>>;

fn view(ends: &[Offset], observer: impl FnMut(&Change<String, u32>) + Send + 'static) -> (Script, View<String, u32>) {
    let (script, events) = channel();
    let view = View::over(TOPIC.into(), ends.to_vec(), Box::new(Scripted(events)), observer).expect("a thread");
    (script, view)
}

/// Offset, key, value.
type Row<'a> = (Offset, Option<&'a str>, Option<&'a [u8]>);

fn records(partition: u32, records: &[Row<'_>]) -> Result<Event, LogError> {
    let owned = records.iter().map(|(offset, key, value)| {
        let record = Record {
            topic: TOPIC.into(),
            partition: Some(partition),
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
            timestamp_ms: Some(0),
        };
        (*offset, record)
    });
    Ok(Event::Records(Box::new(OwnedBatch::new(owned.collect()))))
}

fn number(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

#[test]
fn reads_see_what_was_waited_for_with_its_offsets() {
    let (script, view) = view(&[0, 0], |_| ());
    script.send(records(1, &[(4, Some("a"), Some(&number(7))), (6, Some("b"), Some(&number(8)))])).expect("alive");
    view.wait_for(1, 6, LONG).expect("reached");
    assert_eq!(view.get("a").as_deref(), Some(&7));
    view.read(|table| {
        assert_eq!(table.reflects(), [0, 7]);
        assert_eq!(table.len(), 2);
    });
    assert_eq!(view.get_with_offsets("b"), Answer { value: Some(Arc::new(8)), reflects: vec![0, 7] });
    script.send(records(1, &[(7, Some("a"), None)])).expect("alive");
    view.wait_for(1, 7, LONG).expect("reached");
    assert_eq!(view.get("a"), None);
    assert_eq!(view.get_with_offsets("a"), Answer { value: None, reflects: vec![0, 8] });
}

#[test]
fn caught_up_needs_the_end_of_every_partition_even_where_markers_took_the_last_offsets() {
    let (script, view) = view(&[3, 0, 5], |_| ());
    assert!(!view.is_caught_up());
    script.send(records(0, &[(2, Some("a"), Some(&number(1)))])).expect("alive");
    view.wait_for(0, 2, LONG).expect("reached");
    assert!(matches!(
        view.wait_until_caught_up(Duration::from_millis(1)),
        Err(WaitError::TimedOut { partition: 2, .. })
    ));
    // Offsets 3 and 4 are markers: the end comes at 3.
    script.send(Ok(Event::EndOfPartition(TopicPartition::new(TOPIC, 2), 3))).expect("alive");
    view.wait_until_caught_up(LONG).expect("caught up");
    assert!(view.is_caught_up());
}

#[test]
fn a_broken_value_is_counted_and_the_older_one_stays() {
    let (script, view) = view(&[0], |_| ());
    script
        .send(records(
            0,
            &[
                (0, Some("a"), Some(&number(1))),
                (1, Some("a"), Some(b"?")),
                (2, None, Some(&number(2))),
                (3, Some("b"), Some(&number(3))),
            ],
        ))
        .expect("alive");
    view.wait_for(0, 3, LONG).expect("broken records are passed over");
    assert_eq!(view.broken_records(), 2);
    assert_eq!(view.get("a").as_deref(), Some(&1));
    assert_eq!(view.get("b").as_deref(), Some(&3));
}

#[test]
fn the_observer_hears_every_change_before_anybody_who_waits() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (script, view) = view(&[0], {
        let heard = Arc::clone(&heard);
        move |change| {
            let old = change.old.as_deref().copied();
            heard.lock().expect("no panic").push((
                change.offset,
                change.key.clone(),
                old,
                change.new.as_deref().copied(),
            ));
        }
    });
    script
        .send(records(0, &[(0, Some("a"), Some(&number(1))), (1, Some("a"), Some(&number(2))), (2, Some("a"), None)]))
        .expect("alive");
    view.wait_for(0, 2, LONG).expect("reached");
    let a = "a".to_owned();
    assert_eq!(
        *heard.lock().expect("no panic"),
        [(0, a.clone(), None, Some(1)), (1, a.clone(), Some(1), Some(2)), (2, a, Some(2), None)]
    );
}

#[test]
fn a_passing_trouble_is_outlived_and_a_lasting_one_is_reported() {
    let (script, view) = view(&[0], |_| ());
    script.send(Err(LogError::new(LogErrorKind::Retriable, "broker away"))).expect("alive");
    script.send(records(0, &[(0, Some("a"), Some(&number(1)))])).expect("alive");
    view.wait_for(0, 0, LONG).expect("read after the trouble");
    assert_eq!(view.ended(), None);

    script.send(Err(LogError::new(LogErrorKind::Damaged, "bad block in 000012.sst"))).expect("alive");
    let error = view.wait_for(0, 1, LONG).expect_err("failed");
    assert_eq!(error, WaitError::Ended("the view of states failed: bad block in 000012.sst".to_owned()));
    assert_eq!(view.get("a").as_deref(), Some(&1), "what was read stays readable");
}

#[test]
fn a_stop_ends_all_waits() {
    let (script, mut view) = view(&[0], |_| ());
    script.send(records(0, &[(0, Some("a"), Some(&number(1)))])).expect("alive");
    view.wait_for(0, 0, LONG).expect("reached");
    view.stop();
    assert_eq!(view.wait_for(0, 1, LONG), Err(WaitError::Ended("the view of states: it was stopped".to_owned())));
}

#[test]
fn a_panicking_observer_ends_all_waits() {
    let (script, view) = view(&[0], |_| panic!("on purpose"));
    script.send(records(0, &[(0, Some("a"), Some(&number(1)))])).expect("alive");
    let error = view.wait_for(0, 0, LONG).expect_err("the thread is gone");
    assert_eq!(error, WaitError::Ended("the view of states: its thread panicked".to_owned()));
}
