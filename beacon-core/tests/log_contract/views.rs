//! Views over this log: what they show, which offsets it reflects, and what their observers are told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use beacon_core::log::{CleanupPolicy, LogErrorKind, Offset, Record, SendRecord, TopicPartition, TopicSpec};
use beacon_core::view::{Change, View};

use super::{Member, Subject};

const PARTITIONS: u32 = 3;
const ROUNDS: u32 = 10;

/// Partition, key, value before, value after.
type Told = (u32, String, Option<String>, Option<String>);

/// The compacted topic, and what its keys mean by now.
struct States {
    topic: Arc<str>,
    now: BTreeMap<String, String>,
    /// What has to be told of each partition, in its order.
    changes: Vec<Told>,
}

impl States {
    fn partition(key: &str) -> u32 {
        key.bytes().map(u32::from).sum::<u32>() % PARTITIONS
    }

    fn send<'a>(&'a self, key: &'a str, value: Option<&'a str>) -> SendRecord<'a> {
        SendRecord {
            topic: &self.topic,
            partition: Some(Self::partition(key)),
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            headers: &[],
            timestamp_ms: None,
        }
    }

    fn note(&mut self, key: &str, value: Option<&str>) {
        let old = match value {
            Some(value) => self.now.insert(key.to_owned(), value.to_owned()),
            None => self.now.remove(key),
        };
        self.changes.push((Self::partition(key), key.to_owned(), old, value.map(str::to_owned)));
    }

    /// One transaction; the offset after the last record of each partition.
    fn commit(
        &mut self,
        member: &mut Member,
        input: &TopicPartition,
        changes: &[(&str, Option<&str>)],
    ) -> Vec<(u32, Offset)> {
        member.session.begin().expect("begun");
        for (key, value) in changes {
            member.session.send(self.send(key, *value)).expect("sent");
            self.note(key, *value);
        }
        let receipt = member.session.commit(&[(input.clone(), 0)]).expect("committed");
        receipt.ends.into_iter().map(|(at, end)| (at.partition, end)).collect()
    }
}

/// The changes of one partition.
fn of_partition(changes: &[Told], partition: u32) -> Vec<&Told> {
    changes.iter().filter(|change| change.0 == partition).collect()
}

/// A view is one picture of what was committed, to the offset, and each change is told once and in order.
pub fn a_view_reflects_commits_to_the_offset_and_tells_each_change_once(subject: &Subject) {
    let mut states = States { topic: subject.name("states").into(), now: BTreeMap::new(), changes: Vec::new() };
    let error = View::<String, String>::start(&*subject.log, &states.topic).expect_err("no such topic yet");
    assert_eq!(error.kind(), LogErrorKind::UnknownTopic);
    let name = states.topic.to_string();
    let spec = TopicSpec { name, partitions: PARTITIONS, cleanup: CleanupPolicy::Compact };
    subject.log.create_topics(&[spec]).expect("made");

    // From before: an aborted transaction, and commits, whose markers are the last offsets there are on Kafka.
    let input = subject.topic("input", 1);
    let mut member = subject.join("group", "id", &[&input]);
    member.own(1);
    let input = TopicPartition::new(input, 0);
    member.session.begin().expect("begun");
    member.session.send(states.send("never", Some("aborted"))).expect("sent");
    member.session.abort().expect("aborted");
    states.commit(&mut member, &input, &[("a", Some("before")), ("b", Some("before")), ("c", Some("before"))]);
    states.commit(&mut member, &input, &[("gone", Some("before"))]);
    states.commit(&mut member, &input, &[("gone", None)]);

    let told = Arc::new(Mutex::new(Vec::new()));
    let view = View::<String, String>::start_observed(&*subject.log, &states.topic, {
        let told = Arc::clone(&told);
        move |change: &Change<String, String>| told.lock().expect("no panic under it").push(change.clone())
    })
    .expect("started");
    view.wait_until_caught_up(subject.patience).expect("caught up, past markers");

    // A session's commits are seen by who waits for their offsets.
    for round in 0..ROUNDS {
        let value = round.to_string();
        let other = format!("key/{}", round % 4);
        let tombstone = if round % 2 == 1 { None } else { Some(&*value) };
        let ends = states.commit(&mut member, &input, &[("a", Some(&value)), ("b", tombstone), (&other, Some(&value))]);
        for (partition, end) in &ends {
            view.wait_for(*partition, end - 1, subject.patience).expect("reflected");
        }
        let answer = view.get_with_offsets("a");
        assert_eq!(answer.value.as_deref(), Some(&value));
        for (partition, end) in &ends {
            assert!(answer.reflects[*partition as usize] >= *end, "{answer:?} does not reflect {ends:?}");
        }
        assert_eq!(view.get("b").as_deref().map(String::as_str), tombstone);
    }
    // And so are those of an appender.
    for value in [Some("appended"), None] {
        let record = Record { value: value.map(Into::into), ..Record::new(Arc::clone(&states.topic), "d", "") };
        let position = subject.append(record.to_partition(States::partition("d")));
        states.note("d", value);
        view.wait_for(position.partition, position.offset, subject.patience).expect("reflected");
        let answer = view.get_with_offsets("d");
        assert_eq!(answer.value.as_deref().map(String::as_str), value);
        assert!(answer.reflects[position.partition as usize] > position.offset, "{answer:?}, {position:?}");
    }

    let shown: BTreeMap<_, _> =
        view.read(|table| table.iter().map(|(key, value)| (key.clone(), value.to_string())).collect());
    assert_eq!(shown, states.now);
    assert_eq!(view.broken_records(), 0);
    let told = told.lock().expect("no panic under it");
    for partition in 0..PARTITIONS {
        let of_it: Vec<_> = told.iter().filter(|change| change.partition == partition).collect();
        assert!(of_it.is_sorted_by(|one, next| one.offset < next.offset), "each once, in order: {of_it:?}");
        let text = |value: &Option<Arc<String>>| value.as_deref().cloned();
        let heard: Vec<Told> =
            of_it.iter().map(|at| (at.partition, at.key.clone(), text(&at.old), text(&at.new))).collect();
        assert_eq!(heard.iter().collect::<Vec<_>>(), of_partition(&states.changes, partition));
    }
}
