//! What a task has done is committed when it is asked back and when its process stops, on a real Kafka.
//!
//! A static member that stops does not leave its group. It comes back under its name, and is given its tasks at once.

use beacon_core::runtime::Membership;

use super::support::handover::Handover;
use super::{config, log, unique};

pub fn a_task_asked_back_is_committed_before_it_goes(membership: Membership) {
    let (job, directory) =
        (Handover::new(log(), unique("asked-back")), tempfile::tempdir().expect("a temporary directory"));
    let config = |instance| config(job.config(instance), membership, directory.path());
    job.a_task_asked_back_is_committed_before_it_goes(config("a"), config("b"));
}

pub fn a_stop_commits_what_was_done(membership: Membership) {
    let (job, directory) =
        (Handover::new(log(), unique("stopped")), tempfile::tempdir().expect("a temporary directory"));
    job.a_stop_commits_what_was_done(config(job.config("0"), membership, directory.path()));
}
