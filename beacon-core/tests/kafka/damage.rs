//! State on disk whose damage shows while the job runs, restored from a real Kafka.

use std::sync::Arc;

use beacon_core::log::Log;
use beacon_core::runtime::Membership;

use super::support::verbose::Verbose;
use super::{config, log, unique};

#[test]
fn damage_that_a_running_job_meets_is_restored_and_nothing_is_lost_or_done_twice() {
    let (log, directory): (Arc<dyn Log>, _) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Verbose { prefix: unique("damaged") };
    job.meets_damage_while_it_runs(&log, &config(job.config("0"), Membership::Static, directory.path()));
}
