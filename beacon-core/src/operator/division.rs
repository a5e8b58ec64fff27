//! The event time of tasks that are split or merged when an application's partition count changes: pure.
//!
//! Marks of sources and of stages go where the keys go. Marks of *writers* say how far each task has announced itself in
//! a re-keyed topic; they are divided twice, for the tasks that read them and for the tasks they are about. All readers
//! have read everything when this happens, so no announcement is under way.
//!
//! Invariant: nobody takes a writer for further than it will say it is
//! (`src/operator/division.rs: no_writer_is_taken_for_further_than_it_is`). A merged writer goes on from where its slowest
//! part was, be that idle, so that what one of its parts would have sent in time is not late
//! (`src/operator/division.rs: a_merged_writer_is_no_further_than_its_idle_part`).

use std::collections::{BTreeMap, BTreeSet};

use super::event_time::Progress;
use super::watermarks::{key_of_writer, writer_of_key};
use crate::codec::Codec;
use crate::state::Entries;
use crate::state::division::Division;

/// The marks of a new task, in the order of their keys, from those of the old tasks that it gets its keys from.
///
/// Bytes that are no progress go on as they are: the task that reads them will say so.
pub(crate) fn divide_marks(division: Division, origins: &[Entries]) -> Entries {
    let origins: Vec<BTreeMap<&[u8], &[u8]>> =
        origins.iter().map(|entries| entries.iter().map(|(key, value)| (&**key, &**value)).collect()).collect();
    let (mut own, mut topics) = (BTreeSet::new(), BTreeSet::new());
    for key in origins.iter().flat_map(BTreeMap::keys).copied() {
        match writer_of_key(key) {
            Some((number, _)) => _ = topics.insert(number),
            None => _ = own.insert(key),
        }
    }
    let own = own.into_iter().map(|key| {
        let parts = origins.iter().map(|origin| origin.get(key).copied());
        (key.to_vec(), merge(parts, |parts| Progress::slowest(parts.iter().copied())))
    });
    // Every writer there will be, those as well that no old one has the number of.
    let writers = topics.into_iter().flat_map(|number| (0..division.to()).map(move |writer| (number, writer)));
    let writers = writers.map(|(number, writer)| {
        let old: Vec<_> = division.origins(writer).into_iter().map(|old| key_of_writer(number, old)).collect();
        let parts = origins.iter().flat_map(|origin| old.iter().map(|key| origin.get(&**key).copied()));
        (key_of_writer(number, writer), merge(parts, announced))
    });
    // What says nothing is not stored.
    let mut divided: Entries = own.chain(writers).filter(|(_, value)| !value.is_empty()).collect();
    divided.sort_unstable();
    divided
}

/// The bytes of what becomes of these; no bytes where nothing was heard.
fn merge<'a>(parts: impl Iterator<Item = Option<&'a [u8]>>, of: fn(&[Progress]) -> Progress) -> Vec<u8> {
    let mut known = Vec::new();
    for part in parts.map(Option::unwrap_or_default) {
        match Progress::decode(part) {
            Ok(progress) => known.push(progress),
            Err(_) => return part.to_vec(),
        }
    }
    of(&known).to_bytes()
}

