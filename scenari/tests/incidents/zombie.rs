//! A worker stands still for longer than its session (a frozen virtual machine), others take over, and it wakes up in
//! the middle of what it was doing. On the embedded log nobody can take over, and nobody may try.

use std::time::Duration;

use scenari::webhook::Webhook;
use scenari::world::{Role, World};

use crate::On;
use crate::calm;
use crate::lives::{Lives, assert_same, plan};

/// Sessions are 10 s at most, transactions too: at the end of this both have been over for long.
const FROZEN: Duration = Duration::from_secs(26);
const SPACING: Duration = Duration::from_millis(350);
const CALM_BEFORE: Duration = Duration::from_secs(4);

#[test]
fn late_writes_of_a_worker_that_was_replaced_change_nothing() {
    let calm = calm::told(On::Kafka);
    let webhook = Webhook::start();
    let mut world = World::kafka(&plan(&webhook));
    world.add_worker();
    let mut lives = Lives::begin(&webhook, calm::LIVES, SPACING);
    while lives.elapsed() < CALM_BEFORE {
        lives.step(&world);
    }

    world.process(Role::Worker(0)).freeze();
    let begun = lives.begun_by(lives.elapsed());
    // Until the other has taken over; a busy machine takes its time for that.
    let long_enough = |lives: &Lives| lives.elapsed() >= CALM_BEFORE + FROZEN && lives.pending(begun).is_empty();
    while !long_enough(&lives) && lives.elapsed() < CALM_BEFORE + 2 * FROZEN {
        lives.step(&world);
    }
    assert_eq!(lives.pending(begun), [], "the other worker has taken over (life, stage)");
    assert!(!lives.all_over(), "there is load when the zombie wakes");
    world.process(Role::Worker(0)).thaw();

    lives.run_to_end(&mut world, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(2));
    assert_eq!(webhook.taken().len(), calm.len(), "nobody was told anything twice");
    let ledger = world.finish();
    assert_same(&ledger.told(), calm);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

#[test]
fn a_frozen_embedded_process_keeps_its_directory_and_goes_on_where_it_stopped() {
    let calm = calm::told(On::Embedded);
    let webhook = Webhook::start();
    let mut world = World::embedded(&plan(&webhook));
    let mut lives = Lives::begin(&webhook, calm::LIVES, Duration::from_millis(100));
    while lives.elapsed() < CALM_BEFORE {
        lives.step(&world);
    }

    world.process(Role::Gateway).freeze();
    let mut rival = world.rival(Role::Gateway).start().expect("the same program");
    let status = rival.wait_end(Duration::from_secs(15));
    assert!(!status.success(), "two processes on one directory");
    let storage = world.directory().join("storage").display().to_string();
    assert!(rival.output().contains(&storage), "the refusal names the directory: {}", rival.output());
    webhook.assert_quiet_for(Duration::from_secs(20));
    world.process(Role::Gateway).thaw();

    lives.run_to_end(&mut world, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(2));
    let ledger = world.finish();
    assert_same(&ledger.told(), calm);
    ledger.assert_nothing_decided_twice();
    // Notifications were on their way when it froze.
    ledger.assert_all_delivered_once_or_superseded();
    ledger.assert_no_dead_letters();
}
