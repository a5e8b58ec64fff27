//! What steps came upon that whoever looks after the job wants to hear of.

/// Counts of one step, or of all steps since the last commit.
///
/// They go the way of the work they count: taken back with their step, dropped with their transaction, told when it is
/// committed. So nothing is told twice. What is not told at all: the counts of a commit whose thread dies, or is fenced,
/// before it heard that it went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Records that came when all their windows were gone, for each operator that has windows.
    pub late: u64,
    /// Records and timers that an operator or a codec refused.
    pub dead_letters: u64,
}

impl Tally {
    /// Moves here what `step` counted.
    pub fn absorb(&mut self, step: &mut Self) {
        let Self { late, dead_letters } = std::mem::take(step);
        self.late += late;
        self.dead_letters += dead_letters;
    }
}
