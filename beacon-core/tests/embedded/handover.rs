//! What a task has done is committed when it is asked back and when its process stops, on the embedded log.

use std::sync::Arc;

use super::rig::Rig;
use crate::support::handover::Handover;

#[test]
fn a_task_asked_back_is_committed_before_it_goes() {
    let rig = Rig::new();
    let job = Handover::new(Arc::clone(&rig.log), "asked-back");
    let config = |instance| rig.on_disk(job.config(instance));
    job.a_task_asked_back_is_committed_before_it_goes(config("a"), config("b"));
}

#[test]
fn a_stop_commits_what_was_done() {
    let rig = Rig::new();
    let job = Handover::new(Arc::clone(&rig.log), "stopped");
    job.a_stop_commits_what_was_done(rig.on_disk(job.config("0")));
}