/// Where a writer stands that is made of these: a part that is idle may hold back another one here, because an input that
/// was idle in one part and comes back in the merged task may set it back to there.
fn announced(parts: &[Progress]) -> Progress {
    Progress { time: parts.iter().map(|part| part.time).min().flatten(), idle: parts.iter().all(|part| part.idle) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::event_time::{Announced, TimeFrom, TimedInput};
    use super::super::watermarks::Watermarks;
    use super::*;
    use crate::state::layout::WATERMARKS;
    use crate::state::{MemoryStore, TaskState};
    use crate::time::{EventTime, ProcessingTime};

    const MAY_BE_IDLE: u32 = 3;
    const STEADY: u32 = 4;
    const TOPIC: u32 = 9;
    const FURTHER: u32 = 10;
    const IDLE_AFTER: Duration = Duration::from_millis(10);

    /// All tasks of an application: two sources, one of which may fall silent, announced in a re-keyed topic.
    struct Tasks {
        tasks: Vec<(Watermarks, TaskState)>,
        now: i64,
        /// The steady source may be idle, too.
        all_idle: bool,
    }

    impl Tasks {
        fn new(states: Vec<Entries>, now: i64, all_idle: bool) -> Self {
            let count = states.len() as u32;
            let source = |number, idle_after| TimedInput {
                number,
                from: TimeFrom::Records { lateness: Duration::ZERO, idle_after },
                stage: 0,
            };
            let open = |entries: Entries| {
                let inputs = vec![
                    source(MAY_BE_IDLE, Some(IDLE_AFTER)),
                    source(STEADY, all_idle.then_some(IDLE_AFTER)),
                    TimedInput { number: TOPIC, from: TimeFrom::Tasks, stage: 1 },
                    TimedInput { number: FURTHER, from: TimeFrom::Tasks, stage: 2 },
                ];
                let mut state = TaskState::new(Box::new(MemoryStore::default()));
                entries.iter().for_each(|(key, value)| state.put(key, value));
                state.apply().expect("memory");
                let announced =
                    vec![Announced { topic: "anew".into(), stage: 0 }, Announced { topic: "further".into(), stage: 1 }];
                let mut marks = Watermarks::new(inputs, announced, count);
                marks.load(&state).expect("own bytes");
                (marks, state)
            };
            Self { tasks: states.into_iter().map(open).collect(), now, all_idle }
        }

        /// Commits all, and carries what they announce to all: until what was heard last is committed as well.
        fn commit(&mut self) {
            for _ in 0..4 {
                let mut said = Vec::new();
                for (number, (marks, state)) in (0..).zip(&mut self.tasks) {
                    marks.keep_step();
                    said.extend(marks.announcements(number));
                    let pending: Vec<_> = marks.pending().map(|(key, bytes)| (key.to_vec(), bytes)).collect();
                    pending.iter().for_each(|(key, bytes)| state.put(key, bytes));
                    state.apply().expect("memory");
                    marks.committed();
                }
                for (marks, _) in &mut self.tasks {
                    for said in &said {
                        let number = if &*said.topic == "anew" { TOPIC } else { FURTHER };
                        marks.hear(number, &said.bytes).expect("own bytes");
                    }
                }
            }
            self.tasks.iter_mut().for_each(|(marks, _)| marks.keep_step());
        }

        fn entries(&mut self) -> Vec<Entries> {
            let of_task = |(_, state): &mut (Watermarks, TaskState)| {
                let mut found = Entries::new();
                let mut note = |key: &[u8], value: &[u8]| {
                    found.push((key.to_vec(), value.to_vec()));
                    true
                };
                state.store().expect("memory").scan(&[WATERMARKS], Some(&[WATERMARKS + 1]), &mut note).expect("memory");
                found
            };
            self.tasks.iter_mut().map(of_task).collect()
        }

        fn rescale(&mut self, to: u32) {
            let Ok(division) = Division::new(self.tasks.len() as u32, to) else { return };
            let old = self.entries();
            let of_new = |task| {
                let origins: Vec<_> =
                    division.origins(task).iter().map(|old_task| old[*old_task as usize].clone()).collect();
                divide_marks(division, &origins)
            };
            *self = Self::new((0..to).map(of_new).collect(), self.now, self.all_idle);
        }

        /// No task takes a writer for further than it is, which is where it goes on announcing from.
        fn nobody_is_ahead_of_a_writer(&mut self) {
            for entries in self.entries() {
                for (key, value) in entries {
                    let Some((number, writer)) = writer_of_key(&key) else { continue };
                    let heard = Progress::decode(&value).expect("own bytes");
                    let stage = u8::from(number == FURTHER);
                    let at: Vec<_> = self.tasks.iter().map(|(marks, _)| marks.current(stage)).collect();
                    assert!(
                        heard.time <= at[writer as usize],
                        "writer {writer} is at {at:?}, and was taken for {heard:?}"
                    );
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Action {
        Observe { task: usize, source: u32, at: i64 },
        Silence(i64),
        Rescale(u32),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            8 => (0usize..16, prop_oneof![Just(MAY_BE_IDLE), Just(STEADY)], 0i64..50)
                .prop_map(|(task, source, at)| Action::Observe { task, source, at }),
            2 => (1i64..20).prop_map(Action::Silence),
            2 => (0u32..4).prop_map(|bits| Action::Rescale(1 << bits)),
        ]
    }

    proptest! {
        #[test]
        fn no_writer_is_taken_for_further_than_it_is(
            all_idle: bool,
            actions in proptest::collection::vec(action(), 1..60),
        ) {
            let mut tasks = Tasks::new(vec![Entries::new(); 4], 0, all_idle);
            for action in actions {
                let now = ProcessingTime::from_millis(tasks.now);
                match action {
                    Action::Observe { task, source, at } => {
                        let count = tasks.tasks.len();
                        tasks.tasks[task % count].0.observe(source, EventTime::from_millis(at), now);
                    }
                    Action::Silence(millis) => {
                        tasks.now += millis;
                        let now = ProcessingTime::from_millis(tasks.now);
                        for (marks, _) in &mut tasks.tasks {
                            marks.find_idle(now);
                        }
                    }
                    Action::Rescale(to) => tasks.rescale(to),
                }
                if !matches!(action, Action::Rescale(_)) {
                    tasks.commit();
                }
                tasks.nobody_is_ahead_of_a_writer();
            }
            // And time goes on: nobody waits for a writer that is gone, or that nobody has heard of.
            let now = ProcessingTime::from_millis(tasks.now);
            for (marks, _) in &mut tasks.tasks {
                for source in [MAY_BE_IDLE, STEADY] {
                    marks.observe(source, EventTime::from_millis(100), now);
                }
            }
            tasks.commit();
            for (marks, _) in &tasks.tasks {
                prop_assert_eq!(marks.current(2), Some(EventTime::from_millis(100)));
            }
        }
    }

    #[test]
    fn writers_are_split_and_merged_like_their_keys() {
        let at = |millis: i64| Progress { time: Some(EventTime::from_millis(millis)), idle: false };
        let stored = |times: &[i64]| -> Entries {
            (0..).zip(times).map(|(writer, time)| (key_of_writer(TOPIC, writer), at(*time).to_bytes())).collect()
        };
        let double = Division::new(2, 4).expect("powers of two");
        assert_eq!(divide_marks(double, &[stored(&[5, 7])]), stored(&[5, 7, 5, 7]));
        let halve = Division::new(4, 2).expect("powers of two");
        assert_eq!(divide_marks(halve, &[stored(&[5, 7, 3, 9]), stored(&[5, 7, 3, 9])]), stored(&[3, 7]));
        // One of the two that become writer 1 was never heard.
        assert_eq!(divide_marks(halve, &[stored(&[5, 7, 3]), stored(&[5, 7, 3])]), stored(&[3]));
    }

    /// What it was left behind with may come back in the merged task, and is to be in time there.
    #[test]
    fn a_merged_writer_is_no_further_than_its_idle_part() {
        let at = |millis: i64, idle| Progress { time: Some(EventTime::from_millis(millis)), idle }.to_bytes();
        let halve = Division::new(2, 1).expect("powers of two");
        let heard = vec![(key_of_writer(TOPIC, 0), at(5, true)), (key_of_writer(TOPIC, 1), at(100, false))];
        assert_eq!(divide_marks(halve, &[heard.clone(), heard]), [(key_of_writer(TOPIC, 0), at(5, false))]);
    }

    #[test]
    fn bytes_that_are_no_progress_are_not_made_into_one() {
        let halve = Division::new(2, 1).expect("powers of two");
        let source = vec![WATERMARKS, 0, 0, 0, 3];
        let origins = [vec![(source.clone(), vec![0; 3])], vec![(source.clone(), 5_i64.to_bytes())]];
        assert_eq!(divide_marks(halve, &origins), vec![(source, vec![0; 3])]);
    }
}
