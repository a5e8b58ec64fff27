//! The simulated log keeps the contract of all logs. Its claims wait for real, so they give it the real time.

#[path = "log_contract/mod.rs"]
mod log_contract;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beacon_core::log::simulated::Rebalancing;
use beacon_core::log::simulated::{SimulatedLog, Surroundings};
use beacon_core::log::{CleanupPolicy, Event, Log, LogErrorKind, SessionConfig, TopicPartition, TopicSpec};
use beacon_core::tools::{Holder, holders};

use log_contract::{Subject, plain, unique_prefix};

/// The machine's clock, and no faults.
struct Calm {
    started: Instant,
    marker_delay: Duration,
    /// Members read before they hear of their group.
    late: bool,
}

impl Surroundings for Calm {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
    }

    fn wait(&self, deadline: Duration) -> bool {
        std::thread::sleep(Duration::from_millis(1).min(deadline.saturating_sub(self.now())));
        self.now() < deadline
    }

    fn hears_late(&self) -> bool {
        self.late
    }

    fn batch_records(&self) -> usize {
        500
    }

    fn marker_delay(&self) -> Duration {
        self.marker_delay
    }
}

fn subject(rebalancing: Rebalancing) -> Subject {
    let calm = Arc::new(Calm { started: Instant::now(), marker_delay: Duration::ZERO, late: false });
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
    let log = SimulatedLog::new(Arc::new(Calm { started: Instant::now(), marker_delay, late: false }));
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

#[test]
fn a_member_whose_records_were_trimmed_is_told_and_goes_on_where_it_seeks() {
    let subject = subject(Rebalancing::AllAtOnce);
    let input = subject.topic("behind", 1);
    let at = TopicPartition::new(Arc::clone(&input), 0);
    subject.append_numbers(&input, 0, 3);
    let mut member = subject.join("group", "a", &[&input]);
    member.poll_until("all records", |member| member.read.len() == 3);
    subject.log.trim(&at, 2).expect("trimmed");
    member.session.seek(&at, 0).expect("sought");
    let error = member.session.poll(Duration::ZERO).expect_err("they are gone");
    assert_eq!(error.kind(), LogErrorKind::Trimmed, "{error}");
    member.session.seek(&at, 2).expect("sought");
    member.poll_until("the last record", |member| member.read.len() == 4);
}

#[test]
fn the_offsets_of_a_commit_that_has_returned_are_seen_although_its_markers_are_late() {
    let calm = Calm { started: Instant::now(), marker_delay: Duration::from_secs(60), late: false };
    let subject = Subject { log: Arc::new(SimulatedLog::new(Arc::new(calm))), ..subject(Rebalancing::OneByOne) };
    let input = subject.topic("input", 1);
    let at = TopicPartition::new(Arc::clone(&input), 0);
    let mut member = subject.join("group", "a", &[&input]);
    member.own(1);
    for offset in [3, 5] {
        member.session.begin().expect("begun");
        member.session.commit(&[(at.clone(), offset)]).expect("committed");
        assert_eq!(subject.committed("group", &[&input]), [(at.clone(), offset)]);
    }
}

#[test]
fn who_was_expelled_may_meet_a_trim_before_it_hears_of_its_loss() {
    let calm = Calm { started: Instant::now(), marker_delay: Duration::ZERO, late: true };
    let subject = Subject {
        log: Arc::new(SimulatedLog::with_rebalancing(Arc::new(calm), Rebalancing::AllAtOnce)),
        ..subject(Rebalancing::AllAtOnce)
    };
    let input = subject.topic("input", 1);
    let at = TopicPartition::new(Arc::clone(&input), 0);
    let mut zombie = subject.join("group", "a", &[&input]);
    zombie.own(1);
    subject.append_numbers(&input, 0, 3);
    let mut heir = subject.join("group", "b", &[&input]);
    heir.poll_until("all records of the silent member", |heir| heir.read.len() == 3);
    heir.session.begin().expect("begun");
    heir.session.commit(&[(at.clone(), 3)]).expect("the owner commits");
    subject.log.trim(&at, 3).expect("trimmed");
    let error = zombie.session.poll(Duration::ZERO).expect_err("they are gone");
    assert_eq!(error.kind(), LogErrorKind::Trimmed, "{error}");
}
