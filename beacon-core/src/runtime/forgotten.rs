//! A task that has state of a past which its group knows nothing of.
//!
//! Kafka forgets the offsets of a group without members after `offsets.retention.minutes`, a week by default (KIP-211), and with a
//! group that somebody deletes. State is kept for ever. An application that slept for longer would read all that is left of its
//! inputs once more, onto the state that has it already. Every commit that changes state commits an offset of one of the same
//! task's inputs, so that state without any such offset tells.
//!
//! Invariant: a task of which its group knows no offset reads nothing into state that it has
//! (`tests/kafka/forgotten_offsets.rs: an_application_whose_offsets_were_forgotten_ends_instead_of_counting_twice`).

use super::thread::StreamThread;
use crate::log::{LogError, LogErrorKind};
use crate::task::{TaskError, TaskId};

impl StreamThread {
    /// Refuses a task that is whole and would begin at the start of all its inputs, if it has state and the group knows no
    /// offset of its own. Asks the log only if so.
    ///
    /// # Errors
    /// [`LogErrorKind::Configuration`] with the way out; the log's and the store's.
    pub(super) fn refuse_a_forgotten_past(&mut self, id: TaskId) -> Result<(), TaskError> {
        let slot = self.slots.get_mut(&id).expect("asked for a task that is there");
        if !std::mem::take(&mut slot.from_the_start) || !slot.task.holds_state()? {
            return Ok(());
        }
        let inputs: Vec<&str> = self.partitions.keys().map(|topic| &**topic).collect();
        let application = self.topology.application();
        let committed = self.log.committed(application, &inputs)?;
        if committed.iter().any(|(at, _)| self.task_of(&at.topic, at.partition) == id) {
            return Ok(());
        }
        let reason = format!(
            "task {id} has state, but group {application} knows no offset of its inputs any more: reading them from the start \
             would count what the state has already. Offsets are forgotten when nothing of an application has run for longer than \
             the brokers' offsets.retention.minutes, or when a group or an input is deleted. Set the group's offsets to where it \
             stopped, such as by its date, or reset the application, which forgets the state"
        );
        Err(LogError::new(LogErrorKind::Configuration, reason).into())
    }
}
