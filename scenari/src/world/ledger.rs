//! What Beacon decided and delivered, read from its topics after the scenario.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use beacon_proto::topics;
use beacon_proto::v1::{Delivery, Notification, Outcome};
use prost::Message;

use crate::topic::Entry;

/// Committed contents of `notifications`, `deliveries` and `dead-letters`, each in partition order.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Every decision to tell somebody something.
    pub notifications: Vec<Notification>,
    /// Every intent and receipt.
    pub deliveries: Vec<Delivery>,
    /// Every record that could not be understood or delivered.
    pub dead_letters: Vec<Entry>,
}

impl Ledger {
    pub(super) fn read(read: impl Fn(&str) -> Result<Vec<Entry>>) -> Result<Self> {
        Ok(Self {
            notifications: decode(topics::NOTIFICATIONS, &read(topics::NOTIFICATIONS)?)?,
            deliveries: decode(topics::DELIVERIES, &read(topics::DELIVERIES)?)?,
            dead_letters: read(topics::DEAD_LETTERS)?,
        })
    }

    /// Notifications without the times of their decision, by id: what must be the same in every run of the same alerts.
    pub fn told(&self) -> Vec<Notification> {
        let mut told: Vec<Notification> = self
            .notifications
            .iter()
            .map(|told| Notification { decided_at_ms: 0, expires_at_ms: 0, ..told.clone() })
            .collect();
        told.sort_by(|a, b| (&a.group_key, &a.id).cmp(&(&b.group_key, &b.id)));
        told
    }

    /// Panics when the same notification was decided twice, under the same or under another id.
    #[track_caller]
    pub fn assert_nothing_decided_twice(&self) {
        let mut ids = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for told in &self.notifications {
            assert!(!told.id.is_empty(), "a notification without an id: {told:?}");
            assert!(ids.insert(&told.id), "the id {} stands twice in notifications: {told:?}", told.id);
            let target = told.target.as_ref().map(|t| (&t.receiver, &t.integration, t.index));
            let number = (&told.tenant, &told.group_key, target, told.occurrence, told.n);
            assert!(numbers.insert(number), "decided twice under different ids: {told:?}");
        }
    }

    /// Panics unless the ledger holds for every notification an intent and then exactly one receipt, and no receipt for
    /// anything else.
    #[track_caller]
    pub fn assert_all_delivered_once(&self) {
        for (id, history) in self.histories() {
            assert_delivered(id, &history);
        }
    }

    /// The same, but for notifications whose place was taken by a newer one of their group and target that was delivered: after an
    /// attempt of which nobody knows what became of it, since its process stood still in the middle.
    #[track_caller]
    pub fn assert_all_delivered_once_or_superseded(&self) {
        let histories = self.histories();
        let place = |told: &Notification| (told.tenant.clone(), told.group_key.clone(), told.target.clone());
        for told in &self.notifications {
            let history = &histories[told.id.as_str()];
            if history.last() == Some(&Outcome::Superseded) {
                let newer = self.notifications.iter().filter(|other| {
                    place(other) == place(told) && (other.occurrence, other.n) > (told.occurrence, told.n)
                });
                let delivered =
                    newer.into_iter().any(|other| histories[other.id.as_str()].contains(&Outcome::Accepted));
                assert!(delivered, "nothing newer than notification {} was delivered: {history:?}", told.id);
            } else {
                assert_delivered(&told.id, history);
            }
        }
    }

    /// What the ledger says of each notification, in order.
    #[track_caller]
    fn histories(&self) -> BTreeMap<&str, Vec<Outcome>> {
        let mut histories: BTreeMap<&str, Vec<Outcome>> = BTreeMap::new();
        for told in &self.notifications {
            histories.insert(&told.id, Vec::new());
        }
        for delivery in &self.deliveries {
            let history = histories.get_mut(delivery.notification_id.as_str());
            history.unwrap_or_else(|| panic!("a delivery of no notification: {delivery:?}")).push(delivery.outcome());
        }
        histories
    }

    /// Panics when there is a dead letter.
    #[track_caller]
    pub fn assert_no_dead_letters(&self) {
        assert!(self.dead_letters.is_empty(), "dead letters: {:?}", self.dead_letters);
    }
}

