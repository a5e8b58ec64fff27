//! The broker goes away under load and comes back. On the embedded log the process is its own broker: it is stopped as
//! an update would stop it.

use std::time::{Duration, Instant};

use scenari::kafka::Kafka;
use scenari::webhook::Webhook;
use scenari::world::World;

use crate::On;
use crate::calm;
use crate::lives::{Lives, assert_same, of_first, plan};

const LIVES: usize = 60;
const SPACING: Duration = Duration::from_millis(200);
const AWAY: Duration = Duration::from_secs(4);

#[test]
fn a_killed_broker_that_comes_back_changes_nothing_that_is_told() {
    let calm = of_first(LIVES, calm::told(On::Kafka));
    let kafka = Kafka::own();
    let webhook = Webhook::start();
    let mut world = World::kafka_on(&kafka, &plan(&webhook));
    let mut lives = Lives::begin(&webhook, LIVES, SPACING);
    while lives.over() < 10 {
        assert!(lives.elapsed() < Duration::from_secs(60), "before the broker dies: {:?}", lives.pending(LIVES));
        lives.step(&world);
    }

    kafka.kill9();
    let died = Instant::now();
    while died.elapsed() < AWAY {
        lives.step(&world);
    }
    world.assert_alive();
    kafka.restart();
    lives.run_to_end(&mut world, Duration::from_secs(90));
    webhook.assert_quiet_for(Duration::from_secs(2));

    let ledger = world.finish();
    assert_same(&ledger.told(), &calm);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

#[test]
fn clean_restarts_of_the_embedded_log_change_nothing_that_is_told() {
    let calm = of_first(LIVES, calm::told(On::Embedded));
    let webhook = Webhook::start();
    let mut world = World::embedded(&plan(&webhook));
    let mut lives = Lives::begin(&webhook, LIVES, SPACING);
    for restart in 1..=3 {
        while lives.over() < restart * 10 {
            assert!(lives.elapsed() < Duration::from_secs(60), "restart {restart}: {:?}", lives.pending(LIVES));
            lives.step(&world);
        }
        world.stop_all();
        world.start_all();
    }
    lives.run_to_end(&mut world, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(2));

    let ledger = world.finish();
    assert_same(&ledger.told(), &calm);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}
