//! Internal topics are trimmed by the runtime on a real Kafka, whose markers take offsets, too.

use std::sync::Arc;

use beacon_core::log::Log;
use beacon_core::runtime::Membership;

use super::support::counting::Counting;
use super::support::trimmed::what_was_read_is_trimmed;
use super::{config, log, unique};

#[test]
fn what_was_read_is_trimmed_and_what_was_not_waits() {
    let (log, directory): (Arc<dyn Log>, _) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("trimmed"), 40);
    let config = config(job.config("0"), Membership::Static, directory.path());
    what_was_read_is_trimmed(&log, &job, config);
}
