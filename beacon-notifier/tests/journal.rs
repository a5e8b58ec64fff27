//! The journal on the test driver: intents, answers, retries, order, crashes.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::testing::{TakenCall, TestDriver};
use beacon_core::topology::Topic;
use beacon_notifier::{Metrics, journal};
use beacon_proto::key;
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::internal::{Send, Sent};
use beacon_proto::v1::{Delivery, Notification, NotifiedAlert, Outcome, Status, Target};

struct Journal {
    driver: TestDriver,
    metrics: Arc<Metrics>,
}

type Attempts = Vec<(TakenCall, Send)>;

impl Journal {
    fn new() -> Self {
        let metrics = Arc::<Metrics>::default();
        let deliverer: journal::Deliverer = Arc::new(|_, _| {});
        let topology = journal::topology(&Topics::default(), deliverer, Arc::clone(&metrics), Arc::default())
            .expect("the topology is valid");
        Self { driver: TestDriver::new(topology, 4), metrics }
    }

    fn decide(&mut self, id: &str, group: &str, target: u32) {
        self.decide_alerts(id, group, target, &[]);
    }

    /// To target 0 of group `g`: `a` fires, `-a` has ended.
    fn tell(&mut self, id: &str, alerts: &[&str]) {
        self.decide_alerts(id, "g", 0, alerts);
    }

    fn decide_alerts(&mut self, id: &str, group: &str, target: u32, alerts: &[&str]) {
        let alert = |name: &&str| {
            let status = if name.starts_with('-') { Status::Resolved } else { Status::Firing };
            let fingerprint = name.trim_start_matches('-').to_owned();
            NotifiedAlert { status: status.into(), fingerprint, ..NotifiedAlert::default() }
        };
        let notification = Notification {
            id: id.into(),
            group_key: group.into(),
            target: Some(Target { receiver: "r".into(), integration: "webhook".into(), index: target }),
            alerts: alerts.iter().map(alert).collect(),
            expires_at_ms: self.driver.now().as_millis() + 3_600_000,
            ..Notification::default()
        };
        self.driver.send(
            &Topic::new(Topics::default().name(topics::NOTIFICATIONS)),
            key::group("", group).as_bytes(),
            &notification,
        );
    }

    fn attempts(&mut self) -> Attempts {
        self.driver.take_calls("send")
    }

    fn answer(&mut self, attempt: &(TakenCall, Send), outcome: Outcome) {
        let notification = attempt.1.notification.clone().unwrap_or_default();
        let sent = Sent {
            notification_id: notification.id,
            target: notification.target,
            attempt: attempt.1.attempt,
            outcome: outcome.into(),
            detail: "as the test says".into(),
            retry_after_ms: None,
        };
        self.driver.answer(&attempt.0, &sent);
    }

    /// The ledger since the last look: `id outcome attempt`.
    fn ledger(&mut self) -> Vec<String> {
        let deliveries = Topic::<Delivery>::new(Topics::default().name(topics::DELIVERIES));
        self.driver
            .output(&deliveries)
            .iter()
            .map(|d| format!("{} {} {}", d.notification_id, d.outcome().as_str_name().to_lowercase(), d.attempt))
            .collect()
    }

    #[track_caller]
    fn assert_counted(&self, line: &str) {
        let text = self.metrics.render();
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }

    fn dead_letters(&mut self) -> usize {
        self.driver.records(&Topics::default().name(topics::DEAD_LETTERS)).len()
    }
}

fn ids(attempts: &Attempts) -> Vec<(&str, u32)> {
    attempts.iter().map(|(_, send)| (send.notification.as_ref().map_or("", |n| n.id.as_str()), send.attempt)).collect()
}

/// What an attempt tells, as [`Journal::tell`] takes it.
fn told(attempt: &(TakenCall, Send)) -> (String, Vec<String>) {
    let notification = attempt.1.notification.clone().unwrap_or_default();
    let sign = |alert: &NotifiedAlert| if alert.status() == Status::Resolved { "-" } else { "" };
    let alerts = notification.alerts.iter().map(|alert| format!("{}{}", sign(alert), alert.fingerprint)).collect();
    (notification.id, alerts)
}

fn line(id: &str, alerts: &[&str]) -> (String, Vec<String>) {
    (id.to_owned(), alerts.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_notification_is_intended_sent_and_accepted_once() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    let attempts = journal.attempts();
    assert_eq!(ids(&attempts), [("n1", 1)]);
    journal.answer(&attempts[0], Outcome::Accepted);
    journal.answer(&attempts[0], Outcome::Accepted);
    assert_eq!(journal.ledger(), ["n1 intent 1", "n1 accepted 1"]);
    journal.driver.advance(Duration::from_secs(86_400));
    assert!(journal.attempts().is_empty());
}

#[test]
fn a_crash_between_intent_and_receipt_sends_again_with_the_same_id() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    assert_eq!(journal.attempts().len(), 1);
    journal.driver.crash_and_restore();
    let again = journal.attempts();
    assert_eq!(ids(&again), [("n1", 1)]);
    journal.answer(&again[0], Outcome::Accepted);
    assert_eq!(journal.ledger(), ["n1 intent 1", "n1 accepted 1"]);
}

