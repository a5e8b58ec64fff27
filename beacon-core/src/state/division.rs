//! How the state of an application's tasks is divided anew when its partition count changes: pure.
//!
//! Kafka puts a key on hash mod P. With both counts powers of two, a task of the larger count has its keys from one task
//! of the smaller (`n mod P`), and the other way round; in a store they are one contiguous range of key groups. So
//! state is split and merged by copying ranges, and no input is read again.
//!
//! What comes of each space: keyed state, timers and open calls go where their key goes. Shared state (what broadcast
//! wrote) must be the same in every task and is copied. What watermarks mean is not known here: who calls says what
//! becomes of them.
//!
//! What it deliberately does not do: it reads no store and writes no log.

use std::ops::RangeInclusive;

use super::layout::{self, CALLS, EXPIRING, KEYED, LOCAL, SHARED, TIMERS, WATERMARKS};
use super::{Entries, StateError, Store};

/// The spaces whose keys go on with a key group, in their order.
const KEYED_SPACES: [u8; 4] = [KEYED, EXPIRING, TIMERS, CALLS];
/// All that is in a changelog, in the order of the keys.
const KNOWN_SPACES: [u8; 6] = [KEYED, EXPIRING, TIMERS, CALLS, SHARED, WATERMARKS];
/// Key groups are 16 bits.
const MOST: u32 = 1 << 16;

/// Why state cannot be divided so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DivisionError {
    /// The counts do not allow it.
    #[error("{from} partitions cannot become {to}: both have to be powers of two up to 65536, and not the same")]
    Counts {
        /// The count there is.
        from: u32,
        /// The count asked for.
        to: u32,
    },
    /// A task holds state of a key that does not belong to its partition: its input is not partitioned by that key, so
    /// nobody can tell which of the new tasks will read it.
    #[error(
        "task {task} has state of a key that Kafka's partitioner puts elsewhere (state id {id:#010x}, key {key}): the \
         input of its operator is not partitioned by the operator's key; re-key it with `key_by` first"
    )]
    Elsewhere {
        /// The task that holds it.
        task: u32,
        /// Identity of the state or operator.
        id: u32,
        /// The key, as text as far as it is text.
        key: String,
    },
    /// Shared state differs between tasks. It is written by broadcasts, which reach all of them.
    #[error(
        "tasks {one} and {other} hold different shared state (state id {id:#010x}): not all of them have read every \
         broadcast; start the application once more until its lag is zero, then stop it and try again"
    )]
    Differs {
        /// A task.
        one: u32,
        /// Another one.
        other: u32,
        /// Identity of the state.
        id: u32,
    },
    /// A task has logged state of a kind that this version does not know how to divide.
    #[error(
        "task {task} has state in space {space:#04x}, which this version cannot divide; use the version that wrote it"
    )]
    Unknown {
        /// The task that holds it.
        task: u32,
        /// The first byte of its keys.
        space: u8,
    },
    /// A store could not be read.
    #[error("task {task}: {source}")]
    State {
        /// The task.
        task: u32,
        /// Why.
        #[source]
        source: StateError,
    },
}

/// A change of the partition count, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    from: u32,
    to: u32,
}

impl Division {
    /// The change from one count to another.
    ///
    /// # Errors
    /// [`DivisionError::Counts`] unless both are powers of two of at most 65,536, and different.
    pub fn new(from: u32, to: u32) -> Result<Self, DivisionError> {
        let good = |count: u32| count.is_power_of_two() && count <= MOST;
        if good(from) && good(to) && from != to {
            Ok(Self { from, to })
        } else {
            Err(DivisionError::Counts { from, to })
        }
    }

    /// The old count.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// The new count.
    pub fn to(&self) -> u32 {
        self.to
    }

    /// The old tasks that a new task gets its keys from: one when tasks are split, several when they are merged.
    pub fn origins(&self, new_task: u32) -> Vec<u32> {
        if self.to > self.from {
            vec![new_task % self.from]
        } else {
            (new_task..self.from).step_by(self.to as usize).collect()
        }
    }

    /// Refuses old tasks that hold what cannot be divided. Reads their keys and shared state once.
    ///
    /// # Errors
    /// [`DivisionError::Elsewhere`], [`DivisionError::Differs`], [`DivisionError::Unknown`], and those of the stores.
    pub fn check(&self, old: &[&dyn Store]) -> Result<(), DivisionError> {
        let mut shared: Option<Entries> = None;
        for (task, store) in (0..).zip(old) {
            unknown(*store, task)?;
            stray(*store, task, self.from)?;
            let own = space(*store, SHARED).map_err(|source| DivisionError::State { task, source })?;
            match &shared {
                None => shared = Some(own),
                Some(first) if *first == own => {}
                Some(first) => {
                    let id = first_difference(first, &own);
                    return Err(DivisionError::Differs { one: 0, other: task, id });
                }
            }
        }
        Ok(())
    }

