//! Progress as a task has it in hand, beside what its state says: one write per mark and commit, however often it moves.
//!
//! Event time moves with nearly every record. Through state that was a quarter of a record's instructions; state needs
//! to hear of it only where it becomes committed.

use super::event_time::Progress;
use crate::codec::Codec;
use crate::state::{StateError, TaskState};

/// One stored progress.
#[derive(Debug)]
struct Mark {
    key: Vec<u8>,
    now: Progress,
    /// After the steps that were kept.
    kept: Progress,
    /// After the last commit: what state says.
    committed: Progress,
}

/// All of a task.
///
/// Invariant: after [`Marks::drop_pending`] each mark is what state says
/// (`src/operator/marks.rs: behaves_like_state_that_is_written_at_once`).
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: Vec<Mark>,
    /// Those that the current step has moved.
    touched: Vec<usize>,
}

impl Marks {
    /// Adds one, of which state has said nothing yet; returns its place.
    pub(super) fn add(&mut self, key: Vec<u8>) -> usize {
        let nothing = Progress::default();
        self.marks.push(Mark { key, now: nothing, kept: nothing, committed: nothing });
        self.marks.len() - 1
    }

    /// Sets all to what state says, pending writes included.
    ///
    /// # Errors
    /// The store's; bytes that are no progress.
    pub(super) fn load(&mut self, state: &TaskState) -> Result<(), StateError> {
        self.touched.clear();
        for mark in &mut self.marks {
            let decode = |bytes: Option<&[u8]>| bytes.map(Progress::decode).transpose();
            let stored = state
                .read(&mark.key, decode)?
                .map_err(|source| StateError::Codec { store: "watermarks".into(), source })?
                .unwrap_or_default();
            (mark.now, mark.kept, mark.committed) = (stored, stored, stored);
        }
        Ok(())
    }

    pub(super) fn get(&self, place: usize) -> Progress {
        self.marks[place].now
    }

    /// Moves one. Whether that is news.
    pub(super) fn set(&mut self, place: usize, to: Progress) -> bool {
        let mark = &mut self.marks[place];
        let moved = mark.now != to;
        if moved {
            mark.now = to;
            self.touched.push(place);
        }
        moved
    }

    /// What the current step did is part of the next commit.
    pub(super) fn keep_step(&mut self) {
        for place in self.touched.drain(..) {
            let mark = &mut self.marks[place];
            mark.kept = mark.now;
        }
    }

    /// Takes back what the current step did. Whether it did anything.
    pub(super) fn undo_step(&mut self) -> bool {
        let any = !self.touched.is_empty();
        for place in self.touched.drain(..) {
            let mark = &mut self.marks[place];
            mark.now = mark.kept;
        }
        any
    }

    /// Takes back everything since the last commit.
    pub(super) fn drop_pending(&mut self) {
        self.touched.clear();
        for mark in &mut self.marks {
            (mark.now, mark.kept) = (mark.committed, mark.committed);
        }
    }

    /// What the next commit has to tell state: key and bytes.
    pub(super) fn pending(&self) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
        let news = self.marks.iter().filter(|mark| mark.kept != mark.committed);
        news.map(|mark| (mark.key.as_slice(), mark.kept.to_bytes()))
    }

    /// The commit went through.
    pub(super) fn committed(&mut self) {
        for mark in &mut self.marks {
            mark.committed = mark.kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::MemoryStore;
    use crate::state::layout::WATERMARKS;
    use crate::time::EventTime;

    #[derive(Clone, Debug)]
    enum Action {
        Set(usize, i64),
        Keep,
        Undo,
        Commit,
        Drop,
        Crash,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            6 => (0usize..3, 0i64..5).prop_map(|(place, at)| Action::Set(place, at)),
            3 => Just(Action::Keep),
            1 => Just(Action::Undo),
            2 => Just(Action::Commit),
            1 => Just(Action::Drop),
            1 => Just(Action::Crash),
        ]
    }

    fn marks() -> Marks {
        let mut marks = Marks::default();
        for number in 0..3 {
            marks.add(vec![WATERMARKS, number]);
        }
        marks
    }

    proptest! {
        /// Three plain arrays say what is now, kept and committed; a crash leaves what was committed.
        #[test]
        fn behaves_like_state_that_is_written_at_once(actions in proptest::collection::vec(action(), 0..80)) {
            let mut state = TaskState::new(Box::new(MemoryStore::default()));
            let mut marks = marks();
            let mut now = [Progress::default(); 3];
            let (mut kept, mut committed) = (now, now);
            for action in actions {
                match action {
                    Action::Set(place, at) => {
                        let to = Progress { time: Some(EventTime::from_millis(at)), idle: at == 0 };
                        prop_assert_eq!(marks.set(place, to), now[place] != to);
                        now[place] = to;
                    }
                    Action::Keep => { marks.keep_step(); kept = now; }
                    Action::Undo => { marks.undo_step(); now = kept; }
                    Action::Commit => {
                        marks.keep_step();
                        for (key, bytes) in marks.pending() {
                            state.put(key, &bytes);
                        }
                        state.apply().expect("memory");
                        marks.committed();
                        prop_assert_eq!(marks.pending().count(), 0);
                        (kept, committed) = (now, now);
                    }
                    Action::Drop => { marks.drop_pending(); (now, kept) = (committed, committed); }
                    Action::Crash => {
                        marks = self::marks();
                        marks.load(&state).expect("own bytes");
                        (now, kept) = (committed, committed);
                    }
                }
                for (place, expected) in now.iter().enumerate() {
                    prop_assert_eq!(marks.get(place), *expected);
                }
            }
        }
    }
}
