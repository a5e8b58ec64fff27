//! One task through steps, commits, drops and crashes, beside the log it would have.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::log::{Offset, OwnedBatch, Record, RecordBatch, TopicPartition};
use crate::operator::{Ctx, KeyedProcess, OpError, OpResult, Outgoing};
use crate::state::{Change, MemoryStore, Value};
use crate::time::ProcessingTime;
use crate::timer_tags;
use crate::topology::{Topic, Topology, TopologyBuilder};

timer_tags! {
    enum Deadline { Over = 1 }
}

/// Counts visits until nobody has come for a second, and takes no ninth.
struct Visits {
    count: Value<u64>,
}

impl KeyedProcess for Visits {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type Timer = Deadline;

    fn on_record(&self, _: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        ctx.set_timer(Deadline::Over, ctx.processing_time() + Duration::from_secs(1))?;
        if count == 9 { Err(OpError::dead_letter("the ninth")) } else { ctx.emit(count) }
    }

    fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.count.clear(ctx);
        Ok(())
    }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("visits");
    app.dead_letters("dead");
    app.source("visits", &Topic::<u64>::new("visits"))
        .with_event_time(Duration::ZERO)
        .keyed("visitor", |visitor| *visitor)
        .process("count", |state| Visits { count: state.value("count") })
        .sink("counts", &Topic::<u64>::new("counts"), |count| count.to_be_bytes().to_vec());
    app.build().expect("a valid topology")
}

/// What the log has of the task.
#[derive(Default)]
struct Committed {
    changelog: Vec<Vec<u8>>,
    read: Offset,
}

fn input() -> TopicPartition {
    TopicPartition::new("visits", 0)
}

impl Committed {
    /// A task that comes from nothing but this.
    fn restored(&self) -> Task {
        let settings = TaskSettings { id: TaskId::Keyed(0), partitions: 1 };
        let mut task = Task::new(&topology(), &settings, Box::new(MemoryStore::default())).expect("memory");
        for (offset, value) in (0..).zip(&self.changelog) {
            task.replay(offset, value).expect("own changelog");
        }
        task.finish_replay(self.changelog.len() as Offset).expect("memory");
        task.positions.assign(input(), self.read);
        task
    }

    fn commit(&mut self, task: &mut Task) {
        let mut chunks = Vec::new();
        let mut send = |record: Outgoing| {
            chunks.extend(record.value);
            Ok(())
        };
        let offsets = task.seal(&mut send).expect("memory");
        let wrote = !chunks.is_empty();
        self.changelog.extend(chunks);
        let end = (task.changelog().clone(), self.changelog.len() as Offset);
        self.read = offsets.iter().find(|(partition, _)| *partition == input()).map_or(self.read, |(_, next)| *next);
        task.committed(if wrote { std::slice::from_ref(&end) } else { &[] }).expect("memory");
    }
}

#[derive(Clone, Debug)]
enum Action {
    Feed(u64),
    Pass(u64),
    Commit,
    Drop,
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0u64..3).prop_map(Action::Feed),
        2 => (1u64..800).prop_map(Action::Pass),
        3 => Just(Action::Commit),
        1 => Just(Action::Drop),
        1 => Just(Action::Crash),
    ]
}

proptest! {
    #[test]
    fn after_each_commit_state_is_the_changelog_and_positions_are_what_was_committed(
        actions in proptest::collection::vec(action(), 1..80),
    ) {
        let mut log = Committed::default();
        let mut task = log.restored();
        let (topic, mut now_ms): (Arc<str>, i64) = ("visits".into(), 0);
        for action in actions {
            let now = ProcessingTime::from_millis(now_ms);
            match action {
                Action::Feed(visitor) => {
                    let offset = task.positions.next(&input()).expect("assigned");
                    let record = Record::new(Arc::clone(&topic), visitor.to_be_bytes(), visitor.to_be_bytes());
                    let record = Record { timestamp_ms: Some(now_ms), ..record };
                    let batch = OwnedBatch::new(vec![(offset, record.to_partition(0))]);
                    task.feed(batch.get(0), now, &mut |_| Ok(())).expect("memory");
                    continue;
                }
                Action::Pass(millis) => {
                    now_ms += millis as i64;
                    let now = ProcessingTime::from_millis(now_ms);
                    task.fire_timers(now, usize::MAX, &mut |_| Ok(())).expect("memory");
                    continue;
                }
                Action::Commit => log.commit(&mut task),
                Action::Drop => _ = task.dropped(),
                Action::Crash => task = log.restored(),
            }
            let mut restored = log.restored();
            prop_assert_eq!(task.dump().expect("memory"), restored.dump().expect("memory"));
            prop_assert_eq!(task.next_timer().expect("memory"), restored.next_timer().expect("memory"));
            prop_assert_eq!(task.step.watermark(0), restored.step.watermark(0));
            let stands_at = Some(log.changelog.len() as Offset);
            prop_assert_eq!(read_changelog_end(&task.step.state).expect("own bytes"), stands_at);
            prop_assert_eq!(task.positions.next(&input()), Some(log.read));
        }
    }
}

#[test]
fn what_a_store_says_of_its_changelog_stays_readable() {
    let settings = TaskSettings { id: TaskId::Keyed(0), partitions: 1 };
    let stored = [Change::Put(b"\xf2", b"\0\0\0\0\0\0\0\x09"), Change::Put(b"\xf2\x01", b"a topic's id")];
    let mut store = MemoryStore::default();
    store.write(&mut stored.into_iter()).expect("memory");
    let task = Task::new(&topology(), &settings, Box::new(store)).expect("own bytes");
    assert_eq!((task.changelog_end(), task.history().expect("memory").as_deref()), (Some(9), Some("a topic's id")));

    let mut task = Task::new(&topology(), &settings, Box::new(MemoryStore::default())).expect("memory");
    task.note_history("a topic's id").expect("memory");
    task.finish_replay(9).expect("memory");
    let store = task.store().expect("memory");
    for (key, value) in [(&b"\xf2"[..], &b"\0\0\0\0\0\0\0\x09"[..]), (b"\xf2\x01", b"a topic's id")] {
        assert_eq!(store.get(key).expect("memory").as_deref(), Some(value));
    }
}
