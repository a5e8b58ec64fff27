//! How the tasks of a process share the memory for entries at hand: evenly, whichever thread and application they are of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory for the tables of all tasks that share it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct TableMemory {
    bytes: usize,
    tasks: Arc<AtomicUsize>,
}

impl TableMemory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, tasks: Arc::default() }
    }
}

/// The part of one thread's tasks.
#[derive(Debug)]
pub(crate) struct TableShare {
    memory: TableMemory,
    /// Tasks of this thread among all.
    tasks: usize,
    /// What each of them was given last.
    given: usize,
}

impl TableShare {
    pub(crate) fn new(memory: TableMemory) -> Self {
        Self { memory, tasks: 0, given: 0 }
    }

    /// This thread has so many tasks now; `is_changed`: some are not those of the last time. Returns what each may have, if
    /// one of them does not know.
    pub(crate) fn divide(&mut self, tasks: usize, is_changed: bool) -> Option<usize> {
        if tasks != self.tasks {
            self.memory.tasks.fetch_add(tasks, Ordering::Relaxed);
            self.memory.tasks.fetch_sub(self.tasks, Ordering::Relaxed);
            self.tasks = tasks;
        }
        let each = self.memory.bytes / self.memory.tasks.load(Ordering::Relaxed).max(1);
        let is_news = std::mem::replace(&mut self.given, each) != each;
        (is_news || is_changed).then_some(each)
    }
}

impl Drop for TableShare {
    fn drop(&mut self) {
        self.memory.tasks.fetch_sub(self.tasks, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tasks_have_the_same_and_hear_when_there_are_more() {
        let memory = TableMemory::new(1200);
        let (mut one, mut other) = (TableShare::new(memory.clone()), TableShare::new(memory));
        assert_eq!(one.divide(2, true), Some(600));
        assert_eq!(one.divide(2, false), None);
        assert_eq!(other.divide(1, true), Some(400));
        assert_eq!(one.divide(2, false), Some(400));
        assert_eq!(one.divide(2, true), Some(400), "another task in the place of one");
        drop(other);
        assert_eq!(one.divide(2, false), Some(600));
    }
}
