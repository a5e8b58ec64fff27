//! Internal topics hold what the group has not read, and nothing else: on every log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::runtime::{App, AppConfig};
use beacon_core::tools::{self, InputKind, PartitionLag};

use super::counting::Counting;
use super::mood::Mood;
use super::{count, wait_until};

/// A pause between appends that lets other things happen meanwhile.
const PACE: Duration = Duration::from_millis(5);

/// Where the internal topic of the job begins and ends, and how far it was read.
pub fn internal(log: &dyn Log, job: &Counting) -> Vec<PartitionLag> {
    let lag = tools::lag(log, &job.topology(&Arc::default())).expect("lag");
    lag.into_iter().filter(|lag| lag.kind == InputKind::Internal).collect()
}

/// What was read is trimmed, and what was not waits for who does not come to its end.
pub fn what_was_read_is_trimmed(log: &Arc<dyn Log>, job: &Counting, mut config: AppConfig) {
    config.trim_interval = Duration::from_millis(20);
    job.make_topics(log.as_ref());
    let mood = Arc::new(Mood::default());
    let start = || App::start(Arc::clone(log), job.topology(&mood), config.clone()).expect("started");
    // An operator that does not come to its end keeps what it has not read, however often others are trimmed.
    mood.retries();
    let app = start();
    job.feed(log.as_ref(), job.records() / 2, PACE);
    wait_until("it stands still", || mood.hits.load(Ordering::SeqCst) > 5);
    let waiting = internal(log.as_ref(), job);
    assert!(waiting.iter().all(|lag| lag.start <= lag.committed.unwrap_or(0)), "{waiting:?}");
    app.stop().expect("stopped");
    mood.content();
    let app = start();
    let all_trimmed = || {
        let lag = internal(log.as_ref(), job);
        lag.iter().all(|lag| lag.start == lag.end) && lag.iter().any(|lag| lag.end > 0)
    };
    wait_until("half is counted", || count(log.as_ref(), &job.output()) as u64 >= job.records() / 2);
    wait_until("all of it is trimmed", all_trimmed);
    job.feed_all(log.as_ref());
    job.wait_complete(log.as_ref());
    wait_until("everything is trimmed", all_trimmed);
    app.stop().expect("stopped");
    job.check_with_disk(log.as_ref(), &config);
}
