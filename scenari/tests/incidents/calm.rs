//! The run that nothing disturbs: what the disturbed ones are compared with.

use std::sync::OnceLock;
use std::time::Duration;

use beacon_proto::v1::Notification;
use scenari::webhook::Webhook;

use crate::On;
use crate::lives::{Lives, TOLD_PER_LIFE, assert_same, plan};

/// How many lives the calm run has; a disturbed one has at most as many.
pub const LIVES: usize = 100;

/// What a calm run on this log tells; made once. Ask before a world is on stage: this puts one there.
pub fn told(on: On) -> &'static [Notification] {
    static EMBEDDED: OnceLock<Vec<Notification>> = OnceLock::new();
    static KAFKA: OnceLock<Vec<Notification>> = OnceLock::new();
    match on {
        On::Embedded => EMBEDDED.get_or_init(|| run(on)),
        On::Kafka => KAFKA.get_or_init(|| run(on)),
    }
}

fn run(on: On) -> Vec<Notification> {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    let mut lives = Lives::begin(&webhook, LIVES, Duration::from_millis(20));
    lives.run_to_end(&mut world, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(2));
    assert_eq!(webhook.taken().len(), LIVES * TOLD_PER_LIFE, "undisturbed, each is told once");
    let ledger = world.finish();
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
    let told = ledger.told();
    assert_eq!(told.len(), LIVES * TOLD_PER_LIFE);
    told
}

#[test]
fn both_logs_tell_the_same_under_the_same_ids() {
    assert_same(told(On::Embedded), told(On::Kafka));
}
