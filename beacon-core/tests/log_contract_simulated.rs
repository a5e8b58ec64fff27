//! The simulated log keeps the contract of all logs. Its claims wait for real, so they give it the real time.

#[path = "log_contract/mod.rs"]
mod log_contract;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beacon_core::log::model::Rebalancing;
use beacon_core::log::simulated::{Call, Fate, SimulatedLog, Surroundings};
use beacon_core::log::{CleanupPolicy, Event, Log, SessionConfig, TopicPartition, TopicSpec};
use beacon_core::tools::{Holder, holders};

use log_contract::{Subject, plain, unique_prefix};

/// The machine's clock, and no faults.
struct Calm {
    started: Instant,
    marker_delay: Duration,
}

impl Surroundings for Calm {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
    }

    fn fate(&self, _: Call<'_>) -> Fate {
        Fate::Done
    }

    fn wait(&self, deadline: Duration) -> bool {
        std::thread::sleep(Duration::from_millis(1).min(deadline.saturating_sub(self.now())));
        self.now() < deadline
    }

    fn batch_records(&self) -> usize {
        500
    }

    fn marker_delay(&self) -> Duration {
        self.marker_delay
    }
}

fn subject(rebalancing: Rebalancing) -> Subject {
    let calm = Arc::new(Calm { started: Instant::now(), marker_delay: Duration::ZERO });
    Subject {
        log: Arc::new(SimulatedLog::with_rebalancing(calm, rebalancing)),
        prefix: unique_prefix(),
        patience: Duration::from_secs(20),
        quiet: Duration::from_millis(150),
        session_timeout: Duration::from_secs(2),
        keep: Box::new(()),
    }
}

log_contract::claims!(|_| subject(Rebalancing::OneByOne));

mod all_at_once {
    use super::*;

    log_contract::claims!(|_| subject(Rebalancing::AllAtOnce));
}

/// Looks until `holds`.
fn look_until(log: &dyn Log, holds: impl Fn(&[Holder]) -> bool) -> Vec<Holder> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = holders(log, &["in", "out"]).expect("looked");
        if holds(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
    }
}

#[test]
fn who_holds_readers_back_is_named_until_the_markers_are_there() {
    let marker_delay = Duration::from_millis(300);
    let log = SimulatedLog::new(Arc::new(Calm { started: Instant::now(), marker_delay }));
    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        partitions: 1,
        cleanup: CleanupPolicy::Delete { retention: None },
    };
    log.create_topics(&[topic("in"), topic("out")]).expect("made");
    let mut session = log.session(SessionConfig::new("group", "writer", vec!["in".to_owned()])).expect("a session");
    while !matches!(session.poll(Duration::from_millis(50)).expect("polled"), Event::Assigned(_)) {}
    assert_eq!(holders(&log, &["in", "out"]).expect("looked"), []);
    session.begin().expect("begun");
    session.send(plain("out", 0, "held")).expect("sent");
    let found = look_until(&log, |found| !found.is_empty());
    assert_eq!((found.len(), found[0].stable, found[0].end), (1, 0, 1), "{found:?}");
    let writers = found[0].writers.as_ref().expect("this log tells");
    assert_eq!((writers.len(), &*writers[0].transactional_id, writers[0].is_decided), (1, "writer", false));
    session.commit(&[(TopicPartition::new("in", 0), 0)]).expect("committed");
    // Decided, and held until its marker is there.
    look_until(&log, |found| {
        let writers = found.iter().flat_map(|holder| holder.writers.iter().flatten());
        assert!(writers.clone().all(|writer| writer.is_decided), "{found:?}");
        found.is_empty()
    });
}
