//! The rules of W3 in `bench/kafka-streams/README.md`, one by one, and its oracle's model on random alerts.

use std::collections::BTreeMap;

use beacon_core::testing::TestDriver;
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

struct Job {
    driver: TestDriver,
    alerts: Topic<Alert>,
    transitions: Topic<Transition>,
}

impl Job {
    /// One partition: all keys share one stream time.
    fn new() -> Self {
        let (alerts, transitions) = (Topic::new("alerts"), Topic::new("transitions"));
        let app = TopologyBuilder::new("job");
        build(&app, &alerts, &transitions);
        let driver = TestDriver::new(app.build().expect("a sound topology"), 1);
        Self { driver, alerts, transitions }
    }

    fn send(&mut self, fingerprint: u64, at_ms: i64, firing: bool) {
        let at = EventTime::from_millis(at_ms);
        let alert = Alert { fingerprint, at, firing };
        self.driver.send_at(&self.alerts, &fingerprint.to_be_bytes(), &alert, at);
    }

    /// Key, type, episode, since, at.
    fn told(&mut self) -> Vec<(u64, Kind, u32, i64, i64)> {
        let changes = self.driver.changes(&self.transitions);
        let row = |(key, value): (Vec<u8>, Option<Transition>)| {
            let key = u64::decode(&key).expect("keys are eight bytes");
            let value = value.expect("no tombstones are sent");
            (key, value.kind, value.episode, value.since.as_millis(), value.at.as_millis())
        };
        changes.into_iter().map(row).collect()
    }
}

#[test]
fn an_alert_that_lasts_is_told_at_its_deadline_and_at_its_end() {
    let mut job = Job::new();
    job.send(1, MINUTE, true);
    job.send(1, 3 * MINUTE, true);
    assert_eq!(job.told(), [], "repeated firing changes nothing");
    job.send(2, 6 * MINUTE, true);
    assert_eq!(job.told(), [(1, Kind::Alert, 1, MINUTE, 6 * MINUTE)], "deadline <= stream time is due");
    job.send(1, 8 * MINUTE, false);
    assert_eq!(job.told(), [(1, Kind::Resolved, 1, MINUTE, 8 * MINUTE)]);
}

#[test]
fn an_alert_resolved_in_time_is_never_told() {
    let mut job = Job::new();
    job.send(1, 0, true);
    job.send(1, 5 * MINUTE - 1, false);
    job.send(2, 60 * MINUTE, true);
    assert_eq!(job.told(), []);
}

#[test]
fn a_keys_own_timer_fires_before_the_record_that_is_late_for_it() {
    let mut job = Job::new();
    job.send(1, 0, true);
    job.send(1, 5 * MINUTE, false);
    let (alert, resolved) = ((1, Kind::Alert, 1, 0, 5 * MINUTE), (1, Kind::Resolved, 1, 0, 5 * MINUTE));
    assert_eq!(job.told(), [alert, resolved]);
    job.send(2, 60 * MINUTE, true);
    assert_eq!(job.told(), [], "and it is not set any more");
}

#[test]
fn episodes_are_numbered_over_idle_times_and_a_stray_end_is_absorbed() {
    let mut job = Job::new();
    job.send(1, 0, false);
    job.send(1, MINUTE, true);
    job.send(1, 2 * MINUTE, false);
    job.send(1, 3 * MINUTE, true);
    job.send(1, 9 * MINUTE, true);
    assert_eq!(job.told(), [(1, Kind::Alert, 2, 3 * MINUTE, 8 * MINUTE)]);
}

#[test]
fn a_pending_alert_survives_a_lost_disk() {
    let mut job = Job::new();
    job.send(1, 0, true);
    job.driver.crash_and_restore();
    job.send(2, 5 * MINUTE, true);
    assert_eq!(job.told(), [(1, Kind::Alert, 1, 0, 5 * MINUTE)]);
}

/// What the oracle keeps of a key; see `bench/kafka-streams/src/main/java/ksb/Oracle.java`.
#[derive(Default)]
struct Expected {
    active: bool,
    alerted: bool,
    since: i64,
    episode: u32,
    told: Vec<(u64, Kind, u32, i64, i64)>,
}

impl Expected {
    fn fire_if_due(&mut self, key: u64, now: i64) {
        if self.active && !self.alerted && self.since + 5 * MINUTE <= now {
            self.alerted = true;
            self.told.push((key, Kind::Alert, self.episode, self.since, self.since + 5 * MINUTE));
        }
    }
}

proptest! {
    #[test]
    fn tells_what_the_oracle_tells(alerts in proptest::collection::vec((0u64..6, 0i64..4 * MINUTE, any::<bool>()), 1..60)) {
        let mut job = Job::new();
        let mut expected: BTreeMap<u64, Expected> = BTreeMap::new();
        let mut now = 0;
        for (fingerprint, pause, firing) in alerts {
            now += pause;
            job.send(fingerprint, now, firing);
            let key = expected.entry(fingerprint).or_default();
            key.fire_if_due(fingerprint, now);
            if firing && !key.active {
                *key = Expected {
                    active: true, alerted: false, since: now, episode: key.episode + 1, told: std::mem::take(&mut key.told),
                };
            } else if !firing && key.active {
                if key.alerted {
                    key.told.push((fingerprint, Kind::Resolved, key.episode, key.since, now));
                }
                key.active = false;
            }
        }
        let mut told: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for row in job.told() {
            told.entry(row.0).or_default().push(row);
        }
        for (fingerprint, mut key) in expected {
            key.fire_if_due(fingerprint, now);
            prop_assert_eq!(told.remove(&fingerprint).unwrap_or_default(), key.told);
        }
        prop_assert!(told.is_empty());
    }
}