    /// Hands out the state of a new task, in pieces that are each in key order, until the visitor answers `false`. `old`
    /// are the stores of all old tasks, by number, which [`Division::check`] has found good; `watermarks` makes those of
    /// a new task from those of its [origins](Division::origins).
    ///
    /// # Errors
    /// Those of the stores.
    pub fn state_of(
        &self,
        new_task: u32,
        old: &[&dyn Store],
        watermarks: fn(Self, &[Entries]) -> Entries,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), DivisionError> {
        let origins = self.origins(new_task);
        let groups = groups_of(new_task, self.to);
        for origin in &origins {
            let fail = |source| DivisionError::State { task: *origin, source };
            for keyed in KEYED_SPACES {
                let (from, to) = range_of(keyed, &groups);
                let mut go_on = true;
                let mut each = |key: &[u8], value: &[u8]| {
                    go_on = visit(key, value);
                    go_on
                };
                old[*origin as usize].scan(&from, Some(&to), &mut each).map_err(fail)?;
                if !go_on {
                    return Ok(());
                }
            }
        }
        let of_origins = |wanted| {
            let read = |origin: &u32| {
                space(old[*origin as usize], wanted).map_err(|source| DivisionError::State { task: *origin, source })
            };
            origins.iter().map(read).collect::<Result<Vec<_>, _>>()
        };
        let shared = of_origins(SHARED)?;
        let watermarks = watermarks(*self, &of_origins(WATERMARKS)?);
        for (key, value) in shared.into_iter().next().unwrap_or_default().into_iter().chain(watermarks) {
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

/// The key groups of a partition among `partitions`, a power of two.
fn groups_of(partition: u32, partitions: u32) -> RangeInclusive<u16> {
    let width = MOST / partitions;
    let first = (partition as u16).reverse_bits();
    // The partition is the low bits of the hash; reversed they are the high bits of the group.
    first..=first + (width - 1) as u16
}

/// The keys of a space with these groups: from, and the first that is beyond.
fn range_of(space: u8, groups: &RangeInclusive<u16>) -> (Vec<u8>, Vec<u8>) {
    let at = |group: u16| [[space].as_slice(), &group.to_be_bytes()].concat();
    let to = groups.end().checked_add(1).map_or_else(|| vec![space + 1], at);
    (at(*groups.start()), to)
}

/// Everything of a space.
fn space(store: &dyn Store, space: u8) -> Result<Entries, StateError> {
    let mut found = Vec::new();
    store.scan(&[space], Some(&[space + 1]), &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        true
    })?;
    Ok(found)
}

/// Looks for logged state between the spaces that are known.
fn unknown(store: &dyn Store, task: u32) -> Result<(), DivisionError> {
    let begins = [0].into_iter().chain(KNOWN_SPACES.map(|space| space + 1));
    for (from, to) in begins.zip(KNOWN_SPACES.into_iter().chain([LOCAL])) {
        let mut found = None;
        store
            .scan(&[from], Some(&[to]), &mut |key, _| {
                found = key.first().copied();
                false
            })
            .map_err(|source| DivisionError::State { task, source })?;
        if let Some(space) = found {
            return Err(DivisionError::Unknown { task, space });
        }
    }
    Ok(())
}

/// Looks for a key outside of the partition's range.
fn stray(store: &dyn Store, task: u32, partitions: u32) -> Result<(), DivisionError> {
    let groups = groups_of(task, partitions);
    for keyed in KEYED_SPACES {
        let (first, beyond) = range_of(keyed, &groups);
        for (from, to) in [(vec![keyed], first), (beyond, vec![keyed + 1])] {
            let mut found = None;
            store
                .scan(&from, Some(&to), &mut |key, _| {
                    found = Some(key.to_vec());
                    false
                })
                .map_err(|source| DivisionError::State { task, source })?;
            if let Some(entry) = found {
                let (id, key, _) = layout::split_keyed(&entry).unwrap_or_default();
                let key = format!("{:?}", String::from_utf8_lossy(key));
                return Err(DivisionError::Elsewhere { task, id, key });
            }
        }
    }
    Ok(())
}

fn first_difference(one: &[(Vec<u8>, Vec<u8>)], other: &[(Vec<u8>, Vec<u8>)]) -> u32 {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let key = one.get(same).or(other.get(same)).map_or(&[][..], |(key, _)| key);
    key.get(1..5).and_then(|id| id.try_into().ok()).map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::{Codec, key_hash};
    use crate::state::{Change, MemoryStore};

    fn store(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> MemoryStore {
        let mut store = MemoryStore::default();
        store.write(&mut entries.iter().map(|(key, value)| Change::Put(key, value))).expect("memory takes writes");
        store
    }

    fn entry(space: u8, key: &[u8], rest: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        layout::keyed_prefix(&mut bytes, space, 7, layout::key_group(key), key);
        bytes.push(rest);
        bytes
    }

    /// Of watermarks that are the same in all tasks.
    fn first(_: Division, origins: &[Entries]) -> Entries {
        origins.first().cloned().unwrap_or_default()
    }

    type Tasks = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

    fn divide(tasks: &Tasks, to: u32) -> Result<Tasks, DivisionError> {
        let division = Division::new(tasks.len() as u32, to)?;
        let stores: Vec<_> = tasks.iter().map(store).collect();
        let stores: Vec<&dyn Store> = stores.iter().map(|store| store as &dyn Store).collect();
        division.check(&stores)?;
        (0..to)
            .map(|task| {
                let mut found = BTreeMap::new();
                division.state_of(task, &stores, first, &mut |key, value| {
                    assert!(found.insert(key.to_vec(), value.to_vec()).is_none(), "handed out once");
                    true
                })?;
                Ok(found)
            })
            .collect()
    }

    fn tasks_of(keys: &[Vec<u8>], count: u32) -> Tasks {
        let mut tasks = vec![BTreeMap::new(); count as usize];
        for key in keys {
            for space in KEYED_SPACES {
                tasks[(key_hash(key) % count) as usize].insert(entry(space, key, 1), key.clone());
            }
        }
        for task in &mut tasks {
            task.insert(vec![SHARED, 0, 0, 0, 9, 1], b"plan".to_vec());
            task.insert(vec![WATERMARKS, 0, 0, 0, 3], 1000_i64.to_bytes());
        }
        tasks
    }

    proptest! {
        #[test]
        fn every_key_goes_to_the_task_that_will_read_it(
            keys: Vec<Vec<u8>>, from_bits in 0u32..6, to_bits in 0u32..6,
        ) {
            prop_assume!(from_bits != to_bits);
            let (from, to) = (1 << from_bits, 1 << to_bits);
            let divided = divide(&tasks_of(&keys, from), to).expect("good state");
            prop_assert_eq!(&divided, &tasks_of(&keys, to));
        }
    }

    #[test]
    fn one_count_and_sixty_five_thousand_are_the_ends() {
        assert!(Division::new(1, MOST).is_ok());
        for (from, to) in [(3, 6), (4, 4), (0, 2), (2, 0), (4, MOST * 2)] {
            assert!(matches!(Division::new(from, to), Err(DivisionError::Counts { .. })), "{from} to {to}");
        }
        assert_eq!(groups_of(0, 1), 0..=u16::MAX);
        assert_eq!(groups_of(1, 2), 0x8000..=u16::MAX);
    }

    #[test]
    fn state_of_a_key_that_was_partitioned_otherwise_is_refused() {
        let mut tasks = tasks_of(&[b"a".to_vec()], 4);
        let wrong = (key_hash(b"b") + 1) % 4;
        tasks[wrong as usize].insert(entry(TIMERS, b"b", 0), Vec::new());
        let error = divide(&tasks, 8).expect_err("it belongs elsewhere");
        assert!(matches!(error, DivisionError::Elsewhere { task, id: 7, .. } if task == wrong), "{error}");
        assert!(error.to_string().contains("\"b\""), "{error}");
    }

    #[test]
    fn state_of_an_unknown_kind_is_refused_and_never_lost() {
        for space in [0x00, 0x15, 0x40, 0x8f, 0xef] {
            let mut tasks = tasks_of(&[b"a".to_vec()], 4);
            tasks[3].insert(vec![space, 1, 2], Vec::new());
            let error = divide(&tasks, 8).expect_err("nobody knows whose it is");
            assert!(matches!(error, DivisionError::Unknown { task: 3, space: found } if found == space), "{error}");
        }
        let mut tasks = tasks_of(&[b"a".to_vec()], 4);
        tasks[3].insert(vec![layout::META], Vec::new());
        assert!(divide(&tasks, 8).is_ok(), "what is true of a disk only stays there");
    }

    #[test]
    fn shared_state_that_differs_is_refused_and_named() {
        for to in [2, 8] {
            let mut tasks = tasks_of(&[], 4);
            tasks[2].insert(vec![SHARED, 0, 0, 0, 9, 1], b"older plan".to_vec());
            let error = divide(&tasks, to).expect_err("a broadcast is missing");
            assert!(matches!(error, DivisionError::Differs { one: 0, other: 2, id: 9 }), "{error}");
        }
    }
}