#[track_caller]
fn assert_delivered(id: &str, history: &[Outcome]) {
    let count = |wanted: Outcome| history.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!(count(Outcome::Accepted), 1, "receipts of notification {id}: {history:?}");
    assert_eq!(history.first(), Some(&Outcome::Intent), "notification {id} was sent before its intent: {history:?}");
    assert_eq!(history.last(), Some(&Outcome::Accepted), "notification {id} went on after its receipt: {history:?}");
}

fn decode<T: Message + Default>(topic: &str, entries: &[Entry]) -> Result<Vec<T>> {
    entries
        .iter()
        .map(|entry| {
            let bytes = entry.value.as_deref().unwrap_or_default();
            T::decode(bytes).with_context(|| format!("{topic}/{}@{} is not readable", entry.partition, entry.offset))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: &str, n: u64) -> Notification {
        Notification { id: id.to_owned(), group_key: "{}:{}".to_owned(), n, occurrence: 1, ..Default::default() }
    }

    fn delivery(id: &str, outcome: Outcome) -> Delivery {
        Delivery { notification_id: id.to_owned(), outcome: outcome.into(), ..Default::default() }
    }

    fn ledger(notifications: Vec<Notification>, deliveries: Vec<Delivery>) -> Ledger {
        Ledger { notifications, deliveries, dead_letters: Vec::new() }
    }

    #[test]
    fn times_of_decision_do_not_count_and_order_neither() {
        let (mut early, late) = (told("a", 1), told("b", 2));
        early.decided_at_ms = 5;
        let run = ledger(vec![late.clone(), early], Vec::new());
        let other = ledger(vec![told("a", 1), late], Vec::new());
        assert_eq!(run.told(), other.told());
    }

    #[test]
    #[should_panic(expected = "stands twice")]
    fn the_same_id_twice_is_found() {
        ledger(vec![told("a", 1), told("a", 2)], Vec::new()).assert_nothing_decided_twice();
    }

    #[test]
    #[should_panic(expected = "under different ids")]
    fn the_same_decision_under_two_ids_is_found() {
        ledger(vec![told("a", 1), told("b", 1)], Vec::new()).assert_nothing_decided_twice();
    }

    #[test]
    fn intent_and_one_receipt_are_a_delivery() {
        let deliveries = [Outcome::Intent, Outcome::Retry, Outcome::Intent, Outcome::Accepted];
        let deliveries = deliveries.into_iter().map(|outcome| delivery("a", outcome)).collect();
        ledger(vec![told("a", 1)], deliveries).assert_all_delivered_once();
    }

    #[test]
    fn a_newer_notification_stands_for_the_one_whose_place_it_took() {
        let deliveries = [
            ("a", Outcome::Intent),
            ("a", Outcome::Retry),
            ("a", Outcome::Superseded),
            ("b", Outcome::Intent),
            ("b", Outcome::Accepted),
        ];
        let deliveries = deliveries.into_iter().map(|(id, outcome)| delivery(id, outcome)).collect();
        ledger(vec![told("a", 1), told("b", 2)], deliveries).assert_all_delivered_once_or_superseded();
    }

    #[test]
    #[should_panic(expected = "nothing newer than notification b")]
    fn a_place_that_nothing_took_is_found() {
        let deliveries =
            [("a", Outcome::Intent), ("a", Outcome::Accepted), ("b", Outcome::Intent), ("b", Outcome::Superseded)];
        let deliveries = deliveries.into_iter().map(|(id, outcome)| delivery(id, outcome)).collect();
        ledger(vec![told("a", 1), told("b", 2)], deliveries).assert_all_delivered_once_or_superseded();
    }

    #[test]
    #[should_panic(expected = "receipts of notification a")]
    fn a_lost_notification_is_found() {
        ledger(vec![told("a", 1)], vec![delivery("a", Outcome::Intent)]).assert_all_delivered_once();
    }

    #[test]
    #[should_panic(expected = "delivery of no notification")]
    fn a_receipt_out_of_nothing_is_found() {
        ledger(Vec::new(), vec![delivery("x", Outcome::Accepted)]).assert_all_delivered_once();
    }
}