#[test]
fn a_failure_that_may_pass_is_retried_after_a_wait_that_survives_a_crash() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    let first = journal.attempts();
    journal.answer(&first[0], Outcome::Retry);
    assert!(journal.attempts().is_empty(), "not at once");
    journal.driver.crash_and_restore();
    journal.driver.advance(Duration::from_secs(2));
    let second = journal.attempts();
    assert_eq!(ids(&second), [("n1", 2)]);
    journal.answer(&second[0], Outcome::Accepted);
    assert_eq!(journal.ledger(), ["n1 intent 1", "n1 retry 1", "n1 intent 2", "n1 accepted 2"]);
}

#[test]
fn a_receiver_that_stays_away_ends_in_a_dead_letter() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    for _ in 0..500 {
        let attempts = journal.attempts();
        if let Some(attempt) = attempts.first() {
            journal.answer(attempt, Outcome::Retry);
        }
        journal.driver.advance(Duration::from_secs(80));
    }
    let ledger = journal.ledger();
    assert!(ledger.last().is_some_and(|last| last.starts_with("n1 dead")), "{ledger:?}");
    assert_eq!(journal.dead_letters(), 1);
    journal.assert_counted(r#"alertmanager_notifications_failed_total{integration="webhook",reason="expired"} 1"#);
    journal.assert_counted(r#"alertmanager_notifications_total{integration="webhook"} 1"#);
}

#[test]
fn what_cannot_succeed_is_not_tried_again() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    let attempts = journal.attempts();
    journal.answer(&attempts[0], Outcome::Dead);
    assert_eq!(journal.ledger(), ["n1 intent 1", "n1 dead 1"]);
    assert_eq!(journal.dead_letters(), 1);
    journal.assert_counted(r#"alertmanager_notifications_failed_total{integration="webhook",reason="refused"} 1"#);
}

#[test]
fn an_attempt_that_cannot_be_read_any_more_ends_and_the_next_page_comes() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    let attempts = journal.attempts();
    journal.driver.answer(&attempts[0].0, &Sent { outcome: Outcome::Dead.into(), ..Sent::default() });
    assert_eq!(journal.ledger(), ["n1 intent 1", "n1 dead 1"]);
    assert_eq!(journal.dead_letters(), 1);
    journal.decide("n2", "g", 0);
    assert_eq!(ids(&journal.attempts()), [("n2", 1)]);
}

#[test]
fn one_target_in_trouble_does_not_hold_up_another() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    journal.decide("n2", "g", 1);
    let attempts = journal.attempts();
    assert_eq!(ids(&attempts), [("n1", 1), ("n2", 1)]);
    journal.answer(&attempts[0], Outcome::Retry);
    journal.answer(&attempts[1], Outcome::Accepted);
    journal.driver.advance(Duration::from_secs(2));
    assert_eq!(ids(&journal.attempts()), [("n1", 2)]);
}

#[test]
fn a_target_hears_of_a_group_in_order_and_the_newest_takes_the_place_of_what_waits() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    let first = journal.attempts();
    journal.decide("n2", "g", 0);
    journal.decide("n3", "g", 0);
    assert!(journal.attempts().is_empty(), "n1 is still under way");
    journal.answer(&first[0], Outcome::Accepted);
    let next = journal.attempts();
    assert_eq!(ids(&next), [("n3", 1)]);
    journal.answer(&next[0], Outcome::Retry);
    journal.decide("n4", "g", 0);
    assert!(journal.attempts().is_empty(), "the wait of the retry stays");
    journal.driver.advance(Duration::from_secs(2));
    assert_eq!(ids(&journal.attempts()), [("n4", 2)]);
    assert_eq!(
        journal.ledger(),
        [
            "n1 intent 1",
            "n2 superseded 0",
            "n1 accepted 1",
            "n3 intent 1",
            "n3 retry 1",
            "n3 superseded 1",
            "n4 intent 2"
        ]
    );
}

#[test]
fn a_notification_read_twice_is_sent_once() {
    let mut journal = Journal::new();
    journal.decide("n1", "g", 0);
    journal.decide("n1", "g", 0);
    assert_eq!(journal.attempts().len(), 1);
    assert_eq!(journal.ledger(), ["n1 intent 1"]);
}

