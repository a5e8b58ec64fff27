//! How a commit begins to be written while records for it still come.
//!
//! On Kafka the first record of a transaction in a partition costs two questions to the coordinator, one of the client's and
//! one of the broker's, and they are asked one after the other for all partitions. A commit that has time for it asks them
//! ahead: what was sent so far goes out, and each changelog it will write gets a record without changes.
//! Exactly-once is the transaction's, which it all belongs to
//! (`tests/simulation/main.rs: every_seed_of_commits_with_a_head_start_ends_as_a_calm_run_does`,
//! `tests/runtime_kafka.rs: a_process_killed_after_a_head_start_leaves_nothing_of_it`).

use std::time::Duration;

use super::commit::{Pending, until_head_start};
use super::fault::Fault;
use super::link::Link;
use super::thread::StreamThread;

impl StreamThread {
    /// How long until the commit at hand gets its head start; `None`: it gets none, or has it.
    pub(super) fn until_head_start(&self, pending: Pending, link: &Link) -> Option<Duration> {
        until_head_start(pending, &self.config).filter(|_| link.may_send_ahead())
    }

    /// Sends ahead what there is of the commit at hand.
    pub(super) fn send_ahead(&mut self, link: &mut Link) -> Result<(), Fault> {
        for (id, slot) in self.slots.iter().filter(|(_, slot)| slot.restore.is_none()) {
            slot.task.begin_changelog(&mut link.sender()).map_err(|source| self.blame.task(*id, source))?;
        }
        link.send_ahead().map_err(|error| self.blame.log(error))
    }
}
