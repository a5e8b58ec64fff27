//! What a client of a simulated log lives in: its time, and what becomes of its calls.

use std::time::Duration;

use crate::log::TopicPartition;

/// A call on its way to the simulated broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Topics: create, list, describe, delete.
    Topics,
    /// [`crate::log::Log::offsets`].
    Offsets(&'a TopicPartition),
    /// Groups: [`crate::log::Log::committed`], members, setting offsets.
    Committed,
    /// [`crate::log::Log::trim`].
    Trim(&'a TopicPartition),
    /// [`crate::log::Log::session`].
    Join,
    /// [`crate::log::Session::poll`].
    Poll,
    /// The same, between a revocation of everything and the assignment that follows it.
    Rejoin,
    /// [`crate::log::Reader::poll`].
    Read,
    /// [`crate::log::Session::send`].
    Send,
    /// [`crate::log::Session::commit`].
    Commit {
        /// How many offsets it carries.
        offsets: usize,
    },
    /// [`crate::log::Session::abort`].
    Abort,
    /// [`crate::log::Session::close`].
    Close,
    /// [`crate::log::Appender::append`].
    Append,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done and answered.
    Done,
    /// The broker says no and does nothing: a commit is to be aborted, anything else may be tried again.
    Refused,
    /// It never gets there; the caller runs into a time-out. A commit's outcome is unknown, and it is not committed.
    RequestLost,
    /// It is done, and the caller runs into a time-out all the same. A commit's outcome is unknown, and it is committed.
    AnswerLost,
    /// As [`Fate::Refused`], but the caller runs into a time-out: a commit's outcome is unknown, and it is aborted.
    RefusalLost,
    /// The process of this client is gone. Nothing it does has an effect any more, dropping its session included.
    Dead,
}

/// Time and faults for one client (one process) of a simulated log.
///
/// A client asks before each call; while it is asked, other clients may use the log, as they would while a call is on
/// its way. So a simulation can stop a client here for as long as it likes. Unless an implementation says otherwise, nothing
/// happens to anybody.
pub trait Surroundings: Send + Sync + 'static {
    /// Time since the start of the simulation; the same for all clients, never back.
    fn now(&self) -> Duration;

    /// Milliseconds since the epoch, for records without a timestamp.
    fn wall_ms(&self) -> i64;

    /// What becomes of the call that is made now.
    fn fate(&self, _call: Call<'_>) -> Fate {
        Fate::Done
    }

    /// A poll has found nothing and may wait until `deadline`. `true`: look again; `false`: it ends idle now. Whoever
    /// answers `false` before the deadline steps the client again when its time has come.
    fn wait(&self, deadline: Duration) -> bool;

    /// Whether the client reads what is there before it hears what has become of its membership: on the network the two
    /// answers come in any order. One that was expelled meanwhile may so find that its records were trimmed away by those who
    /// have them now.
    fn hears_late(&self) -> bool {
        false
    }

    /// Whether commits of this client have a head start, see [`crate::log::Session::holds_back`].
    fn holds_back(&self) -> bool {
        false
    }

    /// How many records the next poll delivers at most, from 1.
    fn batch_records(&self) -> usize;

    /// How long after the decision on a transaction its marker gets to the next partition. Until then the transaction
    /// holds up committed reads there, decided as it is.
    fn marker_delay(&self) -> Duration {
        Duration::ZERO
    }
}