#[test]
fn ends_of_what_is_replaced_while_another_is_under_way_are_told_by_the_newest() {
    let mut journal = Journal::new();
    journal.tell("n1", &["a", "b"]);
    let first = journal.attempts();
    journal.tell("n2", &["b", "-a"]);
    journal.tell("n3", &["c", "-b"]);
    journal.tell("n4", &["c", "d"]);
    journal.answer(&first[0], Outcome::Accepted);
    let next = journal.attempts();
    assert_eq!(told(&next[0]), line("n4", &["c", "d", "-a", "-b"]));
    journal.answer(&next[0], Outcome::Accepted);
    // What was told is told: nothing is carried on.
    journal.tell("n5", &["c", "-d"]);
    assert_eq!(told(&journal.attempts()[0]), line("n5", &["c", "-d"]));
}

#[test]
fn ends_that_a_receiver_in_trouble_did_not_take_go_along_with_what_replaces_them_also_over_a_crash() {
    let mut journal = Journal::new();
    journal.tell("n1", &["b", "-a"]);
    let first = journal.attempts();
    journal.answer(&first[0], Outcome::Retry);
    journal.tell("n2", &["c", "-b"]);
    journal.driver.crash_and_restore();
    journal.driver.advance(Duration::from_secs(2));
    let second = journal.attempts();
    assert_eq!(told(&second[0]), line("n2", &["c", "-a", "-b"]));
    // This one comes while an attempt is under way which then fails.
    journal.tell("n3", &["c", "d"]);
    journal.answer(&second[0], Outcome::Retry);
    journal.driver.advance(Duration::from_secs(5));
    let third = journal.attempts();
    assert_eq!(told(&third[0]), line("n3", &["c", "d", "-a", "-b"]));
    // Under one id a target is always told the same.
    journal.answer(&third[0], Outcome::Retry);
    journal.driver.advance(Duration::from_secs(10));
    let fourth = journal.attempts();
    assert_eq!(told(&fourth[0]), told(&third[0]));
    journal.answer(&fourth[0], Outcome::Accepted);
    assert_eq!(journal.dead_letters(), 0);
}

#[test]
fn an_alert_that_fires_again_has_no_end_before() {
    let mut journal = Journal::new();
    journal.tell("n1", &["a", "b"]);
    let first = journal.attempts();
    journal.tell("n2", &["b", "-a"]);
    journal.tell("n3", &["a", "b"]);
    journal.answer(&first[0], Outcome::Accepted);
    assert_eq!(told(&journal.attempts()[0]), line("n3", &["a", "b"]));
}

#[test]
fn ends_of_what_is_given_up_are_told_by_what_waits() {
    let mut journal = Journal::new();
    journal.tell("n1", &["b", "-a"]);
    let first = journal.attempts();
    journal.tell("n2", &["b", "c"]);
    journal.answer(&first[0], Outcome::Dead);
    assert_eq!(told(&journal.attempts()[0]), line("n2", &["b", "c", "-a"]));
    assert_eq!(journal.dead_letters(), 1);
}

#[test]
fn a_receiver_that_is_away_for_a_day_hears_of_every_end_when_it_is_back() {
    const CHANGES: usize = 72;
    let mut journal = Journal::new();
    journal.tell("n0", &["a0"]);
    let first = journal.attempts();
    journal.answer(&first[0], Outcome::Accepted);
    let (mut tries, mut told_under) = (0, std::collections::BTreeMap::new());
    for change in 1..=CHANGES {
        // Each takes the place of the one before, which nobody took.
        journal.tell(&format!("n{change}"), &[&format!("a{change}"), &format!("-a{}", change - 1)]);
        for minute in 0..20 {
            if let Some(attempt) = journal.attempts().first() {
                tries += 1;
                let (id, alerts) = told(attempt);
                assert_eq!(told_under.entry(id).or_insert_with(|| alerts.clone()), &alerts, "under one id the same");
                if (change + minute) % 7 == 0 {
                    journal.driver.crash_and_restore();
                    let again = journal.attempts();
                    assert_eq!(told(&again[0]).1, alerts);
                    journal.answer(&again[0], Outcome::Retry);
                } else {
                    journal.answer(attempt, Outcome::Retry);
                }
            }
            journal.driver.advance(Duration::from_secs(60));
        }
    }
    assert!((CHANGES * 10..CHANGES * 25).contains(&tries), "about once a minute: {tries}");
    let last = loop {
        journal.driver.advance(Duration::from_secs(60));
        if let Some(last) = journal.attempts().pop() {
            break last;
        }
    };
    journal.answer(&last, Outcome::Accepted);
    let (id, mut alerts) = told(&last);
    let mut wanted: Vec<String> = (0..CHANGES).map(|ended| format!("-a{ended}")).collect();
    wanted.push(format!("a{CHANGES}"));
    alerts.sort();
    wanted.sort();
    assert_eq!((id, alerts), (format!("n{CHANGES}"), wanted));
    assert_eq!(journal.dead_letters(), 0);
    journal.driver.advance(Duration::from_secs(86_400));
    assert!(journal.attempts().is_empty(), "nothing is left");
}
