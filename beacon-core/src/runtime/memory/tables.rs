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
}

impl TableShare {
    pub(crate) fn new(memory: TableMemory) -> Self {
        Self { memory, tasks: 0 }
    }

    /// This thread has so many tasks now. Returns what each may have.
    pub(crate) fn divide(&mut self, tasks: usize) -> usize {
        if tasks != self.tasks {
            self.memory.tasks.fetch_add(tasks, Ordering::Relaxed);
            self.memory.tasks.fetch_sub(self.tasks, Ordering::Relaxed);
            self.tasks = tasks;
        }
        self.memory.bytes / self.memory.tasks.load(Ordering::Relaxed).max(1)
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
        assert_eq!(one.divide(2), 600);
        assert_eq!(one.divide(2), 600, "counted once");
        assert_eq!(other.divide(1), 400);
        assert_eq!(one.divide(2), 400);
        drop(other);
        assert_eq!(one.divide(2), 600);
    }
}
