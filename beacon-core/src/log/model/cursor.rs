//! One reader's place in one partition: what it gets next.

use crate::log::{Offset, OffsetRange};

/// What a cursor has to deliver, given the partition's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Paused, or waiting at an end it has already told of.
    Nothing,
    /// Records from this offset on.
    Read(Offset),
    /// The end, reached just now.
    End(Offset),
    /// The next record was trimmed away; the partition starts later.
    Trimmed {
        /// The first offset still there.
        start: Offset,
    },
    /// The position is past the end: these records were never written, or the log was replaced by an older one.
    Beyond {
        /// The end there is.
        end: Offset,
    },
}

/// A position, with what the reader was told about the end and whether it wants records now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    position: Offset,
    paused: bool,
    end_told: bool,
}

impl Cursor {
    /// A cursor that delivers from `position` on.
    pub fn new(position: Offset) -> Self {
        Self { position, paused: false, end_told: false }
    }

    /// What to deliver next.
    pub fn step(&self, range: OffsetRange) -> Step {
        if self.paused {
            Step::Nothing
        } else if self.position < range.start {
            Step::Trimmed { start: range.start }
        } else if self.position > range.end {
            Step::Beyond { end: range.end }
        } else if self.position < range.end {
            Step::Read(self.position)
        } else if self.end_told {
            Step::Nothing
        } else {
            Step::End(self.position)
        }
    }

    /// Notes that everything before `next` has been delivered.
    pub fn advance(&mut self, next: Offset) {
        self.position = next;
        self.end_told = false;
    }

    /// Notes that the end was told.
    pub fn tell_end(&mut self) {
        self.end_told = true;
    }

    /// Stops or takes up delivery; an end told before is not told again.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The offset that is delivered next.
    pub fn position(&self) -> Offset {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: Offset, end: Offset) -> OffsetRange {
        OffsetRange { start, end }
    }

    #[test]
    fn the_end_is_told_once_each_time_it_is_reached() {
        let mut cursor = Cursor::new(5);
        assert_eq!(cursor.step(range(0, 5)), Step::End(5));
        cursor.tell_end();
        assert_eq!(cursor.step(range(0, 5)), Step::Nothing);
        assert_eq!(cursor.step(range(0, 7)), Step::Read(5));
        cursor.advance(7);
        assert_eq!(cursor.step(range(0, 7)), Step::End(7));
    }

    #[test]
    fn a_paused_cursor_delivers_nothing_and_keeps_its_position() {
        let mut cursor = Cursor::new(5);
        cursor.set_paused(true);
        assert_eq!(cursor.step(range(0, 9)), Step::Nothing);
        cursor.set_paused(false);
        assert_eq!(cursor.step(range(0, 9)), Step::Read(5));
    }

    #[test]
    fn positions_outside_of_the_log_are_told_apart() {
        assert_eq!(Cursor::new(5).step(range(6, 9)), Step::Trimmed { start: 6 });
        assert_eq!(Cursor::new(10).step(range(6, 9)), Step::Beyond { end: 9 });
    }
}
