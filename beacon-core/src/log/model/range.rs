//! What may happen to the range of offsets of a partition: grow at its end, shrink at its start.

use crate::log::{Offset, OffsetRange, StartFrom};

/// The offsets that `count` new records take, as (first, range afterwards).
pub fn reserve(range: OffsetRange, count: u32) -> (Offset, OffsetRange) {
    (range.end, OffsetRange { start: range.start, end: range.end + Offset::from(count) })
}

/// What a request to trim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Everything before was gone already.
    Nothing,
    /// The partition starts here afterwards.
    StartAt(Offset),
    /// The request names an offset no record has reached yet, which is a mistake of the caller.
    BeyondEnd,
}

/// Decides a request to delete the records before `before`.
pub fn trim(range: OffsetRange, before: Offset) -> Trim {
    if before > range.end {
        Trim::BeyondEnd
    } else if before <= range.start {
        Trim::Nothing
    } else {
        Trim::StartAt(before)
    }
}

/// Where a group begins to read a partition it has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstRead {
    /// At this offset.
    At(Offset),
    /// At the start of the partition, because what the group had not read yet (from `wanted` on) was trimmed away.
    Skipped {
        /// The committed offset.
        wanted: Offset,
        /// The first record still there.
        start: Offset,
    },
}

/// Decides where a group begins to read, by its committed offset if it has one.
pub fn first_read(committed: Option<Offset>, from: StartFrom, range: OffsetRange) -> FirstRead {
    match (committed, from) {
        (Some(wanted), _) if wanted < range.start => FirstRead::Skipped { wanted, start: range.start },
        (Some(offset), _) => FirstRead::At(offset),
        (None, StartFrom::Earliest) => FirstRead::At(range.start),
        (None, StartFrom::Latest) => FirstRead::At(range.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: OffsetRange = OffsetRange { start: 10, end: 20 };

    #[test]
    fn reserved_offsets_follow_the_end_and_leave_the_start() {
        assert_eq!(reserve(RANGE, 5), (20, OffsetRange { start: 10, end: 25 }));
    }

    #[test]
    fn trimming_only_moves_the_start_forward_and_never_past_the_end() {
        assert_eq!(trim(RANGE, 10), Trim::Nothing);
        assert_eq!(trim(RANGE, 3), Trim::Nothing);
        assert_eq!(trim(RANGE, 20), Trim::StartAt(20));
        assert_eq!(trim(RANGE, 21), Trim::BeyondEnd);
    }

    #[test]
    fn a_committed_offset_wins_over_where_to_start_unless_it_was_trimmed() {
        assert_eq!(first_read(Some(15), StartFrom::Latest, RANGE), FirstRead::At(15));
        assert_eq!(first_read(Some(3), StartFrom::Latest, RANGE), FirstRead::Skipped { wanted: 3, start: 10 });
        assert_eq!(first_read(None, StartFrom::Latest, RANGE), FirstRead::At(20));
        assert_eq!(first_read(None, StartFrom::Earliest, RANGE), FirstRead::At(10));
    }
}
